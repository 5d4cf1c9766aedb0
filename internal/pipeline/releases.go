package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/davit-dev/davit/internal/deploy/helm"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/plan"
	render "github.com/davit-dev/davit/internal/render/helm"
	"github.com/davit-dev/davit/internal/render/release"
)

// all are the objects of a deployment, those of its releases too.
func (r Rendered) all() []manifest.Object {
	if r.Work == nil {
		return r.Objects
	}
	return append(r.Objects[:len(r.Objects):len(r.Objects)], r.Work.Objects()...)
}

// prepareReleases renders the Helm releases of all deployments, and reads what is deployed of them. rendered itself stays as it is.
func (p *Pipeline) prepareReleases(ctx context.Context, rendered []Rendered, artifacts []plan.Artifact, images []Image) ([]Rendered, error) {
	known := forTemplates(images)
	out := slices.Clone(rendered)
	errs := make([]error, len(rendered))
	for i, r := range rendered {
		if r.Releases == nil || len(r.Releases.Releases) == 0 {
			continue
		}
		releases, err := p.releases(r.Deployment, known)
		if err != nil {
			errs[i] = err
			continue
		}
		deployer, err := p.deployer(r.Deployment, len(images)+len(r.Labels) > 0)
		if err != nil {
			errs[i] = err
			continue
		}
		transform := func(ctx context.Context, objects []manifest.Object) error {
			return p.transform(ctx, rendered, i, objects, artifacts, images)
		}
		if out[i].Work, err = deployer.Prepare(ctx, releases, transform); err != nil {
			errs[i] = fmt.Errorf("deploying: %w", err)
		}
	}
	return out, errors.Join(errs...)
}

// transform writes images and labels into objects of a deployment that are rendered late. What there is to say about them was said before.
func (p *Pipeline) transform(ctx context.Context, rendered []Rendered, i int, objects []manifest.Object, artifacts []plan.Artifact, images []Image) error {
	alone := make([]Rendered, len(rendered))
	for n, r := range rendered {
		alone[n].Deployment = r.Deployment // for the rules of all
	}
	alone[i].Objects = objects
	silent := *p
	silent.Sink = event.SinkFunc(func(event.Event) {})
	if err := silent.setImages(alone, images); err != nil {
		return err
	}
	return silent.placeOnNodes(ctx, alone, artifacts, images)
}

// deployer makes a deployer; edits says whether something is written into objects.
func (p *Pipeline) deployer(d plan.Deployment, edits bool) (*helm.Deployer, error) {
	o := helm.Options{
		Render: p.helm(d), Driver: p.variable("HELM_DRIVER"), Force: d.Force, Settle: settle, Now: p.Now, Edits: edits,
		Cluster: p.clusterFlags("--kube-context"), Claims: p.ReleaseClaims,
	}
	if d.Releases != nil {
		o.Concurrency, o.Tests = d.Releases.Concurrency, d.Releases.Tests
	}
	return helm.New(p.Kube, o, p.Sink)
}

// variable is one of the environment.
func (p *Pipeline) variable(name string) string {
	for _, v := range slices.Backward(p.Environ) {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

func (p *Pipeline) releaseContext(d plan.Deployment, images map[string]string) release.Context {
	return release.Context{
		Config: d.Releases.Config, Templates: p.Rendering.Templates, Images: images, Home: p.Rendering.Home, Namespace: p.Rendering.Namespace,
		Default: p.Kube.Namespace(), Overrides: p.Rendering.Values,
	}
}

func (p *Pipeline) releases(d plan.Deployment, images map[string]string) ([]helm.Release, error) {
	from := d.Releases
	made, err := release.Deployed(p.releaseContext(d, images), from.Releases, from.Flags.Global, from.Path...)
	if err != nil {
		return nil, err
	}
	out := make([]helm.Release, len(made))
	for i, r := range made {
		m := from.Releases[i]
		out[i] = helm.Release{
			Release: r, Install: from.Flags.Install, Upgrade: from.Flags.Upgrade, DepBuild: from.Flags.DepBuild,
			CreateNamespace: m.CreateNamespace != nil && *m.CreateNamespace, Wait: m.Wait, RecreatePods: m.RecreatePods, Keep: r.Remote,
		}
		if m.UpgradeOnChange != nil {
			out[i].Keep = !*m.UpgradeOnChange
		}
	}
	return out, nil
}

// deployReleases installs and upgrades the releases of a deployment, the place of which among all is i.
func (p *Pipeline) deployReleases(ctx context.Context, rolling *rollouts, all sets, i int, r Rendered) error {
	if r.Work == nil {
		return nil
	}
	deploy := func() ([]string, error) {
		applied, err := r.Work.Deploy(ctx)
		if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("deploying: %w", err)
		}
		all[i].releases = nil
		for _, made := range r.Work.Revisions() {
			all[i].releases = append(all[i].releases, kube.Release{Name: made.Name, Namespace: made.Namespace, Revision: made.Revision})
		}
		rolling.add(i, r.Deployment, applied)
		return namespacesOf(applied), err
	}
	ready := func() error { return rolling.ready(ctx, i) }
	return p.around(ctx, r.Releases.Rollout, []string{p.namespace(r.Deployment)}, deploy, ready)
}

// undoReleases takes back what a failed run did to releases, if that is wanted. The error is what the run ends with.
func (p *Pipeline) undoReleases(ctx context.Context, rendered []Rendered, failure error) error {
	if failure == nil || !p.Deploying.RollBack || ctx.Err() != nil {
		return failure
	}
	errs := []error{failure}
	for _, r := range slices.Backward(rendered) {
		if r.Work != nil {
			errs = append(errs, r.Work.Undo(ctx))
		}
	}
	return errors.Join(errs...)
}

// putBackReleases makes releases what they were in the revisions given. It gives what they consist of.
func (p *Pipeline) putBackReleases(ctx context.Context, d plan.Deployment, to []kube.Release) ([]kube.Applied, error) {
	if len(to) == 0 {
		return nil, nil
	}
	deployer, err := p.deployer(d, false)
	if err != nil {
		return nil, err
	}
	var all []kube.Applied
	for _, r := range to {
		applied, err := deployer.PutBack(ctx, r.Namespace, r.Name, r.Revision)
		if err != nil {
			return nil, err
		}
		all = append(all, applied...)
	}
	return all, nil
}

// namedReleases are the releases of a deployment by their names, wherever their charts are.
func (p *Pipeline) namedReleases(d plan.Deployment) ([]render.Release, error) {
	if d.Releases == nil {
		return nil, nil
	}
	return release.Names(p.releaseContext(d, nil), d.Releases.Releases, d.Releases.Flags.Global, d.Releases.Path...)
}

// deleteReleases uninstalls the releases of a deployment.
func (p *Pipeline) deleteReleases(ctx context.Context, r Rendered) error {
	if r.Releases == nil || len(r.Releases.Releases) == 0 {
		return nil
	}
	named, err := p.namedReleases(r.Deployment)
	if err != nil {
		return err
	}
	deployer, err := p.deployer(r.Deployment, false)
	if err != nil {
		return err
	}
	return deployer.Uninstall(ctx, named)
}

// lookAtReleases compares the releases of a deployment with the cluster.
func (p *Pipeline) lookAtReleases(ctx context.Context, r Rendered, standins []string) (s seen, err error) {
	if r.Work == nil {
		return s, nil
	}
	found, err := r.Work.Preview(ctx)
	if err != nil {
		return s, err
	}
	for _, f := range found {
		one := plan.PlannedObject{Resource: "release/" + f.Name, Namespace: f.Namespace, Action: plan.ObjectChange, UID: fmt.Sprint(f.Revision)}
		switch {
		case f.Err != nil:
			one.Action, one.Error = plan.ObjectFail, showText(f.Err.Error(), standins)
		case f.Unchanged:
			one.Action = plan.ObjectUnchanged
		case f.Install:
			one.Action = plan.ObjectCreate
		}
		for _, note := range f.Notes {
			one.Notes = append(one.Notes, showText(note, standins))
		}
		if f.Chart != nil {
			if one.Fingerprint, err = fingerprint(map[string]any{"chart": string(f.Chart)}); err != nil {
				return s, err
			}
		}
		var values any
		if f.Values != nil {
			values = f.Values
		}
		s.add(one, values)
		for _, o := range f.Objects {
			object, hidden, err := plannedObject(o, "", standins)
			if err != nil {
				return s, err
			}
			s.add(object, hidden)
		}
		for _, o := range f.Removed {
			s.add(plan.PlannedObject{Resource: o.Resource, Namespace: o.Namespace, Action: plan.ObjectPrune}, nil)
		}
	}
	return s, nil
}
