package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/pipeline"
	"github.com/davit-dev/davit/internal/plan"
	"github.com/davit-dev/davit/internal/render"
)

type applyOptions struct {
	common *common
	report reportFlags
	config configFlags
	deploy deployFlags
}

func newApply(w World, c *common) *cobra.Command {
	o := &applyOptions{common: c}
	cmd := &cobra.Command{
		Use:   "apply FILE...",
		Short: "Apply manifests that are rendered already, wait, and prove what runs",
		Long: `The last part of 'davit run', for what 'davit render' (or Skaffold's) wrote: files, folders, addresses, or - for standard input. The manifests are
applied as they are; containers whose images are pinned to a digest are compared with it. Of the config only what it says about deploying counts:
namespace, deadline, status check. There need not be one; then no inventory is kept.`,
		Example: `  davit render -a build.json -o out.yaml && davit apply out.yaml
  davit render | davit apply - -n staging`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("davit apply needs files with manifests, or - for standard input")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runApply(cmd.Context(), w, o, args) },
	}
	o.config.addTo(cmd.Flags())
	o.report.addTo(cmd.Flags(), false)
	o.deploy.addTo(cmd.Flags())
	without(cmd.Flags(), "inventory-namespace", "inventory-id", "inventory-name")
	return cmd
}

func runApply(ctx context.Context, w World, o *applyOptions, files []string) (err error) {
	sink, err := o.report.open(w, o.common, false)
	if err != nil {
		return err
	}
	defer func() { sink.Close(err) }()
	if err := o.check(w, files); err != nil {
		return err
	}
	options, err := options("apply", &o.config, nil, &o.deploy)
	if err != nil {
		return err
	}
	s, err := open(ctx, w, sink, &o.config, nil, options, needs{command: "apply", cluster: true, aside: true})
	if err != nil {
		return err
	}
	defer s.close()
	s.deploying(&o.deploy.apply)
	if err := s.readDeploy(&o.deploy); err != nil {
		return err
	}
	objects, err := s.read(ctx, files)
	if err != nil {
		return err
	}
	if len(objects) == 0 {
		sink.Emit(event.Warning{Message: strings.Join(files, ", ") + ": there are no objects, nothing is applied"})
		return nil
	}
	if len(s.configs) > 1 {
		s.project = projectName(ctx, w)
	}
	d, err := plan.Apply(s.configs, s.project, s.options)
	if err != nil {
		return err
	}
	rendered := []pipeline.Rendered{{Deployment: d, Objects: objects}}
	images, err := pipeline.Pinned(rendered)
	if err != nil {
		return err
	}
	if rendered, err = s.pipe.Complete(ctx, rendered, nil, nil); err != nil { // namespace and labels
		return err
	}
	return s.andFollow(ctx, &o.deploy.rolloutFlags, images, func() error { return s.pipe.Deploy(ctx, rendered, images) })
}

// check finds files that are not there before anything is asked.
func (o *applyOptions) check(w World, files []string) error {
	for _, file := range files {
		switch {
		case file == "-" && o.config.file == "-":
			return usageError{errors.New("standard input cannot be both the config and the manifests")}
		case file == "-" || strings.Contains(file, "://"):
			continue
		}
		if _, err := os.Stat(w.path(file)); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s does not exist", file)
		} else if err != nil {
			return fmt.Errorf("reading the manifests: %w", err)
		}
	}
	return nil
}

// read reads manifests in the order in which they are named.
func (s *session) read(ctx context.Context, files []string) ([]manifest.Object, error) {
	var all []manifest.Object
	for _, file := range files {
		var objects []manifest.Object
		var err error
		if file == "-" {
			objects, err = readStdin(s.world)
		} else {
			objects, err = render.Manifests(ctx, render.Options{Dir: s.world.Dir, Patterns: []string{file}, Bucket: s.pipe.Rendering.Bucket}, s.sink)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}

func readStdin(w World) ([]manifest.Object, error) {
	if w.Stdin == nil {
		return nil, errors.New("reading manifests from standard input: there is none")
	}
	text, err := io.ReadAll(w.Stdin)
	if err != nil {
		return nil, fmt.Errorf("reading manifests from standard input: %w", err)
	}
	return manifest.Parse("standard input", text)
}

// none says whether no config is named and none is there.
func (c *configFlags) none(w World) bool {
	if c.file != "" {
		return false
	}
	for _, name := range []string{"skaffold.yaml", "skaffold.yml"} {
		if _, err := os.Stat(filepath.Join(w.Dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

// valueFlags set what manifests and charts take as parameters.
type valueFlags struct {
	set  []string
	file string
}

// addTo adds the flags; withFile is whether values may come from a file.
func (v *valueFlags) addTo(f *pflag.FlagSet, withFile bool) {
	f.StringSliceVar(&v.set, "set", nil, "value for charts and for fields with a comment '# from-param: ${name}': name=value")
	if withFile {
		f.StringVar(&v.file, "set-value-file", "", "file with such values, as lines name=value")
	}
}
