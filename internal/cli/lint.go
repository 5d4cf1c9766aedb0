package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/internal/config/lint"
)

type lintOptions struct {
	common *common
	config configFlags
	format string
}

func newLint(w World, c *common) *cobra.Command {
	o := &lintOptions{common: c}
	cmd := &cobra.Command{
		Use:   "lint",
		Short: "Find what is allowed in a config, its Dockerfiles and manifests, and likely not meant",
		Example: `  davit lint
  davit lint --format json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runLint(cmd.Context(), w, o) },
	}
	o.config.addTo(cmd.Flags())
	cmd.Flags().StringVar(&o.format, "format", "plain-text", "form of the answer: plain-text or json")
	cmd.Flags().StringVar(&o.format, "output", "plain-text", "the same as --format")
	return cmd
}

func runLint(ctx context.Context, w World, o *lintOptions) error {
	switch o.format {
	case "plain-text":
	case "json":
		results, err := o.results(ctx, w)
		if err != nil {
			return inJSON(w, true, err)
		}
		return json.NewEncoder(w.Stdout).Encode(results)
	default:
		return usageError{fmt.Errorf("format %q is not known: use plain-text or json", o.format)}
	}
	results, err := o.results(ctx, w)
	for _, r := range results {
		fmt.Fprintln(w.Stdout, r)
	}
	return err
}

func (o *lintOptions) results(ctx context.Context, w World) ([]lint.Result, error) {
	sink, err := o.common.lines(w, true)
	if err != nil {
		return nil, err
	}
	configs, err := o.config.load(ctx, w, sink, "lint", false)
	if err != nil {
		return nil, err
	}
	return lint.Run(ctx, configs, w.Dir)
}
