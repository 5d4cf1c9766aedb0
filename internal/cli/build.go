package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/internal/pipeline"
	"github.com/davit-dev/davit/internal/plan"
)

// defaultOutput is the template that prints Skaffold's build output files.
const defaultOutput = "{{json .}}"

type buildOptions struct {
	common     *common
	report     reportFlags
	config     configFlags
	build      buildFlags
	quiet      bool
	output     string
	fileOutput string
	dryRun     bool
}

func newBuild(w World, c *common) *cobra.Command {
	o := &buildOptions{common: c}
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build and tag the images",
		Example: `  davit build
  davit build -b web -t v1.2.3
  davit build -q > build.json
  davit build --file-output build.json --default-repo registry.example.com/team
  davit build -q --dry-run --output '{{range .Builds}}{{.Tag}}{{"\n"}}{{end}}'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBuild(cmd.Context(), w, o) },
	}
	o.config.addTo(cmd.Flags())
	o.report.addTo(cmd.Flags(), true)
	o.build.addTo(cmd.Flags(), false)
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "print the built images only, see --output")
	cmd.Flags().StringVarP(&o.output, "output", "o", defaultOutput, "Go template for --quiet and --file-output, over .Builds with .ImageName and .Tag; without --quiet, json is a line of JSON for every event")
	cmd.Flags().StringVar(&o.fileOutput, "file-output", "", "write the built images to this file as well")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "say what would be built and why, and build nothing")
	return cmd
}

func runBuild(ctx context.Context, w World, o *buildOptions) (err error) {
	if !o.quiet && isEvents(o.output) {
		o.report.output, o.output = o.output, defaultOutput
	}
	o.report.quiet = o.quiet
	sink, err := o.report.open(w, o.common, o.quiet)
	if err != nil {
		return err
	}
	defer func() { sink.Close(err) }()
	format, err := template.New("output").Funcs(template.FuncMap{"json": toJSON}).Parse(o.output)
	if err != nil {
		return usageError{fmt.Errorf("--output is no Go template: %w", err)}
	}
	options, err := options("build", &o.config, &o.build, nil)
	if err != nil {
		return err
	}
	s, err := open(ctx, w, sink, &o.config, &o.build, options, needs{command: "build", nodes: o.build.checkNodes})
	if err != nil {
		return err
	}
	defer s.close()
	artifacts, err := s.prepare(ctx)
	if err != nil {
		return err
	}
	images := planned(artifacts)
	if !o.dryRun {
		if images, err = s.build(ctx, artifacts); err != nil {
			return err
		}
	}
	return o.write(w, format, images)
}

// planned gives the references of a dry run: tags alone, as Skaffold does, also of images that exist.
func planned(artifacts []plan.Artifact) []pipeline.Image {
	images := make([]pipeline.Image, 0, len(artifacts))
	for _, a := range artifacts {
		images = append(images, pipeline.Image{Name: a.Image, Ref: a.Ref.String()})
	}
	return images
}

// builds is the shape of Skaffold's build output files.
type builds struct {
	Builds []built `json:"builds"`
}

type built struct {
	ImageName string `json:"imageName"`
	Tag       string `json:"tag"`
}

func toJSON(v any) (string, error) {
	out, err := json.Marshal(v)
	return string(out), err
}

func (o *buildOptions) write(w World, format *template.Template, images []pipeline.Image) error {
	if !o.quiet && o.fileOutput == "" {
		return nil
	}
	result := builds{Builds: []built{}}
	for _, i := range images {
		result.Builds = append(result.Builds, built{i.Name, i.Ref})
	}
	var text bytes.Buffer
	if err := format.Execute(&text, result); err != nil {
		return fmt.Errorf("writing the built images by --output: %w", err)
	}
	if o.quiet {
		if _, err := w.Stdout.Write(text.Bytes()); err != nil {
			return fmt.Errorf("writing the built images: %w", err)
		}
	}
	if o.fileOutput == "" {
		return nil
	}
	return writeOutput(w, o.fileOutput, text.Bytes())
}
