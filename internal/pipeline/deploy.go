package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/plan"
)

// setImages writes the built references and the labels that were asked for into the objects, and says which artifacts nothing uses.
func (p *Pipeline) setImages(rendered []Rendered, images []Image) error {
	refs, unlisted := make(map[string]string, len(images)), map[string]bool{}
	maps.Copy(unlisted, p.Bases)
	for _, i := range images {
		refs[i.Name] = i.Ref
	}
	var all []manifest.Object
	var rules []manifest.Rules
	for _, r := range rendered {
		all, rules = append(all, r.all()...), append(rules, r.Rules...)
		for image := range r.Docker.Images() {
			unlisted[image] = true
		}
	}
	selector, err := manifest.NewSelector(rules...)
	if err != nil {
		return err
	}
	for _, r := range selector.ReplaceImages(all, refs) {
		switch {
		case r.Assumed != "":
			p.warn("the manifests have no image %s, so %s is taken to be it: name the artifact %s to be sure", r.Image, r.Assumed, r.Assumed)
		case unlisted[r.Image] && r.Used == 0: // it is in the image of another artifact, or runs in a Docker Engine
		case r.Used > 0 && len(r.Similar) > 0:
			p.Sink.Emit(event.Info{Message: fmt.Sprintf("images that look like artifact %s and are left as they are: %s", r.Image, strings.Join(r.Similar, ", "))})
		case r.Used > 0:
		case len(r.Elsewhere) > 0:
			p.warn("no manifest uses artifact %s where davit knows of images, but it stands in %s: if that is an image, say so with resourceSelector or the annotation %s",
				r.Image, strings.Join(r.Elsewhere, ", "), manifest.ImagePathsAnnotation)
		case len(r.Similar) > 0:
			p.warn("no manifest uses artifact %s; similar: %s", r.Image, strings.Join(r.Similar, ", "))
		case len(all) > 0:
			p.warn("no manifest uses artifact %s: the %d objects of this config name other images", r.Image, len(all))
		}
	}
	for _, r := range rendered {
		for _, conflict := range selector.SetLabels(r.all(), r.Labels) {
			p.warn("%s", conflict)
		}
	}
	return nil
}

// setNamespace puts objects that name no namespace into one. Those that name another stay there, with a warning.
func (p *Pipeline) setNamespace(rendered []Rendered, namespace string) error {
	for _, r := range rendered {
		selector, err := manifest.NewSelector(r.Rules...)
		if err != nil {
			return err
		}
		for _, conflict := range selector.SetNamespace(r.Objects, namespace) {
			p.warn("%s", conflict)
		}
	}
	return nil
}

func (p *Pipeline) warn(format string, args ...any) {
	p.Sink.Emit(event.Warning{Message: fmt.Sprintf(format, args...)})
}

// Deploy applies the objects, waits for the workloads and proves that they run the images. What changed is kept in the history.
func (p *Pipeline) Deploy(ctx context.Context, rendered []Rendered, images []Image) error {
	began := p.Now()
	all, err := p.sets(rendered)
	if err != nil {
		return err
	}
	err = p.deploy(ctx, rendered, images, all, began)
	return p.finish(ctx, all, images, began, p.undoReleases(ctx, rendered, err))
}

func (p *Pipeline) deploy(ctx context.Context, rendered []Rendered, images []Image, all sets, began time.Time) error {
	running, inCloud := &p.running, &p.inCloud
	rolling := &rollouts{Pipeline: p}
	err := p.stage(event.StageDeploy, func() error {
		for i, r := range rendered {
			if err := rolling.ready(ctx, r.Requires...); err != nil {
				return err
			}
			if err := running.start(ctx, p, r, images); err != nil {
				return err
			}
			if err := inCloud.deploy(ctx, p, r, images); err != nil {
				return err
			}
			if err := p.deployKpt(ctx, rolling, i, r); err != nil {
				return err
			}
			if r.Elsewhere {
				continue
			}
			if err := p.deployReleases(ctx, rolling, all, i, r); err != nil {
				return err
			}
			deploy := func() ([]string, error) {
				applied, err := p.applySet(ctx, all, i)
				rolling.add(i, r.Deployment, applied)
				return namespacesOf(applied), err
			}
			ready := func() error { return rolling.ready(ctx, i) }
			if err := p.around(ctx, r.Rollout, []string{p.namespace(r.Deployment)}, deploy, ready); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := errors.Join(rolling.all(ctx), running.settle(ctx), inCloud.settle(ctx)); err != nil {
		return err
	}
	timed := event.SinkFunc(func(e event.Event) {
		if proved, ok := e.(event.WorkloadProved); ok {
			proved.Took = p.Now().Sub(began)
			e = proved
		}
		p.Sink.Emit(e)
	})
	if err := p.prove(ctx, &rolling.seen, images, timed); err != nil {
		return err
	}
	return p.testCharts(ctx, rendered)
}

func (p *Pipeline) set(d plan.Deployment) kube.Set {
	return kube.Set{Name: d.Set, Namespace: p.namespace(d)}
}

func (p *Pipeline) namespace(d plan.Deployment) string {
	if d.Namespace != "" {
		return d.Namespace
	}
	return p.Kube.Namespace()
}

// objects gives the objects as the cluster gets them, with their namespace.
func (p *Pipeline) objects(r Rendered) ([]kube.Object, error) {
	return kube.NewObjects(r.Objects, p.namespace(r.Deployment))
}

// Delete takes away what the deployments put into the cluster.
func (p *Pipeline) Delete(ctx context.Context, rendered []Rendered) error {
	return p.stage(event.StageDelete, func() error {
		var errs []error
		for _, r := range slices.Backward(rendered) {
			if !r.Elsewhere {
				errs = append(errs, p.deleteObjects(ctx, r))
			}
			errs = append(errs, p.deleteReleases(ctx, r))
			errs = append(errs, p.deleteCloudRun(ctx, r), p.deleteKpt(ctx, r), p.deleteContainers(ctx, r))
		}
		return errors.Join(errs...)
	})
}

func (p *Pipeline) deleteObjects(ctx context.Context, r Rendered) error {
	objects, err := p.objects(r)
	if err != nil {
		return err
	}
	return p.Kube.Delete(ctx, p.set(r.Deployment), objects, p.deleteOptions(r.Deployment), p.Sink)
}
