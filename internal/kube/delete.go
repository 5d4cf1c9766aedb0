package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/davit-dev/davit/internal/event"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// deletionDeadline is how long an object may take to go.
const deletionDeadline = 2 * time.Minute

// DeleteOptions says how objects are deleted.
type DeleteOptions struct {
	Foreground bool          // wait for what the objects own as well, such as the pods of a Deployment
	Orphan     bool          // leave what the objects own
	Deadline   time.Duration // for one object to go; 0: two minutes
	Grace      *int64        // seconds that a pod has to end; nil: as it says itself
	NoWait     bool          // for the objects to be gone
	// By deletes the objects in place of davit, which then waits for them to be gone.
	By func(ctx context.Context, objects []Object) error
}

// victim is an object to delete.
type victim struct {
	ref      ref
	resource Resource
	origin   string
	uid      types.UID // empty: whichever
	object   Object
}

func kindOfVictim(v victim) schema.GroupKind { return v.ref.gk }

// Delete takes away the members of the set and the objects given, in the reverse of the order in which they are applied, waits
// until they are gone, and deletes the set's parent last. Objects that are not there are fine; so is a set that is not. An
// object given that belongs to another living set is left there, with a Warning. Errors are joined, each an [*ObjectError].
func (c *Client) Delete(ctx context.Context, set Set, objects []Object, o DeleteOptions, sink event.Sink) error {
	ctx = quiet(ctx)
	victims, l, err := c.doomed(ctx, set, objects, sink)
	if err != nil {
		return err
	}
	if o.By != nil && len(victims) > 0 {
		gone := make([]Object, len(victims))
		for i, v := range victims {
			gone[i] = v.object
		}
		if err := o.By(ctx, gone); err != nil {
			return err
		}
	}
	if err := c.deleteAll(ctx, victims, o, VerbDeleted, sink); err != nil {
		return err
	}
	return c.deleteParent(ctx, set, l.parent)
}

// Doomed gives the objects that Delete would delete, as the cluster has them or as they were given, and deletes nothing.
func (c *Client) Doomed(ctx context.Context, set Set, objects []Object, sink event.Sink) ([]Object, error) {
	victims, _, err := c.doomed(quiet(ctx), set, objects, sink)
	var all []Object
	for _, level := range slices.Backward(inLevels(victims, kindOfVictim)) {
		for _, v := range level {
			all = append(all, v.object)
		}
	}
	return all, err
}

// doomed finds what is to be deleted: the members of the set, and those of the objects that no other set has.
func (c *Client) doomed(ctx context.Context, set Set, objects []Object, sink event.Sink) ([]victim, *live, error) {
	items, err := c.resolveKnown(ctx, objects, sink)
	if err != nil {
		return nil, nil, err
	}
	l, err := c.readLive(ctx, set, items)
	var noInventory *inventoryError
	if errors.As(err, &noInventory) && apierrors.IsForbidden(noInventory.err) {
		sink.Emit(event.Warning{Message: fmt.Sprintf("only what is in the manifests is deleted: %v", noInventory.err)})
		set = Set{}
		l, err = c.readLive(ctx, set, items)
	}
	if err != nil {
		return nil, nil, err
	}
	var found []*unstructured.Unstructured
	given := map[string]Object{}
	for _, it := range items {
		given[it.ref.key()] = it.Object
		u := l.get(it.ref)
		if u == nil || slices.Contains(l.members, u) {
			continue
		}
		if other := u.GetLabels()[labelPartOf]; other != "" && c.setExists(ctx, other, []string{u.GetNamespace(), set.Namespace}) {
			sink.Emit(event.Warning{Message: fmt.Sprintf("%s belongs to another set of objects (%s): it stays", it.ref, other)})
			continue
		}
		found = append(found, u)
	}
	found = append(found, l.members...)
	found = slices.DeleteFunc(found, func(u *unstructured.Unstructured) bool {
		if keeps(u) {
			sink.Emit(event.Note{Message: fmt.Sprintf("%s stays, as its annotation %s says", refOf(u), annotationKeep)})
		}
		return keeps(u)
	})
	victims, err := c.victims(ctx, found)
	for i, v := range victims {
		if o, ok := given[v.ref.key()]; ok {
			victims[i].object, victims[i].origin = o, o.Origin
		}
	}
	return victims, l, err
}

// resolveKnown leaves out the objects whose kind the cluster does not know (any more): there is nothing to delete.
func (c *Client) resolveKnown(ctx context.Context, objects []Object, sink event.Sink) ([]*item, error) {
	var known []Object
	for _, o := range objects {
		_, err := c.discovery.kind(ctx, o.GroupVersionKind())
		var unknown *UnknownKindError
		if errors.As(err, &unknown) || o.GetName() == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		known = append(known, o)
	}
	return c.resolve(ctx, known, sink)
}

func (c *Client) deleteParent(ctx context.Context, set Set, parent *unstructured.Unstructured) error {
	if parent == nil {
		return nil
	}
	err := c.ask(ctx, func() error { return c.in(configMaps, set.Namespace).Delete(ctx, set.Name, metav1.DeleteOptions{}) })
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting the inventory configmap/%s in namespace %s: %w", set.Name, set.Namespace, err)
	}
	return nil
}

func (c *Client) victims(ctx context.Context, objects []*unstructured.Unstructured) ([]victim, error) {
	var all []victim
	for _, u := range objects {
		r, err := c.discovery.kind(ctx, u.GroupVersionKind())
		if err != nil {
			return nil, err
		}
		all = append(all, victim{ref: refOf(u), resource: r, uid: u.GetUID(), object: Object{Unstructured: u}})
	}
	return all, nil
}

// deleteAll deletes level by level, the last first, and waits for each level to be gone before the next.
func (c *Client) deleteAll(ctx context.Context, victims []victim, o DeleteOptions, verb string, sink event.Sink) error {
	for _, level := range slices.Backward(inLevels(victims, kindOfVictim)) {
		err := forAll(level, func(v victim) error {
			if err := c.deleteOne(ctx, v, o, sink); err != nil {
				return err
			}
			sink.Emit(event.ObjectApplied{Resource: v.ref.String(), Namespace: v.ref.namespace, Verb: verb})
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (o DeleteOptions) request(v victim) metav1.DeleteOptions {
	propagation := metav1.DeletePropagationBackground
	switch {
	case o.Orphan:
		propagation = metav1.DeletePropagationOrphan
	case o.Foreground:
		propagation = metav1.DeletePropagationForeground
	}
	options := metav1.DeleteOptions{PropagationPolicy: &propagation, GracePeriodSeconds: o.Grace}
	if v.uid != "" {
		options.Preconditions = &metav1.Preconditions{UID: &v.uid}
	}
	return options
}

func (c *Client) deleteOne(ctx context.Context, v victim, o DeleteOptions, sink event.Sink) error {
	if o.By == nil {
		err := c.ask(ctx, func() error { return c.in(v.resource, v.ref.namespace).Delete(ctx, v.ref.name, o.request(v)) })
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // gone, or another object by now
			return nil
		}
		if err != nil {
			return v.fail(err, NextStep(err))
		}
	}
	if o.NoWait {
		return nil
	}
	return c.awaitGone(ctx, v, o, sink)
}

func (v victim) fail(err error, next string) error {
	var unreachable *UnreachableError
	if errors.As(err, &unreachable) {
		return err
	}
	return &ObjectError{Resource: v.ref.String(), Namespace: v.ref.namespace, Origin: v.origin, Doing: "deleting", Next: next, Err: err}
}

// replace deletes an object and creates it anew, as its change is refused. Whether the new one would be accepted is asked
// first: an invalid manifest must not cost the object that runs.
func (a *applier) replace(ctx context.Context, it *item) error {
	if err := a.invalid(ctx, it); err != nil {
		return it.fail("replacing", err, "")
	}
	v := victim{ref: it.ref, resource: it.resource, origin: it.Origin, uid: it.live.GetUID()}
	how := a.options.Deletion
	how.Foreground, how.NoWait = true, false
	if err := a.client.deleteOne(ctx, v, how, a.sink); err != nil {
		return err
	}
	now, err := a.apply(ctx, it, true)
	if err != nil {
		return it.fail("creating anew", err, NextStep(err))
	}
	it.live, it.verb = now, VerbReplaced
	return nil
}

// invalid is why the server would refuse the object even if there were none of its name.
func (a *applier) invalid(ctx context.Context, it *item) error {
	_, err := a.client.in(it.resource, it.GetNamespace()).Create(ctx, it.Unstructured, metav1.CreateOptions{
		FieldManager: a.options.manager(), FieldValidation: a.validation(), DryRun: []string{metav1.DryRunAll},
	})
	if apierrors.IsInvalid(err) {
		return err
	}
	return nil
}
