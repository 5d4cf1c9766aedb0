package cli

import (
	"cmp"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/internal/config/diag"
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
		RunE: func(*cobra.Command, []string) error { return runFix(w, o) },
	}
	cmd.Flags().StringVarP(&o.file, "filename", "f", "", `path of the config, "-" for standard input (default "skaffold.yaml")`)
	cmd.Flags().StringVar(&o.version, "version", "", "the apiVersion to bring it to (default the newest)")
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "file to write to, in place of standard output")
	cmd.Flags().BoolVar(&o.overwrite, "overwrite", false, "replace the config itself")
	return cmd
}

func runFix(w World, o *fixOptions) error {
	file := cmp.Or(o.file, "skaffold.yaml")
	if o.overwrite && (o.output != "" || file == "-") {
		return usageError{fmt.Errorf("--overwrite replaces the file that is read: leave out --output and name a file")}
	}
	text, err := readConfig(w, file)
	if err != nil {
		return err
	}
	fixed, err := load.Fix(&diag.Source{File: file, Text: text}, o.version)
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
		o.output = file
	}
	return writeOutput(w, o.output, fixed.Text)
}

func readConfig(w World, file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(w.Stdin)
	}
	text, err := os.ReadFile(w.path(file))
	if err != nil {
		return nil, fmt.Errorf("reading the config: %w: name it with -f", err)
	}
	return text, nil
}
