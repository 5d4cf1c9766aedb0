package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/davit-dev/davit/internal/event"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// annotationKeep, with the value "true", keeps an object from being pruned or deleted with its set.
const annotationKeep = "davit.dev/keep"

func keeps(u *unstructured.Unstructured) bool { return u.GetAnnotations()[annotationKeep] == "true" }

func orphanOf(u *unstructured.Unstructured) Orphan {
	return Orphan{Resource: refOf(u).String(), Namespace: u.GetNamespace(), Kept: keeps(u)}
}

func orphansOf(all []*unstructured.Unstructured) []Orphan {
	var out []Orphan
	for _, u := range all {
		out = append(out, orphanOf(u))
	}
	return out
}

// findOrphans parts the members that no object stands for from the others.
func (a *applier) findOrphans(ctx context.Context) error {
	wanted := map[string]bool{}
	for _, it := range a.items {
		wanted[it.ref.key()] = true
	}
	for _, m := range a.live.members {
		if wanted[refOf(m).key()] || m.GetDeletionTimestamp() != nil {
			continue
		}
		elsewhere, err := a.siblingOf(ctx, m)
		switch {
		case err != nil:
			return err
		case elsewhere != nil: // it moves there
		case slices.ContainsFunc(a.options.Keep, func(o Orphan) bool { return o.Resource == refOf(m).String() && o.Namespace == m.GetNamespace() }):
			a.kept = append(a.kept, m)
		default:
			a.orphans = append(a.orphans, m)
		}
	}
	slices.SortFunc(a.orphans, func(a, b *unstructured.Unstructured) int { return strings.Compare(refOf(a).key(), refOf(b).key()) })
	return nil
}

// siblingOf gives the sibling whose objects have this one; nil when none has.
func (a *applier) siblingOf(ctx context.Context, u *unstructured.Unstructured) (*Sibling, error) {
	key := refOf(u).key()
	for i, s := range a.options.Siblings {
		for _, o := range s.Objects {
			if o.GetName() != u.GetName() || o.GetKind() != u.GetKind() {
				continue
			}
			items, err := a.client.resolve(ctx, []Object{o}, a.sink)
			if err != nil {
				return nil, err
			}
			if items[0].ref.key() == key {
				return &a.options.Siblings[i], nil
			}
		}
	}
	return nil, nil
}

// join puts the set's label on the objects, but for those that belong to another living set.
func (a *applier) join(ctx context.Context) error {
	for _, it := range a.items {
		it.live = a.live.get(it.ref)
		keepRunID(it)
		if a.set.isZero() {
			continue
		}
		id, err := a.setOf(ctx, it)
		if err != nil {
			return err
		}
		if err := unstructured.SetNestedField(it.Object.Object, id, "metadata", "labels", labelPartOf); err != nil {
			return it.fail("reading", err, "metadata.labels must be a map of strings")
		}
	}
	return nil
}

// setOf gives the ID of the set that an object belongs to from now on.
func (a *applier) setOf(ctx context.Context, it *item) (string, error) {
	id := a.set.ID()
	if it.live == nil {
		return id, nil
	}
	other := it.live.GetLabels()[labelPartOf]
	if other == "" || other == id {
		return id, nil
	}
	if i := slices.IndexFunc(a.options.Siblings, func(s Sibling) bool { return s.Set.ID() == other }); i >= 0 {
		// It comes over from there, unless both want it.
		if s, err := a.siblingOf(ctx, it.live); err != nil || s == nil || s.Set.ID() != other {
			return id, err
		}
	}
	if !a.client.setExists(ctx, other, a.namespacesOf(it)) {
		return id, nil
	}
	a.sink.Emit(event.Warning{Message: fmt.Sprintf("%s belongs to another set of objects (%s): it is applied, but stays in "+
		"that set; delete that set's parent object to let this one have it", it.ref, other)})
	return other, nil
}

func (a *applier) namespacesOf(it *item) []string {
	if ns := it.GetNamespace(); ns != "" && ns != a.set.Namespace {
		return []string{ns, a.set.Namespace}
	}
	return []string{a.set.Namespace}
}

// prune deletes the orphans, last level first, and waits until they are gone. Those that are to be kept stay orphans.
func (a *applier) prune(ctx context.Context) error {
	var stay, leave []*unstructured.Unstructured
	for _, u := range a.orphans {
		if keeps(u) {
			stay = append(stay, u)
		} else {
			leave = append(leave, u)
		}
	}
	victims, err := a.client.victims(ctx, leave)
	if err != nil {
		return err
	}
	if err := a.client.deleteAll(ctx, victims, a.options.Deletion, VerbPruned, a.sink); err != nil {
		return err
	}
	a.orphans, a.pruned = stay, leave
	return nil
}

// sendBy lets somebody else write the objects, and reads what came of it.
func (a *applier) sendBy(ctx context.Context, items []*item) error {
	objects := make([]Object, len(items))
	for i, it := range items {
		objects[i] = it.Object
	}
	if err := a.options.By(ctx, objects); err != nil {
		return err
	}
	return forAll(items, func(it *item) error {
		if it.GetName() == "" {
			return it.fail("applying", fmt.Errorf("it has metadata.generateName in place of a name"), "give it a name, or leave out the flags of kubectl")
		}
		now, err := a.client.get(ctx, it.resource, it.GetNamespace(), it.GetName())
		if err == nil && now == nil {
			err = errors.New("it is not there")
		}
		if err != nil {
			return it.fail("reading", err, "")
		}
		switch {
		case it.live == nil:
			it.verb = VerbCreated
		case it.live.GetUID() != now.GetUID():
			it.verb = VerbReplaced
		case it.live.GetResourceVersion() != now.GetResourceVersion():
			it.verb = VerbConfigured
		default:
			it.verb = VerbUnchanged
		}
		it.live = now
		return nil
	})
}
