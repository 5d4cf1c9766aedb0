package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/internal/plan"
)

type runOptions struct {
	common *common
	report reportFlags
	config configFlags
	build  buildFlags
	deploy deployFlags
	nodes  nodeFlags
	plan   string
}

func newRun(w World, c *common) *cobra.Command {
	o := &runOptions{common: c}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Build, tag, deploy, wait, and prove that what runs is what was built",
		Long: `Builds the images that are not up to date, puts their tags and digests into the manifests, applies those, waits until the
workloads are rolled out and compares the digest of every running container with the one that was built.
A second run without changes builds nothing and writes nothing to the cluster.`,
		Example: `  davit run
  davit run -f service/skaffold.yaml -p production
  davit run --plan plan.json
  davit run --default-repo registry.example.com/team -n staging`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			saved, err := takePlan(w, cmd.Flags(), o.plan)
			if err != nil {
				return err
			}
			return runRun(cmd.Context(), w, o, saved)
		},
	}
	o.config.addTo(cmd.Flags())
	o.report.addTo(cmd.Flags(), false)
	o.build.addTo(cmd.Flags(), true)
	o.build.addDigestSource(cmd.Flags())
	o.deploy.addTo(cmd.Flags())
	o.nodes.addTo(cmd.Flags(), true)
	cmd.Flags().StringVar(&o.plan, "plan", "", "carry out exactly this plan of 'davit plan --save', or refuse when anything moved since")
	without(cmd.Flags(), "cleanup", "no-prune", "no-prune-children", "auto-create-config")
	notYet(cmd.Flags(), "auto")
	return cmd
}

func runRun(ctx context.Context, w World, o *runOptions, saved *plan.Saved) (err error) {
	sink, err := o.report.open(w, o.common, false)
	if err != nil {
		return err
	}
	defer func() { sink.Close(err) }()
	options, err := options("run", &o.config, &o.build, &o.deploy)
	if err != nil {
		return err
	}
	options.Tags = saved.Tags()
	s, err := open(ctx, w, sink, &o.config, &o.build, options, needs{command: "run", cluster: true, nodes: o.build.checkNodes})
	if err != nil {
		return err
	}
	defer s.close()
	if s.pipe.Nodes, err = o.nodes.options(ctx, s); err != nil {
		return err
	}
	s.deploying(&o.deploy.apply)
	if err := s.readDeploy(&o.deploy); err != nil {
		return err
	}
	rendered, err := s.render(ctx) // before building: a manifest that cannot be read is known at once
	if err != nil {
		return err
	}
	artifacts, err := s.prepare(ctx)
	if err != nil {
		return err
	}
	if err := s.checkPlan(ctx, saved, artifacts, rendered); err != nil {
		return err
	}
	if o.deploy.apply.preflight {
		if err := s.preflight(ctx, artifacts, rendered); err != nil {
			return err
		}
	}
	images, err := s.build(ctx, artifacts)
	if err != nil {
		return err
	}
	return s.andFollow(ctx, &o.deploy.rolloutFlags, images, func() error { return s.deploy(ctx, rendered, artifacts, images) })
}
