package helm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/render/helm"
)

// compare looks what the cluster has of the releases' objects, all in one go.
func (w *Work) compare(ctx context.Context, items []*item) error {
	groups := make([][]kube.Object, len(items))
	var errs []error
	for i, it := range items {
		var objects []manifest.Object
		var err error
		switch it.action {
		case install, upgrade:
			objects = it.target.objects
		case unchanged:
			objects, err = it.deployed.objects()
		default:
			continue
		}
		if err == nil {
			groups[i], err = clusterObjects(it.Name, it.Namespace, objects, true)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	found, err := w.kube.Compare(ctx, groups, w.sink)
	if err != nil {
		return err
	}
	for i, it := range items {
		it.applied = found[i]
	}
	return nil
}

func (w *Work) carryOut(ctx context.Context, it *item) error {
	switch it.action {
	case keep:
		w.sink.Emit(event.Info{Message: fmt.Sprintf("release %s is installed already, and is not upgraded: set upgradeOnChange to have that", it.Name)})
		w.tell(it, kube.VerbUnchanged)
		w.lookAfter(ctx, it)
		return nil
	case foreign:
		return w.byCommand(ctx, it)
	}
	if err := w.supersede(ctx, it.former...); err != nil {
		return err
	}
	if it.action == unchanged {
		return w.putBack(ctx, it)
	}
	w.sink.Emit(event.Info{Message: "deploying, as by: " + it.command()})
	return w.revise(ctx, it)
}

// command is the helm command that would do the same.
func (it *item) command() string {
	r, verb := it.Release.Release, "install"
	if r.Flags = it.Install; it.installed() {
		r.Flags, verb = it.Upgrade, "upgrade"
	}
	return helm.CommandTo(verb, r)
}

func (d *Deployer) tell(it *item, verb string) { d.tellOf(it.Name, it.Namespace, verb) }

func (d *Deployer) tellOf(name, namespace, verb string) {
	d.sink.Emit(event.ObjectApplied{Resource: "release/" + name, Namespace: namespace, Verb: verb})
}

// putBack makes the cluster hold what the deployed revision says, where somebody changed or deleted something since. That takes no revision.
func (w *Work) putBack(ctx context.Context, it *item) error {
	w.tell(it, kube.VerbUnchanged)
	var strayed []kube.Object
	for _, a := range it.applied {
		if a.Verb != kube.VerbUnchanged {
			strayed = append(strayed, a.Object)
			continue
		}
		w.sink.Emit(event.ObjectApplied{Resource: a.Resource, Namespace: a.Object.GetNamespace(), Verb: a.Verb})
	}
	if len(strayed) == 0 {
		return nil
	}
	result, err := w.kube.Apply(ctx, kube.Set{}, strayed, it.applyOptions(w.options.Force), w.sink)
	for _, a := range result.Objects {
		at := slices.IndexFunc(it.applied, func(b kube.Applied) bool {
			return b.Resource == a.Resource && b.Object.GetNamespace() == a.Object.GetNamespace()
		})
		it.applied[at] = a
		if a.Verb != kube.VerbUnchanged {
			w.sink.Emit(event.Note{Message: fmt.Sprintf("release %s: %s was not as revision %d has it, and is put back", it.Name, a.Resource, it.deployed.Version)})
		}
	}
	it.applied = slices.DeleteFunc(it.applied, func(a kube.Applied) bool { return a.Live == nil })
	return err
}

func (it *item) applyOptions(force bool) kube.ApplyOptions {
	o := kube.ApplyOptions{Manager: fieldManager, Force: force || it.settings.ForceReplace}
	if it.settings.NoValidation {
		o.Validation = "Ignore"
	}
	return o
}

// revise installs or upgrades a release.
func (w *Work) revise(ctx context.Context, it *item) error {
	found := it.applied
	it.applied = nil
	objects, err := clusterObjects(it.Name, it.Namespace, it.target.objects, true)
	if err != nil {
		return err
	}
	if err := w.installCRDs(ctx, it); err != nil {
		return err
	}
	if err := w.admit(it, found, objects); err != nil {
		return err
	}
	if it.settings.CreateNamespace && it.action == install {
		if err := w.createNamespace(ctx, it); err != nil {
			return err
		}
	}
	r, err := w.newRecord(it)
	if err != nil {
		return err
	}
	if err := w.begin(ctx, it, r); err != nil {
		return err
	}
	it.made = r
	c := change{record: r, objects: objects, options: it.applyOptions(w.options.Force), settings: it.settings, recreate: it.RecreatePods && it.action == upgrade,
		before: "pre-" + string(it.action), after: "post-" + string(it.action)}
	if c.old, err = w.formerObjects(it); err == nil {
		it.applied, err = w.perform(ctx, c)
	}
	if err != nil {
		return w.giveUp(ctx, it, err)
	}
	if err := w.finish(ctx, it); err != nil {
		return err
	}
	if it.target.Notes != "" && !it.settings.HideNotes {
		w.sink.Emit(event.Note{Message: fmt.Sprintf("release %s, revision %d:\n%s", it.Name, r.Version, strings.TrimSpace(it.target.Notes))})
	}
	return nil
}

// installCRDs creates the definitions that are missing, and waits until they serve.
func (w *Work) installCRDs(ctx context.Context, it *item) error {
	missing, err := w.missingCRDs(ctx, it)
	if err != nil || len(missing) == 0 {
		return err
	}
	_, err = w.kube.Apply(ctx, kube.Set{}, missing, kube.ApplyOptions{Manager: fieldManager}, w.sink)
	return err
}

// missingCRDs are the definitions of the chart's crds folders that an installation has to create: those that are not there yet.
func (w *Work) missingCRDs(ctx context.Context, it *item) ([]kube.Object, error) {
	if it.action != install || it.settings.SkipCRDs {
		return nil, nil
	}
	crds, err := definitions(it.target.CRDs)
	if err != nil || len(crds) == 0 {
		return nil, err
	}
	found, err := w.kube.Compare(ctx, [][]kube.Object{crds}, w.sink)
	if err != nil {
		return nil, err
	}
	var missing []kube.Object
	for _, a := range found[0] {
		if a.Live == nil {
			missing = append(missing, a.Object)
		}
	}
	return missing, nil
}

// admit refuses what the cluster cannot take, or what belongs to somebody else.
func (w *Work) admit(it *item, found []kube.Applied, objects []kube.Object) error {
	mine := map[string]bool{}
	if base := it.base(); base != nil {
		old, err := base.objects()
		if err != nil {
			return err
		}
		before, err := clusterObjects(it.Name, it.Namespace, old, false)
		if err != nil {
			return err
		}
		for _, o := range before {
			mine[keyOf(o)] = true
		}
	}
	served := kube.Defined(slices.Concat(objects, it.definitions()))
	var errs []error
	for _, a := range found {
		gvk := a.Object.GroupVersionKind()
		if !a.Known() && !slices.ContainsFunc(served, func(r kube.Resource) bool { return r.GVK() == gvk }) {
			errs = append(errs, &missingError{fmt.Errorf("%s: %w", a.Object.Origin, &kube.UnknownKindError{GVK: gvk})})
			continue
		}
		if a.Live == nil || mine[keyIn(a.Object, cmp.Or(a.Object.GetNamespace(), it.Namespace))] || it.settings.TakeOwnership {
			continue
		}
		if foreign := foreignTo(a.Live, it.Name, it.Namespace); foreign != "" {
			errs = append(errs, fmt.Errorf("%s in namespace %s exists, and is not of this release (%s): delete it, name it otherwise, or have it taken over by "+
				"--take-ownership in flags.%s", a.Resource, a.Live.GetNamespace(), foreign, it.action))
		}
	}
	return errors.Join(errs...)
}

func (it *item) definitions() []kube.Object {
	if it.action != install || it.settings.SkipCRDs {
		return nil
	}
	crds, err := definitions(it.target.CRDs)
	if err != nil {
		return nil // said before
	}
	return crds
}

// keyOf tells the objects of a release apart.
func keyOf(o kube.Object) string { return keyIn(o, o.GetNamespace()) }

func keyIn(o kube.Object, namespace string) string {
	return o.GroupVersionKind().GroupKind().String() + "/" + namespace + "/" + o.GetName()
}

// foreignTo says why an object does not belong to a release; "" if it does.
func foreignTo(live *unstructured.Unstructured, name, namespace string) string {
	owner, at := live.GetAnnotations()[annotationName], live.GetAnnotations()[annotationNamespace]
	switch {
	case live.GetLabels()[labelManagedBy] != managedByHelm || owner == "":
		return "it belongs to no release"
	case owner != name || at != namespace:
		return fmt.Sprintf("it belongs to release %s of namespace %s", owner, at)
	}
	return ""
}

func (w *Work) createNamespace(ctx context.Context, it *item) error {
	namespace, err := kube.NewObject(map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": it.Namespace, "labels": map[string]any{"name": it.Namespace}},
	}, "")
	if err != nil {
		return err
	}
	there, err := w.kube.Get(ctx, namespace.GroupVersionKind(), "", it.Namespace)
	if err != nil || there != nil {
		return err
	}
	_, err = w.kube.Apply(ctx, kube.Set{}, []kube.Object{namespace}, kube.ApplyOptions{Manager: fieldManager}, w.sink)
	return err
}

// formerObjects are the objects that may be there and are not wanted any more: those of the deployed revision, and of failed ones since.
func (w *Work) formerObjects(it *item) ([]kube.Object, error) {
	var all []kube.Object
	for _, r := range append([]*record{it.deployed}, it.failed...) {
		if r == nil {
			continue
		}
		objects, err := r.objects()
		if err != nil {
			return nil, err
		}
		made, err := clusterObjects(it.Name, it.Namespace, objects, false)
		if err != nil {
			return nil, err
		}
		all = append(all, made...)
	}
	return all, nil
}

// change is what makes one revision of another.
type change struct {
	record        *record
	objects, old  []kube.Object
	options       kube.ApplyOptions
	settings      settings
	recreate      bool
	before, after string // events of hooks
}

// perform brings the objects of a revision into the cluster. It gives what was applied also when it fails.
func (d *Deployer) perform(ctx context.Context, c change) ([]kube.Applied, error) {
	if err := d.runHooks(ctx, c.record, c.before, c.settings); err != nil {
		return nil, err
	}
	result, err := d.kube.Apply(ctx, kube.Set{}, c.objects, c.options, d.sink)
	applied := result.Objects
	if err == nil {
		err = d.removeFormer(ctx, c)
	}
	if err == nil && c.recreate {
		err = d.recreatePods(ctx, applied)
	}
	if err == nil && c.settings.Wait {
		err = d.wait(ctx, applied, c.settings)
	}
	if err == nil {
		err = d.runHooks(ctx, c.record, c.after, c.settings)
	}
	if err != nil && c.settings.CleanupOnFail && c.record.Version > 1 {
		err = errors.Join(err, d.removeCreated(ctx, applied))
	}
	return applied, err
}

// removeFormer deletes what the revision does not have any more, unless it is to be kept, or belongs to somebody else by now.
func (d *Deployer) removeFormer(ctx context.Context, c change) error {
	wanted := map[string]bool{}
	for _, o := range c.objects {
		wanted[keyOf(o)] = true
	}
	var former []kube.Object
	for _, o := range c.old {
		if key := keyOf(o); !wanted[key] {
			wanted[key] = true
			former = append(former, o)
		}
	}
	return d.remove(ctx, former, c.record.Name, c.record.Namespace, kube.DeleteOptions{NoWait: true})
}

// remove deletes objects of a release.
func (d *Deployer) remove(ctx context.Context, objects []kube.Object, name, namespace string, o kube.DeleteOptions) error {
	found, err := d.doomed(ctx, objects, name, namespace, func(why string, a kube.Applied) {
		d.sink.Emit(event.Note{Message: fmt.Sprintf("release %s: %s in namespace %s stays: %s", name, a.Resource, a.Live.GetNamespace(), why)})
	})
	if err != nil || len(found) == 0 {
		return err
	}
	doomed := make([]kube.Object, len(found))
	for i, a := range found {
		doomed[i] = a.Object
	}
	return d.kube.Delete(ctx, kube.Set{}, doomed, o, d.sink)
}

// doomed are those of a release's objects that go with it. stays is told of the others that are there.
func (d *Deployer) doomed(ctx context.Context, objects []kube.Object, name, namespace string, stays func(why string, a kube.Applied)) ([]kube.Applied, error) {
	if len(objects) == 0 {
		return nil, nil
	}
	found, err := d.kube.Compare(ctx, [][]kube.Object{objects}, d.sink)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found[0], func(a kube.Applied) bool {
		if a.Live == nil {
			return true
		}
		why := foreignTo(a.Live, name, namespace)
		if a.Live.GetAnnotations()[annotationPolicy] == "keep" || a.Object.GetAnnotations()[annotationPolicy] == "keep" {
			why = "its annotation " + annotationPolicy + " says so"
		}
		if why != "" {
			stays(why, a)
		}
		return why != ""
	}), nil
}

func (d *Deployer) removeCreated(ctx context.Context, applied []kube.Applied) error {
	var created []kube.Object
	for _, a := range applied {
		if a.Verb == kube.VerbCreated {
			created = append(created, a.Object)
		}
	}
	return d.kube.Delete(context.WithoutCancel(ctx), kube.Set{}, created, kube.DeleteOptions{NoWait: true}, d.sink)
}

// recreatePods deletes the pods of the workloads, which makes new ones.
func (d *Deployer) recreatePods(ctx context.Context, applied []kube.Applied) error {
	for _, a := range applied {
		labels, _, err := unstructured.NestedStringMap(a.Live.Object, "spec", "selector", "matchLabels")
		if err != nil || len(labels) == 0 || !strings.HasSuffix(a.Live.GetAPIVersion(), "apps/v1") {
			continue
		}
		var terms []string
		for _, name := range slices.Sorted(maps.Keys(labels)) {
			terms = append(terms, name+"="+labels[name])
		}
		pods, err := d.kube.Find(ctx, podKind, a.Live.GetNamespace(), strings.Join(terms, ","))
		if err != nil {
			return err
		}
		if err := d.kube.Delete(ctx, kube.Set{}, pods, kube.DeleteOptions{NoWait: true}, d.sink); err != nil {
			return fmt.Errorf("recreating pods: %w", err)
		}
	}
	return nil
}

func (d *Deployer) wait(ctx context.Context, applied []kube.Applied, s settings) error {
	if !s.WaitForJobs {
		applied = slices.DeleteFunc(slices.Clone(applied), func(a kube.Applied) bool { return a.Live.GetKind() == "Job" })
	}
	_, err := d.kube.Wait(ctx, applied, kube.WaitOptions{Deadline: s.Timeout, Settle: d.options.Settle}, d.sink)
	return err
}
