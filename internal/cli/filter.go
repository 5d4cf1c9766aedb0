package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"

	"github.com/joho/godotenv"
	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/internal/command"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/image"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/pipeline"
	"github.com/davit-dev/davit/internal/plan"
)

type filterOptions struct {
	common       *common
	config       configFlags
	images       imageFlags
	values       valueFlags
	labels       []string
	rules        string
	postRenderer string
}

func newFilter(w World, c *common) *cobra.Command {
	o := &filterOptions{common: c}
	cmd := &cobra.Command{
		Use:   "filter",
		Short: "Put images, labels and values into manifests from standard input",
		Long: `Reads manifests from standard input, puts in the images of --build-artifacts, the labels and the values that are asked for, and prints them. It builds
nothing and asks no cluster; of the config only resourceSelector counts, and there need not be one. So it serves as Helm's post-renderer.`,
		Example: `  kustomize build overlay | davit filter -a build.json | kubectl apply -f -`,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runFilter(cmd.Context(), w, o) },
	}
	f := cmd.Flags()
	o.config.addTo(f)
	o.images.addTo(f)
	o.values.addTo(f, false)
	f.StringSliceVarP(&o.labels, "label", "l", nil, "label to set on objects and their pods, name=value")
	f.StringVar(&o.rules, "resource-selector-rules-file", "", "file that says where kinds hold images and labels, as resourceSelector does; it has the last word")
	f.StringVar(&o.postRenderer, "post-renderer", "", "program that the manifests go through first")
	notYet(f, "debugging")
	without(f, "protocols")
	return cmd
}

func runFilter(ctx context.Context, w World, o *filterOptions) error {
	sink, err := o.common.lines(w, true)
	if err != nil {
		return err
	}
	options, err := options("filter", &o.config, nil, &deployFlags{labels: o.labels, statusCheckGiven: func() bool { return false }})
	if err != nil {
		return err
	}
	values, err := o.values.read(w)
	if err != nil {
		return err
	}
	s := &session{world: w, sink: sink, flags: &o.config, options: options}
	if !o.config.none(w) {
		if s.configs, err = o.config.load(ctx, w, sink, "filter", false); err != nil {
			return err
		}
	}
	if err := s.readRules(o.rules); err != nil {
		return err
	}
	images, err := o.images.read(w, nil, image.DefaultRepo{})
	if err != nil {
		return err
	}
	objects, err := o.read(ctx, w, sink)
	if err != nil {
		return err
	}
	if err := manifest.SetValues(objects, values); err != nil {
		return err
	}
	rules, err := plan.Rules(s.configs, s.options)
	if err != nil {
		return err
	}
	rendered := []pipeline.Rendered{{Deployment: plan.Deployment{Rules: rules, Labels: s.options.Labels}, Objects: objects}}
	if _, err := (&pipeline.Pipeline{Sink: sink}).Complete(ctx, rendered, nil, images); err != nil {
		return err
	}
	return writeObjects(w, "", objects)
}

// read gives the manifests of standard input, sent through the post-renderer if there is one.
func (o *filterOptions) read(ctx context.Context, w World, sink event.Sink) ([]manifest.Object, error) {
	if o.postRenderer == "" {
		return readStdin(w)
	}
	cmd := command.Command{
		Args: []string{o.postRenderer}, Dir: w.Dir, Environ: w.Environ, Stdin: w.Stdin,
		Line: func(line string) { sink.Emit(event.Warning{Message: o.postRenderer + ": " + line}) },
	}
	out, err := cmd.Output(ctx)
	if err != nil {
		return nil, fmt.Errorf("--post-renderer %s: %w", o.postRenderer, err)
	}
	return manifest.Parse(o.postRenderer, out)
}

// writeObjects writes manifests to a file, or to standard output where none is named.
func writeObjects(w World, file string, objects []manifest.Object) error {
	out, end := w.Stdout, func() error { return nil }
	if file != "" {
		f, err := os.OpenFile(w.path(file), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644) // as writeOutput
		if err != nil {
			return fmt.Errorf("writing the manifests: %w", err)
		}
		out, end = f, f.Close
	}
	if err := errors.Join(manifest.Stream(out, objects), end()); err != nil {
		return fmt.Errorf("writing the manifests: %w", err)
	}
	return nil
}

// read gives the values of the flags; those of --set count before those of the file.
func (v *valueFlags) read(w World) (map[string]string, error) {
	values := map[string]string{}
	if v.file != "" {
		file, err := os.Open(w.path(v.file))
		if err != nil {
			return nil, fmt.Errorf("--set-value-file: %w", err)
		}
		defer file.Close()
		fromFile, err := godotenv.Parse(file)
		if err != nil {
			return nil, fmt.Errorf("--set-value-file %s: %w", v.file, err)
		}
		maps.Copy(values, fromFile)
	}
	for _, set := range v.set {
		name, value, ok := strings.Cut(set, "=")
		if !ok || name == "" {
			return nil, usageError{errors.New("--set " + set + ": want name=value")}
		}
		values[name] = value
	}
	return values, nil
}
