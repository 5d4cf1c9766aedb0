package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/image"
	"github.com/davit-dev/davit/internal/pipeline"
	"github.com/davit-dev/davit/internal/plan"
)

type deleteOptions struct {
	common *common
	report reportFlags
	config configFlags
	values valueFlags
	dryRun bool

	cloudRun plan.CloudRunOptions
}

func newDelete(w World, c *common) *cobra.Command {
	o := &deleteOptions{common: c}
	cmd := &cobra.Command{
		Use:   "delete",
		Short: "Take away what 'davit run' deployed, and wait until it is gone",
		Long: `Deletes the objects and releases that the inventory lists and that the config holds, in the reverse order of their making, and waits until they are gone.
An object with the annotation davit.dev/keep stays. What holds an object back is said, and who set it.`,
		Example: `  davit delete
  davit delete --dry-run
  davit delete -p production -n staging`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDelete(cmd.Context(), w, o) },
	}
	o.config.addTo(cmd.Flags())
	o.values.addTo(cmd.Flags(), true)
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "print what would be deleted, and delete nothing")
	addCloudRun(cmd.Flags(), &o.cloudRun)
	o.report.addTo(cmd.Flags(), false)
	return cmd
}

func runDelete(ctx context.Context, w World, o *deleteOptions) (err error) {
	sink, err := o.report.open(w, o.common, o.dryRun)
	if err != nil {
		return err
	}
	defer func() { sink.Close(err) }()
	options, err := options("delete", &o.config, nil, nil)
	if err != nil {
		return err
	}
	options.CloudRun = o.cloudRun
	s, err := open(ctx, w, sink, &o.config, nil, options, needs{command: "delete", cluster: true})
	if err != nil {
		return err
	}
	defer s.close()
	if s.pipe.Rendering.Values, err = o.values.read(w); err != nil {
		return err
	}
	s.deploying(&applyFlags{})
	rendered, err := s.render(ctx)
	if err != nil {
		return err
	}
	images, err := standins(s.configs)
	if err != nil {
		return err
	}
	if rendered, err = s.pipe.RenderCharts(ctx, rendered, images); err != nil {
		return err
	}
	if o.dryRun {
		return printDoomed(ctx, w, s, rendered)
	}
	return s.pipe.Delete(ctx, rendered)
}

// printDoomed prints what a deletion would take away, as manifests.
func printDoomed(ctx context.Context, w World, s *session, rendered []pipeline.Rendered) error {
	doomed, err := s.pipe.Doomed(ctx, rendered)
	if err != nil {
		return err
	}
	for _, object := range doomed {
		text, err := yaml.Marshal(object)
		if err == nil {
			_, err = fmt.Fprintf(w.Stdout, "---\n%s", text)
		}
		if err != nil {
			return fmt.Errorf("writing what would be deleted: %w", err)
		}
	}
	return nil
}

// standins gives images of which only the name is true: what is deleted is not asked what it runs, but charts want a tag, and maybe a digest.
func standins(configs []*config.Config) ([]pipeline.Image, error) {
	var images []pipeline.Image
	for _, c := range configs {
		for _, a := range c.Model.Build.Artifacts {
			ref, err := image.Parse(a.Image)
			if err != nil {
				return nil, err
			}
			ref.Tag, ref.Digest = "latest", plan.Standin(len(images))
			images = append(images, prebuilt(a.Image, ref))
		}
	}
	return images, nil
}
