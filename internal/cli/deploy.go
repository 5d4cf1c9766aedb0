package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/pipeline"
	"github.com/davit-dev/davit/internal/plan"
)

type deployOptions struct {
	common *common
	report reportFlags
	config configFlags
	images imageFlags
	deploy deployFlags
	nodes  nodeFlags
	load   bool
	asIs   bool // the manifests keep the images that they name
}

func newDeploy(w World, c *common) *cobra.Command {
	o := &deployOptions{common: c}
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Deploy images that are built already, wait, and prove that they run",
		Long: `The second half of 'davit run', for pipelines that build in one place and deploy in another. The images come from a file that 'davit build
--file-output' (or Skaffold's) wrote; its references are taken verbatim.`,
		Example: `  davit build --file-output build.json && davit deploy -a build.json
  davit deploy -i web=registry.example.com/team/web:v1.2.3@sha256:... -n staging`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDeploy(cmd.Context(), w, o) },
	}
	o.config.addTo(cmd.Flags())
	o.report.addTo(cmd.Flags(), false)
	o.images.addTo(cmd.Flags())
	o.images.addTag(cmd.Flags())
	o.deploy.addTo(cmd.Flags())
	o.nodes.addTo(cmd.Flags(), false)
	without(cmd.Flags(), "build-concurrency")
	cmd.Flags().BoolVar(&o.asIs, "skip-render", false, "deploy the manifests with the images that they name, as 'davit render' leaves them")
	cmd.Flags().BoolVar(&o.load, "load-images", false, "bring the images from the Docker Engine into the nodes of a local cluster")
	return cmd
}

func runDeploy(ctx context.Context, w World, o *deployOptions) (err error) {
	sink, err := o.report.open(w, o.common, false)
	if err != nil {
		return err
	}
	defer func() { sink.Close(err) }()
	options, err := options("deploy", &o.config, nil, &o.deploy)
	if err != nil {
		return err
	}
	s, err := open(ctx, w, sink, &o.config, nil, options, needs{command: "deploy", cluster: true})
	if err != nil {
		return err
	}
	defer s.close()
	if s.pipe.Nodes, err = o.nodes.options(ctx, s); err != nil {
		return err
	}
	var images []pipeline.Image
	if !o.asIs {
		if images, err = o.images.read(w, s.configs, s.options.Repo); err != nil {
			return err
		}
	}
	if o.load {
		if err := s.loadGiven(ctx, images); err != nil {
			return err
		}
	}
	if s.cluster.Local { // their tags are all that there is
		for i := range images {
			images[i].Local = images[i].Local || images[i].Digest == ""
		}
	} else if err := s.pipe.Resolve(ctx, images, true); err != nil {
		return err
	}
	s.deploying(&o.deploy.apply)
	if err := s.readDeploy(&o.deploy); err != nil {
		return err
	}
	rendered, err := s.render(ctx)
	if err != nil {
		return err
	}
	if o.deploy.apply.preflight {
		if err := s.preflight(ctx, nil, rendered); err != nil {
			return err
		}
	}
	return s.andFollow(ctx, &o.deploy.rolloutFlags, images, func() error { return s.deploy(ctx, rendered, nil, images) })
}

// deploy puts the images into the manifests, and those into the cluster. artifacts are what was built here.
func (s *session) deploy(ctx context.Context, rendered []pipeline.Rendered, artifacts []plan.Artifact, images []pipeline.Image) error {
	if len(rendered) == 0 {
		s.sink.Emit(event.Warning{Message: "the config names no manifests: nothing is deployed"})
		return nil
	}
	rendered, err := s.pipe.Complete(ctx, rendered, artifacts, images)
	if err != nil {
		return err
	}
	return s.pipe.Deploy(ctx, rendered, images)
}
