package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/davit-dev/davit/internal/deploy/kpt"
	"github.com/davit-dev/davit/internal/deploy/preview"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/plan"
	"github.com/davit-dev/davit/internal/render"
)

// lookElsewhere asks what a deployment would do that davit does not apply to a cluster.
func (p *Pipeline) lookElsewhere(ctx context.Context, r Rendered, images []Image, standins []string) (seen, error) {
	containers, err := p.lookAtContainers(ctx, r, images, standins)
	if err != nil {
		return seen{}, err
	}
	services, err := p.lookAtCloudRun(ctx, r, standins)
	if err != nil {
		return seen{}, err
	}
	s, err := p.lookAtKpt(ctx, r, standins)
	s.objects = slices.Concat(containers, services, s.objects)
	return s, err
}

func (p *Pipeline) lookAtContainers(ctx context.Context, r Rendered, images []Image, standins []string) ([]plan.PlannedObject, error) {
	if r.Docker == nil {
		return nil, nil
	}
	deployer, err := p.Containers()
	if err != nil {
		return nil, err
	}
	found, err := deployer.Preview(ctx, *r.Docker, forEngine(images))
	if err != nil {
		return nil, err
	}
	return plannedElsewhere(found, plan.PlaceDocker, r.Docker.Name, standins)
}

func (p *Pipeline) lookAtCloudRun(ctx context.Context, r Rendered, standins []string) ([]plan.PlannedObject, error) {
	if r.CloudRun == nil {
		return nil, nil
	}
	deployer, objects, err := p.cloudRunOf(ctx, r)
	if err != nil {
		return nil, err
	}
	found, err := deployer.Preview(ctx, r.CloudRun.Target, objects)
	if err != nil {
		return nil, err
	}
	return plannedElsewhere(found, plan.PlaceCloudRun, "", standins)
}

func plannedElsewhere(found []preview.Object, place, set string, standins []string) ([]plan.PlannedObject, error) {
	var all []plan.PlannedObject
	for _, f := range found {
		one := plan.PlannedObject{
			Resource: f.Resource, Namespace: f.Namespace, Region: f.Region, Place: place, Set: set, Origin: f.Origin, Action: f.Action, Changes: shownChanges(f.Changes, standins),
			Notes: f.Notes, UID: f.ID,
		}
		one.Object, _ = show(f.Fields, standins).(map[string]any)
		var err error
		if one.Fingerprint, err = fingerprint(f.Fields); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// engine is the one that containers run in; nil when there are none.
func (p *Pipeline) engine(ctx context.Context, rendered []Rendered) (*plan.Engine, error) {
	if !slices.ContainsFunc(rendered, func(r Rendered) bool { return r.Docker != nil }) {
		return nil, nil
	}
	deployer, err := p.Containers()
	if err != nil {
		return nil, err
	}
	var e plan.Engine
	e.Address, e.ID, err = deployer.Engine(ctx)
	return &e, err
}

var kptInventory = schema.GroupVersionKind{Group: "kpt.dev", Version: "v1alpha1", Kind: "ResourceGroup"}

// lookAtKpt asks kpt what it would apply and prune, and the cluster what would come of that.
func (p *Pipeline) lookAtKpt(ctx context.Context, r Rendered, standins []string) (s seen, err error) {
	if r.Kpt == nil {
		return s, nil
	}
	objects, err := p.kptObjects(ctx, r)
	if err != nil {
		return s, err
	}
	applied, text, err := p.forKpt(ctx, objects)
	if err != nil {
		return s, err
	}
	found, asked, err := p.askKpt(ctx, r, text)
	if err != nil {
		return s, err
	}
	objects = nil
	refused := map[string]string{}
	for _, a := range applied {
		at := slices.IndexFunc(found, func(f kpt.Previewed) bool {
			return f.Type == "apply" && resourceOf(f) == a.Resource && f.Namespace == a.Object.GetNamespace()
		})
		switch {
		case !asked:
		case at < 0: // kpt leaves it out of the package
			continue
		case found[at].Refused():
			refused[a.Resource+"@"+a.Object.GetNamespace()] = found[at].Error
		}
		objects = append(objects, asKptWrites(a))
	}
	cluster, err := p.Kube.Preview(ctx, kube.Set{}, objects, kube.ApplyOptions{}, p.Sink)
	if err != nil {
		return s, err
	}
	for _, o := range cluster.Objects {
		if why, no := refused[o.Resource+"@"+o.Object.GetNamespace()]; no {
			o.Action, o.Err, o.Changes = kube.ActionFail, errors.New("kpt does not apply it: "+why), nil
		}
		if o.Action == kube.ActionChange && len(o.Changes) == 0 {
			o.Action = kube.ActionUnchanged
		}
		o.Notes = nil // who owns which field is kpt's affair
		one, hidden, err := plannedObject(o, r.Set, standins)
		if err != nil {
			return s, err
		}
		one.Place = plan.PlaceKpt
		s.add(one, hidden)
	}
	for _, f := range found {
		if f.Type == "prune" {
			s.add(plan.PlannedObject{Resource: resourceOf(f), Namespace: f.Namespace, Place: plan.PlaceKpt, Set: r.Set, Action: plan.ObjectPrune}, nil)
		}
	}
	return s, nil
}

// asKptWrites gives an object with what kpt writes into it beside the manifest.
func asKptWrites(a kube.Applied) kube.Object {
	if a.Live == nil || a.Live.GetAnnotations()[kpt.AnnotationInventory] == "" {
		return a.Object
	}
	annotations := a.Object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[kpt.AnnotationInventory] = a.Live.GetAnnotations()[kpt.AnnotationInventory]
	a.Object.SetAnnotations(annotations)
	return a.Object
}

// askKpt is for a cluster that knows kpt's inventories. One that does not, and would by a flag of the package, has none: nothing would be pruned.
func (p *Pipeline) askKpt(ctx context.Context, r Rendered, manifests []byte) (found []kpt.Previewed, asked bool, err error) {
	if r.Kpt.Installs() {
		_, err := p.Kube.Find(ctx, kptInventory, p.namespace(r.Deployment), "")
		if _, none := errors.AsType[*kube.UnknownKindError](err); none || apierrors.IsNotFound(err) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("looking for the inventory of kpt: %w", err)
		}
	}
	found, err = kpt.Preview(ctx, *r.Kpt, manifests, p.deployingKpt())
	return found, true, err
}

// kptObjects are the manifests of a package: the rendered ones, or those that are in its folder.
func (p *Pipeline) kptObjects(ctx context.Context, r Rendered) ([]kube.Object, error) {
	if r.Kpt.File != "" {
		return p.objects(r)
	}
	all, err := render.Manifests(ctx, render.Options{Dir: r.Kpt.Dir, Patterns: []string{r.Kpt.Dir}}, p.Sink)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(o manifest.Object) bool { return o.Kind() == kptInventory.Kind })
	return kube.NewObjects(all, p.namespace(r.Deployment))
}

func resourceOf(f kpt.Previewed) string {
	kind := strings.ToLower(f.Kind)
	if f.Group != "" {
		kind += "." + f.Group
	}
	return kind + "/" + f.Name
}
