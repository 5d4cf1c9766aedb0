package kube

import (
	"cmp"
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
	// Validation says what becomes of fields that the server does not know, as its API names it: "Strict" (also ""), "Warn" or "Ignore".
	Validation string
	Manager    string        // owns the fields in place of [FieldManager]
	Deletion   DeleteOptions // of what is pruned or replaced
	Keep       []Orphan      // members that are not pruned, and that are no orphans either
	Siblings   []Sibling     // the other sets that the same run deploys
	// By writes the objects, in their order, in place of server-side apply. What it did is read from the cluster afterwards.
	By func(ctx context.Context, objects []Object) error
}

// Sibling is a set that the same run deploys, with its objects: what moves from one set to the other is neither pruned by the one nor left alone by
// the other.
type Sibling struct {
	Set     Set
	Objects []Object
}

func (o ApplyOptions) manager() string { return cmp.Or(o.Manager, FieldManager) }

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
	manager  string // that wrote it
}

// ApplyResult is what Apply did.
type ApplyResult struct {
	Objects []Applied // in the order of the objects given, without those that failed
	Orphans []Orphan  // members of the set that no object given stands for any more, and that were not pruned
	Pruned  []Orphan  // those that were

	parent *unstructured.Unstructured
}

// Orphan is an object that a former run applied and that the configuration no longer holds.
type Orphan struct {
	Resource, Namespace string
	Kept                bool `json:",omitempty"` // its annotation davit.dev/keep says that it is not to be pruned
}

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

// unchanged says whether applying an object would surely change nothing.
func (a *applier) unchanged(it *item) bool {
	return it.live != nil && a.options.By == nil && unchanged(it.Unstructured, it.live, it.resource.Status, a.options.manager())
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
	kept    []*unstructured.Unstructured // members of which it was said that they stay
	pruned  []*unstructured.Unstructured
	parent  *unstructured.Unstructured // of the inventory, as it is now
}

func (a *applier) run(ctx context.Context, objects []Object) error {
	if err := a.look(ctx, objects); err != nil {
		return err
	}
	if err := a.allowed(ctx); err != nil {
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
	a.parent = a.live.parent
	if err := a.findOrphans(ctx); err != nil {
		return err
	}
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

// send writes what must be written, level by level, between the two writings of the inventory: before, it names
// all that may be there; after, what is.
func (a *applier) send(ctx context.Context) (err error) {
	todo := inLevels(a.items, kindOf)
	if a.options.By != nil {
		todo = [][]*item{slices.Concat(todo...)}
	} else if len(todo) > 0 && level(kindOf(todo[0][0])) == levelNamespace { // the parent may live in one of them
		if err := a.sendLevel(ctx, todo[0]); err != nil {
			return err
		}
		todo = todo[1:]
	}
	members := a.set.scopeFor(append(refsOf(a.items), refsOfLive(a.kept)...))
	before := members.with(scopeOf(a.parent))
	if a.parent, err = a.client.writeParent(ctx, a.set, a.parent, before); err != nil {
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
	}
	a.parent, err = a.client.writeParent(ctx, a.set, a.parent, members.with(a.set.scopeFor(refsOfLive(a.orphans))))
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
	send := func() error { return forAll(items, func(it *item) error { return a.one(ctx, it) }) }
	if a.options.By != nil {
		send = func() error { return a.sendBy(ctx, items) }
	}
	err := send()
	for _, it := range items {
		if it.verb != "" {
			a.sink.Emit(event.ObjectApplied{Resource: it.ref.String(), Namespace: it.GetNamespace(), Verb: it.verb})
		}
	}
	if err != nil || len(items) == 0 {
		return err
	}
	if level(kindOf(items[0])) == levelCRD && a.options.By == nil {
		return forAll(items, func(it *item) error { return a.client.established(ctx, it) })
	}
	return nil
}

// one brings one object into the cluster.
func (a *applier) one(ctx context.Context, it *item) error {
	if it.live != nil && it.live.GetDeletionTimestamp() != nil {
		if err := a.client.awaitGone(ctx, victim{ref: it.ref, resource: it.resource, origin: it.Origin, uid: it.live.GetUID()}, a.options.Deletion, a.sink); err != nil {
			return err
		}
		it.live = nil
	}
	switch {
	case it.GetName() == "" && it.GetGenerateName() != "":
		return a.create(ctx, it)
	case it.live == nil:
		return a.patch(ctx, it, VerbCreated)
	case a.unchanged(it):
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
		metav1.CreateOptions{FieldManager: a.options.manager(), FieldValidation: a.validation()})
	if err != nil {
		return it.fail("creating", a.client.explain(err), "")
	}
	it.live, it.verb, it.ref = created, VerbCreated, refOf(created)
	return nil
}

func (a *applier) validation() string {
	return cmp.Or(a.options.Validation, metav1.FieldValidationStrict)
}

// patch applies the object. Fields that others own are asked for first, so that it can be said whose they were.
func (a *applier) patch(ctx context.Context, it *item, verb string) error {
	now, err := a.apply(ctx, it, false)
	if conflicts := conflictsIn(err); len(conflicts) > 0 {
		if a.options.NoForceConflicts {
			return a.refused(ctx, it, err)
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
	return a.refused(ctx, it, err)
}

// refused words the server's refusal of an object.
func (a *applier) refused(ctx context.Context, it *item, err error) error {
	conflicts := conflictsIn(err)
	switch {
	case len(conflicts) > 0:
		return it.fail("applying", conflictError(conflicts), "drop the field from the manifest, or leave --no-force-conflicts away to take it over")
	case it.live != nil && isImmutable(err):
		if invalid := a.invalid(ctx, it); invalid != nil {
			return it.fail("applying", invalid, "")
		}
		return it.fail("applying", err, "the server does not let this field change: run again with --force to delete the object and create it anew, "+
			"or give it another name")
	case missingNamespace(err):
		return it.fail("applying", noNamespace(it.GetNamespace()), "")
	}
	return it.fail("applying", err, NextStep(err))
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
				metav1.PatchOptions{FieldManager: a.options.manager(), Force: &force, FieldValidation: a.validation()})
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

func (a *applier) result() *ApplyResult {
	r := &ApplyResult{parent: a.parent}
	for _, it := range a.items {
		if it.verb != "" {
			r.Objects = append(r.Objects, Applied{Object: it.Object, Resource: it.ref.String(), Verb: it.verb, Live: it.live, resource: it.resource, manager: a.options.manager()})
		}
	}
	r.Orphans, r.Pruned = orphansOf(a.orphans), orphansOf(a.pruned)
	return r
}
