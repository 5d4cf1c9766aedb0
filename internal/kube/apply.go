package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/internal/event"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// ApplyOptions says how objects are applied.
type ApplyOptions struct {
	NoForceConflicts bool // a field that another manager owns is an error, instead of taken over
	Force            bool // replace (delete, create) objects whose change the server refuses as immutable
	Prune            bool // delete the members of the set that are not among the objects any more
	NoValidation     bool // let fields pass that the server does not know
}

// Verbs of [Applied] and of [event.ObjectApplied].
const (
	VerbCreated    = "created"
	VerbConfigured = "configured"
	VerbUnchanged  = "unchanged"
	VerbReplaced   = "replaced"
	VerbDeleted    = "deleted"
	VerbPruned     = "pruned"
)

// Applied is one object after Apply.
type Applied struct {
	Object   Object // as sent
	Resource string // "deployment.apps/web"
	Verb     string
	Live     *unstructured.Unstructured // as the server has it
	resource Resource
}

// ApplyResult is what Apply did.
type ApplyResult struct {
	Objects []Applied // in the order of the objects given, without those that failed
	Orphans []Orphan  // members of the set that no object given stands for any more, and that were not pruned
}

// Orphan is an object that a former run applied and that the configuration no longer holds.
type Orphan struct{ Resource, Namespace string }

// Apply makes the cluster hold the objects, by server-side apply, in dependency order and side by side within a level.
// Objects that would not change are not written. All objects of a level are tried; the errors are joined, each an
// [*ObjectError], and later levels are left alone when one failed.
//
// Members carry the set's label. An object that carries the label of another set stays in that set as long as the other
// set's parent exists, and a Warning says so: were it taken over, two configurations that share a Namespace would fight for it on
// every run, and pruning one would take it from the other.
//
// Whoever may not read or write the parent ConfigMap deploys without an inventory, and a Warning says so.
//
// Lists must have been flattened. Objects are not changed; what was sent is in the result.
func (c *Client) Apply(ctx context.Context, set Set, objects []Object, o ApplyOptions, sink event.Sink) (*ApplyResult, error) {
	ctx = quiet(ctx)
	a := &applier{client: c, set: set, options: o, sink: sink}
	err := a.run(ctx, objects)
	var noInventory *inventoryError
	switch {
	case errors.Is(err, errGone):
		c.discovery.forget()
		a = &applier{client: c, set: set, options: o, sink: sink}
		err = a.run(ctx, objects)
	case errors.As(err, &noInventory) && apierrors.IsForbidden(noInventory.err):
		sink.Emit(event.Warning{Message: fmt.Sprintf("no inventory is kept, so what is removed from the manifests cannot be found later: %v", noInventory.err)})
		a = &applier{client: c, options: o, sink: sink}
		err = a.run(ctx, objects)
	}
	return a.result(), oneIfUnreachable(err)
}

// item is an object on its way.
type item struct {
	Object
	ref      ref
	resource Resource
	defined  bool // its kind is defined by a CRD of this set
	verb     string
	live     *unstructured.Unstructured // before, then after
}

func (it *item) place() place {
	return place{it.resource.GVR().String(), it.GetNamespace()}
}

func kindOf(it *item) schema.GroupKind { return it.ref.gk }

type applier struct {
	client  *Client
	set     Set
	options ApplyOptions
	sink    event.Sink
	items   []*item
	live    *live
	orphans []*unstructured.Unstructured
}

func (a *applier) run(ctx context.Context, objects []Object) error {
	if err := a.look(ctx, objects); err != nil {
		return err
	}
	return a.send(ctx)
}

// look finds out what is there, and what belongs together.
func (a *applier) look(ctx context.Context, objects []Object) (err error) {
	if a.items, err = a.client.resolve(ctx, objects, a.sink); err != nil {
		return err
	}
	if a.live, err = a.client.readLive(ctx, a.set, a.items); err != nil {
		return err
	}
	a.findOrphans()
	return a.join(ctx)
}

// resolve finds the resource of each object and gives it its namespace. The objects of the result are copies.
func (c *Client) resolve(ctx context.Context, objects []Object, sink event.Sink) ([]*item, error) {
	defined := definedKinds(objects)
	seen := map[string]int{}
	var items []*item
	var errs []error
	for _, o := range objects {
		it := &item{Object: Object{Unstructured: o.DeepCopy(), Origin: o.Origin}}
		if err := it.resolve(ctx, c, defined); err != nil {
			errs = append(errs, err)
			continue
		}
		if at, again := seen[it.ref.key()]; again && it.GetName() != "" {
			sink.Emit(event.Warning{Message: fmt.Sprintf("%s is written twice, in %s and %s: the last one counts", it.ref, items[at].Origin, it.Origin)})
			items[at] = it
			continue
		}
		seen[it.ref.key()] = len(items)
		items = append(items, it)
	}
	return items, errors.Join(errs...)
}

func (it *item) resolve(ctx context.Context, c *Client, defined []Resource) (err error) {
	it.ref = refOf(it.Unstructured)
	gvk := it.GroupVersionKind()
	if i := slices.IndexFunc(defined, func(r Resource) bool { return r.GVK() == gvk }); i >= 0 {
		it.resource, it.defined = defined[i], true
	} else if it.resource, err = c.discovery.kind(ctx, gvk); err != nil {
		var unknown *UnknownKindError
		if errors.As(err, &unknown) {
			return it.fail("applying", err, "")
		}
		return err
	}
	switch {
	case !it.resource.Namespaced:
		it.SetNamespace("")
	case it.GetNamespace() == "":
		it.SetNamespace(c.namespace)
	}
	it.ref = refOf(it.Unstructured)
	if err := normalize(it.Unstructured); err != nil {
		return it.fail("reading", err, "")
	}
	return nil
}

func (a *applier) findOrphans() {
	wanted := map[string]bool{}
	for _, it := range a.items {
		wanted[it.ref.key()] = true
	}
	for _, m := range a.live.members {
		if !wanted[refOf(m).key()] && m.GetDeletionTimestamp() == nil {
			a.orphans = append(a.orphans, m)
		}
	}
	slices.SortFunc(a.orphans, func(a, b *unstructured.Unstructured) int { return strings.Compare(refOf(a).key(), refOf(b).key()) })
}

// join puts the set's label on the objects, but for those that belong to another living set.
func (a *applier) join(ctx context.Context) error {
	for _, it := range a.items {
		it.live = a.live.get(it.ref)
		if a.set.isZero() {
			continue
		}
		id := a.set.ID()
		if it.live != nil {
			other := it.live.GetLabels()[labelPartOf]
			if other != "" && other != id && a.client.setExists(ctx, other, a.namespacesOf(it)) {
				a.sink.Emit(event.Warning{Message: fmt.Sprintf("%s belongs to another set of objects (%s): it is applied, but stays in "+
					"that set; delete that set's parent object to let this one have it", it.ref, other)})
				id = other
			}
		}
		if err := unstructured.SetNestedField(it.Object.Object, id, "metadata", "labels", labelPartOf); err != nil {
			return it.fail("reading", err, "metadata.labels must be a map of strings")
		}
	}
	return nil
}

func (a *applier) namespacesOf(it *item) []string {
	if ns := it.GetNamespace(); ns != "" && ns != a.set.Namespace {
		return []string{ns, a.set.Namespace}
	}
	return []string{a.set.Namespace}
}

// send writes what must be written, level by level, between the two writings of the inventory: before, it names
// all that may be there; after, what is.
func (a *applier) send(ctx context.Context) (err error) {
	todo := inLevels(a.items, kindOf)
	if len(todo) > 0 && level(kindOf(todo[0][0])) == levelNamespace { // the parent may live in one of them
		if err := a.sendLevel(ctx, todo[0]); err != nil {
			return err
		}
		todo = todo[1:]
	}
	members := a.set.scopeFor(refsOf(a.items))
	before := members.with(scopeOf(a.live.parent))
	if a.live.parent, err = a.client.writeParent(ctx, a.set, a.live.parent, before); err != nil {
		return err
	}
	for _, items := range todo {
		if err := a.sendLevel(ctx, items); err != nil {
			return err
		}
	}
	if a.options.Prune {
		if err := a.prune(ctx); err != nil {
			return err
		}
		a.orphans = nil
	}
	_, err = a.client.writeParent(ctx, a.set, a.live.parent, members.with(a.set.scopeFor(refsOfLive(a.orphans))))
	return err
}

func refsOf(items []*item) []ref {
	refs := make([]ref, 0, len(items))
	for _, it := range items {
		refs = append(refs, it.ref)
	}
	return refs
}

func refsOfLive(objects []*unstructured.Unstructured) []ref {
	refs := make([]ref, 0, len(objects))
	for _, u := range objects {
		refs = append(refs, refOf(u))
	}
	return refs
}

// sendLevel applies the objects of a level side by side, and says what happened in the order in which they were written.
func (a *applier) sendLevel(ctx context.Context, items []*item) error {
	err := forAll(items, func(it *item) error { return a.one(ctx, it) })
	for _, it := range items {
		if it.verb != "" {
			a.sink.Emit(event.ObjectApplied{Resource: it.ref.String(), Namespace: it.GetNamespace(), Verb: it.verb})
		}
	}
	if err != nil {
		return err
	}
	if level(kindOf(items[0])) == levelCRD {
		return forAll(items, func(it *item) error { return a.client.established(ctx, it) })
	}
	return nil
}

// one brings one object into the cluster.
func (a *applier) one(ctx context.Context, it *item) error {
	if it.live != nil && it.live.GetDeletionTimestamp() != nil {
		if err := a.client.awaitGone(ctx, victim{ref: it.ref, resource: it.resource, origin: it.Origin, uid: it.live.GetUID()}, DeleteOptions{}); err != nil {
			return err
		}
		it.live = nil
	}
	switch {
	case it.GetName() == "" && it.GetGenerateName() != "":
		return a.create(ctx, it)
	case it.live == nil:
		return a.patch(ctx, it, VerbCreated)
	case unchanged(it.Unstructured, it.live, it.resource.Status):
		it.verb = VerbUnchanged
		return nil
	}
	if err := a.migrate(ctx, it); err != nil {
		return it.fail("taking over from client-side apply", err, "")
	}
	return a.patch(ctx, it, VerbConfigured)
}

func (a *applier) create(ctx context.Context, it *item) error {
	created, err := a.client.in(it.resource, it.GetNamespace()).Create(ctx, it.Unstructured,
		metav1.CreateOptions{FieldManager: FieldManager, FieldValidation: a.validation()})
	if err != nil {
		return it.fail("creating", a.client.explain(err), "")
	}
	it.live, it.verb, it.ref = created, VerbCreated, refOf(created)
	return nil
}

func (a *applier) validation() string {
	if a.options.NoValidation {
		return metav1.FieldValidationIgnore
	}
	return metav1.FieldValidationStrict
}

// patch applies the object. Fields that others own are asked for first, so that it can be said whose they were.
func (a *applier) patch(ctx context.Context, it *item, verb string) error {
	now, err := a.apply(ctx, it, false)
	if conflicts := conflictsIn(err); len(conflicts) > 0 {
		if a.options.NoForceConflicts {
			return a.refused(it, err)
		}
		if now, err = a.apply(ctx, it, true); err == nil {
			a.sink.Emit(event.Warning{Message: fmt.Sprintf("%s: took over %s", it.ref, conflictError(conflicts))})
		}
	}
	switch {
	case err == nil:
		if it.live != nil && it.live.GetResourceVersion() == now.GetResourceVersion() {
			verb = VerbUnchanged
		}
		it.live, it.verb = now, verb
		return nil
	case it.live != nil && isImmutable(err) && a.options.Force:
		return a.replace(ctx, it)
	}
	return a.refused(it, err)
}

// refused words the server's refusal of an object.
func (a *applier) refused(it *item, err error) error {
	conflicts := conflictsIn(err)
	switch {
	case len(conflicts) > 0:
		return it.fail("applying", conflictError(conflicts), "drop the field from the manifest, or leave --no-force-conflicts away to take it over")
	case it.live != nil && isImmutable(err):
		return it.fail("applying", err, "the server does not let this field change: run again with --force to delete the object and create it anew, "+
			"or give it another name")
	case missingNamespace(err):
		return it.fail("applying", noNamespace(it.GetNamespace()), "")
	}
	return it.fail("applying", err, nextStep(err))
}

// apply sends one server-side apply, again while what stands in the way passes.
func (a *applier) apply(ctx context.Context, it *item, force bool) (now *unstructured.Unstructured, err error) {
	body, err := json.Marshal(it.Object.Object)
	if err != nil {
		return nil, err
	}
	err = again(ctx, 30*time.Second, func(err error) bool { return a.startsLater(it, err) }, func() error {
		return a.client.ask(ctx, func() (err error) {
			now, err = a.client.in(it.resource, it.GetNamespace()).Patch(ctx, it.GetName(), types.ApplyPatchType, body,
				metav1.PatchOptions{FieldManager: FieldManager, Force: &force, FieldValidation: a.validation()})
			return err
		})
	})
	return now, err
}

// startsLater says whether an error comes from something that this very set starts: a webhook's server, the API of a CRD,
// the service account of a namespace.
func (a *applier) startsLater(it *item, err error) bool {
	status := statusOf(err)
	if status == nil {
		return false
	}
	switch {
	case apierrors.IsInternalError(err):
		return strings.Contains(status.Message, "failed calling webhook")
	case apierrors.IsNotFound(err):
		return it.defined && !missingNamespace(err)
	case apierrors.IsForbidden(err):
		return strings.Contains(status.Message, "error looking up service account")
	}
	return false
}

// prune deletes the orphans, last level first, and waits until they are gone.
func (a *applier) prune(ctx context.Context) error {
	victims, err := a.client.victims(ctx, a.orphans)
	if err != nil {
		return err
	}
	return a.client.deleteAll(ctx, victims, DeleteOptions{}, VerbPruned, a.sink)
}

func (a *applier) result() *ApplyResult {
	r := &ApplyResult{}
	for _, it := range a.items {
		if it.verb != "" {
			r.Objects = append(r.Objects, Applied{Object: it.Object, Resource: it.ref.String(), Verb: it.verb, Live: it.live, resource: it.resource})
		}
	}
	for _, u := range a.orphans {
		r.Orphans = append(r.Orphans, Orphan{Resource: refOf(u).String(), Namespace: u.GetNamespace()})
	}
	return r
}
