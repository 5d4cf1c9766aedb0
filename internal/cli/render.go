package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/pipeline"
	"github.com/davit-dev/davit/internal/plan"
)

type renderOptions struct {
	common  *common
	report  reportFlags
	config  configFlags
	build   buildFlags
	images  imageFlags
	values  valueFlags
	nodes   nodeFlags
	labels  []string
	rules   string
	output  string
	offline bool
	loud    bool
}

func newRender(w World, c *common) *cobra.Command {
	o := &renderOptions{common: c}
	cmd := &cobra.Command{
		Use:   "render",
		Short: "Print the manifests with the images in them, and deploy nothing",
		Long: `Makes the manifests as 'davit run' would apply them: raw YAML, kustomizations and Helm charts, with the references of the images in them. Where those
come from is said by --build-artifacts or --images; else by --digest-source: the registry is asked what has the tag (remote), the tag alone is
taken (tag), the images are built (local), or the manifests keep the images that they name (none). Standard output holds the manifests and nothing else.`,
		Example: `  davit render
  davit render -a build.json -o out.yaml
  davit render --digest-source local -p production | less`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRender(cmd.Context(), w, o) },
	}
	f := cmd.Flags()
	o.config.addTo(f)
	o.report.addTo(f, true)
	o.build.addTo(f, false)
	o.images.addTo(f)
	f.StringVar(&o.build.digestSource, "digest-source", "", "where references come from: remote, tag, local or none (default: remote, tag for a cluster on this machine)")
	f.StringSliceVarP(&o.labels, "label", "l", nil, "label to set on objects and their pods, name=value")
	f.StringVar(&o.rules, "resource-selector-rules-file", "", "file that says where kinds hold images and labels, as resourceSelector does; it has the last word")
	f.StringVarP(&o.output, "output", "o", "", "file to write to, in place of standard output")
	f.BoolVar(&o.offline, "offline", false, "ask no cluster, and put objects into no namespace")
	f.BoolVar(&o.loud, "loud", false, "say what is built and why, on standard error")
	o.values.addTo(f, true)
	o.nodes.addTo(f, false)
	without(f, "hydration-dir", "cloud-run-project", "cloud-run-location")
	return cmd
}

func runRender(ctx context.Context, w World, o *renderOptions) (err error) {
	o.report.quiet = !o.loud
	sink, err := o.report.open(w, o.common, true)
	if err != nil {
		return err
	}
	defer func() { sink.Close(err) }()
	options, err := options("render", &o.config, &o.build, &deployFlags{labels: o.labels, statusCheckGiven: func() bool { return false }})
	if err != nil {
		return err
	}
	s, err := open(ctx, w, sink, &o.config, &o.build, options, needs{command: "render", offline: o.offline})
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.readRules(o.rules); err != nil {
		return err
	}
	if s.pipe.Rendering.Values, err = o.values.read(w); err != nil {
		return err
	}
	rendered, err := s.render(ctx)
	if err != nil {
		return err
	}
	artifacts, images, err := o.find(ctx, w, s)
	if err != nil {
		return err
	}
	if s.pipe.Nodes, err = o.nodes.options(ctx, s); err != nil {
		return err
	}
	s.pipe.Rendering.KeepNamespaces = o.offline
	if rendered, err = s.pipe.Complete(ctx, rendered, artifacts, images); err != nil {
		return err
	}
	return o.write(w, rendered)
}

// find gives the images that the manifests get, and the artifacts that were built for that.
func (o *renderOptions) find(ctx context.Context, w World, s *session) ([]plan.Artifact, []pipeline.Image, error) {
	source, err := plan.ParseDigestSource(o.build.digestSource, s.cluster.Local)
	if err != nil {
		return nil, nil, usageError{err}
	}
	if o.images.given() {
		o.images.tag = o.build.tag
		images, err := o.images.read(w, nil, s.options.Repo)
		if err == nil && source == plan.DigestRemote {
			err = s.pipe.Resolve(ctx, images, false)
		}
		return nil, images, err
	}
	if source == plan.DigestLocal {
		if err := plan.Supported(s.configs, "build"); err != nil {
			return nil, nil, err
		}
		artifacts, err := s.prepare(ctx)
		if err != nil {
			return nil, nil, err
		}
		images, err := s.build(ctx, artifacts)
		return artifacts, images, err
	}
	drafts, err := plan.Drafts(s.configs, s.options)
	if err != nil {
		return nil, nil, err
	}
	images, err := s.pipe.Unbuilt(ctx, drafts, source)
	return nil, images, err
}

func (o *renderOptions) write(w World, rendered []pipeline.Rendered) error {
	var all []manifest.Object
	for _, r := range rendered {
		all = append(all, r.Objects...)
	}
	return writeObjects(w, o.output, all)
}
