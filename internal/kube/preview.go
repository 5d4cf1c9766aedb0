package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davit-dev/davit/internal/event"
)

// Actions of [Previewed]: what Apply would do with an object.
const (
	ActionCreate    = "create"
	ActionChange    = "change"
	ActionReplace   = "replace" // delete and create anew
	ActionUnchanged = "unchanged"
	ActionFail      = "fail" // the server refuses it
)

// Previewed is one object, and what Apply would do with it.
type Previewed struct {
	Object   Object // as Apply would send it; the values of a Secret are in it
	Resource string // "deployment.apps/web"
	Action   string
	Changes  []Change // of ActionChange: what the object would differ in afterwards; values of Secrets are hidden
	Notes    []string // what else is worth knowing, for people
	Err      error    // of ActionFail: what Apply would say

	// UID and Version are the live object's; empty when there is none. Version moves with every write, also of a controller.
	UID, Version string
}

// Secret says whether the object is a Secret.
func (p Previewed) Secret() bool { return isSecret(p.Object.Unstructured) }

// Preview is what Apply would do.
type Preview struct {
	Objects []Previewed // in the order of the objects given
	Orphans []Orphan    // members of the set that no object given stands for any more
}

// Preview finds out what Apply would do with the same arguments, and changes nothing: the server answers by dry run, with its defaults, its
// admission and the fields of other managers taken into account. An object that the server refuses is in the result, with ActionFail. The
// error is for a cluster that cannot be asked.
//
// What does not exist before the run cannot be asked about: objects of kinds that the cluster does not know yet and those in namespaces that do not exist
// yet are created, and a note says so.
func (c *Client) Preview(ctx context.Context, set Set, objects []Object, o ApplyOptions, sink event.Sink) (*Preview, error) {
	ctx = quiet(ctx)
	known, unknown, err := c.splitKnown(ctx, objects)
	if err != nil {
		return nil, oneIfUnreachable(err)
	}
	a := &applier{client: c, set: set, options: o, sink: sink}
	err = a.look(ctx, known)
	var noInventory *inventoryError
	switch {
	case errors.Is(err, errGone):
		c.discovery.forget()
		a = &applier{client: c, set: set, options: o, sink: sink}
		err = a.look(ctx, known)
	case errors.As(err, &noInventory) && apierrors.IsForbidden(noInventory.err):
		sink.Emit(event.Warning{Message: fmt.Sprintf("there is no inventory, so what was removed from the manifests cannot be found: %v", noInventory.err)})
		a = &applier{client: c, options: o, sink: sink}
		err = a.look(ctx, known)
	}
	if err != nil {
		return nil, oneIfUnreachable(err)
	}
	return a.preview(ctx, unknown)
}

// splitKnown parts the objects whose kind the cluster or a definition among them knows from the others.
func (c *Client) splitKnown(ctx context.Context, objects []Object) (known, unknown []Object, err error) {
	defined := definedKinds(objects)
	for _, o := range objects {
		gvk := o.GroupVersionKind()
		if !slices.ContainsFunc(defined, func(r Resource) bool { return r.GVK() == gvk }) {
			var missing *UnknownKindError
			if _, err := c.discovery.kind(ctx, gvk); errors.As(err, &missing) {
				unknown = append(unknown, o)
				continue
			} else if err != nil {
				return nil, nil, err
			}
		}
		known = append(known, o)
	}
	return known, unknown, nil
}

func (a *applier) preview(ctx context.Context, unknown []Object) (*Preview, error) {
	found := make([]Previewed, len(a.items), len(a.items)+len(unknown))
	places := make([]int, len(a.items))
	for i := range places {
		places[i] = i
	}
	if err := forAll(places, func(i int) (err error) {
		found[i], err = a.previewOne(ctx, a.items[i])
		return err
	}); err != nil {
		return nil, err
	}
	for _, o := range unknown {
		found = append(found, Previewed{Object: o, Resource: refOf(o.Unstructured).String(), Action: ActionCreate,
			Notes: []string{"the cluster does not know its kind yet"}})
	}
	p := &Preview{Objects: found}
	p.Orphans = orphansOf(a.orphans)
	return p, nil
}

// previewOne follows [applier.one]. The error is for a cluster that cannot be asked.
func (a *applier) previewOne(ctx context.Context, it *item) (Previewed, error) {
	p := Previewed{Object: it.Object, Resource: it.ref.String(), Action: ActionCreate}
	if it.live != nil && it.live.GetDeletionTimestamp() != nil {
		p.Notes = append(p.Notes, "it is being deleted: it is created once that is done")
		return p, nil
	}
	if it.GetName() == "" && it.GetGenerateName() != "" {
		return p, nil
	}
	if it.live != nil {
		p.UID, p.Version = string(it.live.GetUID()), it.live.GetResourceVersion()
		if a.unchanged(it) {
			p.Action = ActionUnchanged
			return p, nil
		}
	}
	after, taken, err := a.dryRun(ctx, it)
	if err == nil {
		p.Notes = append(p.Notes, taken...)
		compare(&p, it, after, a.options.By != nil)
		return p, nil
	}
	var unreachable *UnreachableError
	if errors.As(err, &unreachable) || ctx.Err() != nil {
		return p, err
	}
	switch {
	case it.live == nil && missingNamespace(err):
		p.Notes = append(p.Notes, fmt.Sprintf("namespace %s does not exist yet", it.GetNamespace()))
	case it.live == nil && a.startsLater(it, err):
		// What it waits for comes with this very set.
	case it.live != nil && isImmutable(err) && a.options.Force:
		p.Action = ActionReplace
		p.Notes = append(p.Notes, fmt.Sprintf("the server does not let it change, so it is deleted and created anew: %v", err))
	default:
		p.Action, p.Err = ActionFail, a.refused(ctx, it, err)
	}
	return p, nil
}

// dryRun asks what the object would be after an apply, and which fields that would take from others.
func (a *applier) dryRun(ctx context.Context, it *item) (after *unstructured.Unstructured, taken []string, err error) {
	body, err := json.Marshal(it.Object.Object)
	if err != nil {
		return nil, nil, err
	}
	apply := func(force bool) error {
		return a.client.ask(ctx, func() (err error) {
			after, err = a.client.in(it.resource, it.GetNamespace()).Patch(ctx, it.GetName(), types.ApplyPatchType, body, metav1.PatchOptions{
				FieldManager: a.options.manager(), Force: &force, FieldValidation: a.validation(), DryRun: []string{metav1.DryRunAll},
			})
			return err
		})
	}
	err = apply(false)
	if conflicts := conflictsIn(err); len(conflicts) > 0 {
		for _, manager := range a.formerManagers(it.live) { // whose fields are taken over before: see migrate
			maps.DeleteFunc(conflicts, func(owner string, _ []string) bool { return strings.HasPrefix(owner, strconv.Quote(manager)) })
		}
		if len(conflicts) > 0 && a.options.NoForceConflicts {
			return nil, nil, err
		}
		err = apply(true)
		if len(conflicts) > 0 {
			taken = []string{fmt.Sprintf("takes over %s", conflictError(conflicts))}
		}
	}
	if err == nil && it.live != nil && a.options.By == nil {
		former := a.formerManagers(it.live)
		if err = dropLeftBehind(it.live, after, former); err == nil && len(former) > 0 {
			after = a.withDefaults(ctx, it, after)
		}
	}
	return after, taken, err
}

// withDefaults asks the server to fill in what it gives to fields without a value. Where it may not be asked, the object stays as it is.
func (a *applier) withDefaults(ctx context.Context, it *item, u *unstructured.Unstructured) *unstructured.Unstructured {
	var full *unstructured.Unstructured
	err := a.client.ask(ctx, func() (err error) {
		full, err = a.client.in(it.resource, it.GetNamespace()).Update(ctx, u, metav1.UpdateOptions{FieldManager: a.options.manager(), DryRun: []string{metav1.DryRunAll}})
		return err
	})
	if err != nil {
		return u
	}
	full.SetManagedFields(u.GetManagedFields())
	return full
}

// compare says what an apply would change. byOthers says that davit does not own the fields.
func compare(p *Previewed, it *item, after *unstructured.Unstructured, byOthers bool) {
	if it.live == nil {
		return
	}
	p.Changes = changes(visible(it.live, it.resource.Status), visible(after, it.resource.Status), isSecret(it.Unstructured))
	switch {
	case len(p.Changes) > 0:
		p.Action = ActionChange
	case sameOwners(it.live, after), byOthers:
		p.Action = ActionUnchanged
	default:
		p.Action = ActionChange
		p.Notes = append(p.Notes, "no value changes, only who owns which field")
	}
}
