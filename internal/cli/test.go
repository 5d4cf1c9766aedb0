package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/plan"
)

type testOptions struct {
	common *common
	report reportFlags
	config configFlags
	images imageFlags
}

func newTest(w World, c *common) *cobra.Command {
	o := &testOptions{common: c}
	cmd := &cobra.Command{
		Use:   "test",
		Short: "Test images that are built already",
		Long:  `Runs all tests of the config's images: its own commands, and container-structure-test where that is installed.`,
		Example: `  davit build --file-output build.json && davit test -a build.json
  davit test -i web=registry.example.com/team/web:v1.2.3`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runTest(cmd.Context(), w, o) },
	}
	o.config.addTo(cmd.Flags())
	o.report.addTo(cmd.Flags(), false)
	o.images.addTo(cmd.Flags())
	o.images.addTag(cmd.Flags())
	return cmd
}

func runTest(ctx context.Context, w World, o *testOptions) (err error) {
	sink, err := o.report.open(w, o.common, false)
	if err != nil {
		return err
	}
	defer func() { sink.Close(err) }()
	options, err := options("test", &o.config, nil, nil)
	if err != nil {
		return err
	}
	s, err := open(ctx, w, sink, &o.config, &buildFlags{}, options, needs{command: "test"})
	if err != nil {
		return err
	}
	defer s.close()
	images, err := o.images.read(w, s.configs, s.options.Repo)
	if err != nil {
		return err
	}
	cases, err := plan.Tests(s.configs, s.options)
	if err != nil {
		return err
	}
	if len(cases) == 0 {
		sink.Emit(event.Note{Message: "the config has no tests"})
		return nil
	}
	return s.pipe.TestImages(ctx, cases, images)
}
