package cli

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/internal/config/load"
)

type fixOptions struct {
	file      string
	version   string
	output    string
	overwrite bool
}

func newFix(w World) *cobra.Command {
	o := &fixOptions{}
	cmd := &cobra.Command{
		Use:   "fix",
		Short: "Bring a config to a newer apiVersion, with its comments",
		Example: `  davit fix
  davit fix --overwrite
  davit fix --version skaffold/v4beta11 -o new.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runFix(cmd.Context(), w, o) },
	}
	cmd.Flags().StringVarP(&o.file, "filename", "f", "", `path or URL of the config, "-" for standard input (default "skaffold.yaml")`)
	cmd.Flags().StringVar(&o.version, "version", "", "the apiVersion to bring it to (default the newest)")
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "file to write to, in place of standard output")
	cmd.Flags().BoolVar(&o.overwrite, "overwrite", false, "replace the config itself")
	// These choose among configs elsewhere; what is fixed is one file, whole.
	cmd.Flags().StringSliceP("module", "m", nil, "no effect")
	cmd.Flags().String("remote-cache-dir", "", "no effect")
	cmd.Flags().String("sync-remote-cache", "", "no effect")
	for _, name := range []string{"module", "remote-cache-dir", "sync-remote-cache"} {
		cmd.Flags().Lookup(name).Hidden = true
	}
	return cmd
}

func runFix(ctx context.Context, w World, o *fixOptions) error {
	src, path, err := load.Source(ctx, load.Options{File: o.file, Dir: w.Dir, Stdin: w.Stdin})
	if err != nil {
		return err
	}
	if o.overwrite && (o.output != "" || !filepath.IsAbs(path)) {
		return usageError{fmt.Errorf("--overwrite replaces the file that is read: leave out --output and name a file")}
	}
	fixed, err := load.Fix(src, o.version)
	if err != nil {
		return err
	}
	for _, warning := range fixed.Warnings {
		fmt.Fprintln(w.Stderr, "warning:", warning)
	}
	if !fixed.Changed {
		fmt.Fprintln(w.Stderr, "config is already of this version")
		if o.overwrite {
			return nil
		}
	}
	if o.overwrite {
		o.output = path
	}
	return writeOutput(w, o.output, fixed.Text)
}
