package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/pipeline"
)

type deleteOptions struct {
	common *common
	report reportFlags
	config configFlags
}

func newDelete(w World, c *common) *cobra.Command {
	o := &deleteOptions{common: c}
	cmd := &cobra.Command{
		Use:   "delete",
		Short: "Take away what 'davit run' deployed, and wait until it is gone",
		Example: `  davit delete
  davit delete -p production -n staging`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDelete(cmd.Context(), w, o) },
	}
	o.config.addTo(cmd.Flags())
	notYet(cmd.Flags(), "dry-run", "set", "set-value-file")
	without(cmd.Flags(), "cloud-run-project", "cloud-run-location")
	o.report.addTo(cmd.Flags(), false)
	return cmd
}

func runDelete(ctx context.Context, w World, o *deleteOptions) (err error) {
	sink, err := o.report.open(w, o.common, false)
	if err != nil {
		return err
	}
	defer func() { sink.Close(err) }()
	options, err := options("delete", &o.config, nil, nil)
	if err != nil {
		return err
	}
	s, err := open(ctx, w, sink, &o.config, nil, options, needs{command: "delete", cluster: true})
	if err != nil {
		return err
	}
	defer s.close()
	rendered, err := s.render(ctx)
	if err != nil {
		return err
	}
	if rendered, err = s.pipe.RenderCharts(ctx, rendered, nameless(s.configs)); err != nil {
		return err
	}
	return s.pipe.Delete(ctx, rendered)
}

// nameless gives images of which nothing but the name is known: what is deleted is not asked what it runs.
func nameless(configs []*config.Config) []pipeline.Image {
	var images []pipeline.Image
	for _, c := range configs {
		for _, a := range c.Model.Build.Artifacts {
			images = append(images, pipeline.Image{Name: a.Image, Ref: a.Image})
		}
	}
	return images
}
