package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/load"
	"github.com/davit-dev/davit/internal/config/template"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/tag"
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
  davit diagnose --yaml-only -p production
  davit diagnose --output json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDiagnose(cmd.Context(), w, o) },
	}
	o.config.addTo(cmd.Flags())
	cmd.Flags().BoolVar(&o.yamlOnly, "yaml-only", false, "print the config and nothing else")
	cmd.Flags().BoolVar(&o.templating, "enable-templating", false, "expand the templates that can be expanded now")
	cmd.Flags().StringVarP(&o.output, "output", "o", "", `file to write to, in place of standard output; "json" prints what is wrong as JSON instead`)
	return cmd
}

func runDiagnose(ctx context.Context, w World, o *diagnoseOptions) error {
	sink, err := o.common.lines(w, true)
	if err != nil {
		return err
	}
	if o.output == "json" {
		return diagnoseJSON(ctx, w, sink, o)
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
		expander := template.New(template.Environment{Environ: w.Environ, Now: w.Now, Run: func(name string, args ...string) (string, error) {
			out, err := tag.Exec(w.Environ)(ctx, w.Dir, name, args...)
			return string(out), err
		}})
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

// diagnosis is what programs get to know of a config. Without errors, it lists the documents that it consists of.
type diagnosis struct {
	Errors   diag.List           `json:"errors"`
	Warnings diag.List           `json:"warnings,omitempty"`
	Configs  []diagnosedDocument `json:"configs,omitempty"`
}

// diagnosedDocument is one document, in the order of deployment.
type diagnosedDocument struct {
	File       string   `json:"file"`
	Name       string   `json:"name,omitempty"`
	APIVersion string   `json:"apiVersion"`
	Commit     string   `json:"commit,omitempty"`
	Profiles   []string `json:"profiles,omitempty"`
}

// diagnoseJSON checks the config as a run would, and prints one JSON object, whatever the result.
func diagnoseJSON(ctx context.Context, w World, sink event.Sink, o *diagnoseOptions) error {
	if o.yamlOnly || o.templating {
		return usageError{errors.New("--output json prints no config: leave out --yaml-only and --enable-templating, or write ./json for a file of that name")}
	}
	configs, err := o.config.load(ctx, w, sink, "diagnose", false)
	d := diagnosis{Errors: problems(err)}
	for _, c := range configs {
		d.Warnings = append(d.Warnings, c.Warnings...)
		d.Configs = append(d.Configs, diagnosedDocument{File: c.File, Name: c.Name, APIVersion: c.APIVersion, Commit: c.Commit, Profiles: c.Profiles})
	}
	writing := json.NewEncoder(w.Stdout).Encode(d)
	if err != nil {
		return told{err, writing}
	}
	return writing
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
