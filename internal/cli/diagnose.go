package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/internal/config/load"
	"github.com/davit-dev/davit/internal/config/template"
)

type diagnoseOptions struct {
	common     *common
	config     configFlags
	yamlOnly   bool
	templating bool
	output     string
}

func newDiagnose(w World, c *common) *cobra.Command {
	o := &diagnoseOptions{common: c}
	cmd := &cobra.Command{
		Use:   "diagnose",
		Short: "Check the config, and print it as it is understood",
		Example: `  davit diagnose
  davit diagnose --yaml-only -p production`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDiagnose(cmd.Context(), w, o) },
	}
	o.config.addTo(cmd.Flags())
	cmd.Flags().BoolVar(&o.yamlOnly, "yaml-only", false, "print the config and nothing else")
	cmd.Flags().BoolVar(&o.templating, "enable-templating", false, "expand the templates that can be expanded now")
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "file to write to, in place of standard output")
	return cmd
}

func runDiagnose(ctx context.Context, w World, o *diagnoseOptions) error {
	sink, err := o.common.lines(w, true)
	if err != nil {
		return err
	}
	configs, err := o.config.load(ctx, w, sink, "diagnose", true)
	if err != nil {
		return err
	}
	if !o.yamlOnly {
		for _, c := range configs {
			fmt.Fprintf(w.Stdout, "%s: %s, %d artifacts, profiles %v\n", c.File, c.APIVersion, len(c.Model.Build.Artifacts), c.Profiles)
		}
	}
	if o.templating {
		expander := template.New(template.Environment{Environ: w.Environ, Now: w.Now})
		for _, c := range configs {
			if err := expander.Apply(c.Model); err != nil {
				return fmt.Errorf("%s: %w", c.File, err)
			}
		}
	}
	text, err := load.Effective(configs)
	if err != nil {
		return err
	}
	return writeOutput(w, o.output, text)
}

// writeOutput writes to a file, or to standard output when none is named.
func writeOutput(w World, path string, text []byte) error {
	if path == "" {
		_, err := w.Stdout.Write(text)
		return err
	}
	if err := os.WriteFile(w.path(path), text, 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
