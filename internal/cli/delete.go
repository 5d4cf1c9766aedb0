package cli

import (
	"context"

	"github.com/spf13/cobra"
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
	return s.pipe.Delete(ctx, rendered)
}
