package kube

import (
	"context"
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

// deletionDeadline is how long an object may take to go.
const deletionDeadline = 2 * time.Minute

// DeleteOptions says how objects are deleted.
type DeleteOptions struct {
	Foreground bool          // wait for what the objects own as well, such as the pods of a Deployment
	Deadline   time.Duration // for one object to go; 0: two minutes
}

// victim is an object to delete.
type victim struct {
	ref      ref
	resource Resource
	origin   string
	uid      types.UID // empty: whichever
}

// Delete takes away the members of the set and the objects given, in the reverse of the order in which they are applied, waits
// until they are gone, and deletes the set's parent last. Objects that are not there are fine; so is a set that is not. An
// object given that belongs to another living set is left there, with a Warning. Errors are joined, each an [*ObjectError].
func (c *Client) Delete(ctx context.Context, set Set, objects []Object, o DeleteOptions, sink event.Sink) error {
	ctx = quiet(ctx)
	items, err := c.resolveKnown(ctx, objects, sink)
	if err != nil {
		return err
	}
	l, err := c.readLive(ctx, set, items)
	var noInventory *inventoryError
	if errors.As(err, &noInventory) && apierrors.IsForbidden(noInventory.err) {
		sink.Emit(event.Warning{Message: fmt.Sprintf("only what is in the manifests is deleted: %v", noInventory.err)})
		set = Set{}
		l, err = c.readLive(ctx, set, items)
	}
	if err != nil {
		return err
	}
	var doomed []*unstructured.Unstructured
	origins := map[string]string{}
	for _, it := range items {
		origins[it.ref.key()] = it.Origin
		u := l.get(it.ref)
		if u == nil || slices.Contains(l.members, u) {
			continue
		}
		if other := u.GetLabels()[labelPartOf]; other != "" && c.setExists(ctx, other, []string{u.GetNamespace(), set.Namespace}) {
			sink.Emit(event.Warning{Message: fmt.Sprintf("%s belongs to another set of objects (%s): it stays", it.ref, other)})
			continue
		}
		doomed = append(doomed, u)
	}
	victims, err := c.victims(ctx, append(doomed, l.members...))
	if err != nil {
		return err
	}
	for i := range victims {
		victims[i].origin = origins[victims[i].ref.key()]
	}
	if err := c.deleteAll(ctx, victims, o, VerbDeleted, sink); err != nil {
		return err
	}
	return c.deleteParent(ctx, set, l.parent)
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
		all = append(all, victim{ref: refOf(u), resource: r, uid: u.GetUID()})
	}
	return all, nil
}

// tellAfter is when people are told what a deletion waits for.
const tellAfter = 2 * time.Second

// deleteAll deletes level by level, the last first, and waits for each level to be gone before the next.
func (c *Client) deleteAll(ctx context.Context, victims []victim, o DeleteOptions, verb string, sink event.Sink) error {
	todo := inLevels(victims, func(v victim) schema.GroupKind { return v.ref.gk })
	for _, level := range slices.Backward(todo) {
		err := forAll(level, func(v victim) error {
			slow := time.AfterFunc(tellAfter, func() {
				sink.Emit(event.RolloutProgress{Resource: v.ref.String(), Namespace: v.ref.namespace, Message: "waiting until it is gone"})
			})
			defer slow.Stop()
			if err := c.deleteOne(ctx, v, o); err != nil {
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

func (c *Client) deleteOne(ctx context.Context, v victim, o DeleteOptions) error {
	propagation := metav1.DeletePropagationBackground
	if o.Foreground {
		propagation = metav1.DeletePropagationForeground
	}
	options := metav1.DeleteOptions{PropagationPolicy: &propagation}
	if v.uid != "" {
		options.Preconditions = &metav1.Preconditions{UID: &v.uid}
	}
	err := c.ask(ctx, func() error { return c.in(v.resource, v.ref.namespace).Delete(ctx, v.ref.name, options) })
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // gone, or another object by now
		return nil
	}
	if err != nil {
		return v.fail(err, nextStep(err))
	}
	return c.awaitGone(ctx, v, o)
}

func (v victim) fail(err error, next string) error {
	var unreachable *UnreachableError
	if errors.As(err, &unreachable) {
		return err
	}
	return &ObjectError{Resource: v.ref.String(), Namespace: v.ref.namespace, Origin: v.origin, Doing: "deleting", Next: next, Err: err}
}

// awaitGone waits until the object is not there, or is another one of the same name. At the deadline it says who holds it.
func (c *Client) awaitGone(ctx context.Context, v victim, o DeleteOptions) error {
	deadline := o.Deadline
	if deadline == 0 {
		deadline = deletionDeadline
	}
	var last *unstructured.Unstructured
	err := c.until(ctx, v.resource, v.ref.namespace, v.ref.name, deadline, func(u *unstructured.Unstructured) bool {
		last = u
		return u == nil || v.uid != "" && u.GetUID() != v.uid
	})
	if !errors.Is(err, context.DeadlineExceeded) || last == nil {
		return err
	}
	next := "see what it waits for: kubectl describe " + v.ref.String()
	if held := last.GetFinalizers(); len(held) > 0 {
		next = fmt.Sprintf("it is held by its finalizers (%s): the controller that set them must be running to let it go", strings.Join(held, ", "))
	}
	return v.fail(fmt.Errorf("still there after %s", deadline), next)
}

// replace deletes an object and creates it anew, as its change is refused. Whether the new one would be accepted is asked
// first: an invalid manifest must not cost the object that runs.
func (a *applier) replace(ctx context.Context, it *item) error {
	c := a.client
	create := metav1.CreateOptions{FieldManager: FieldManager, FieldValidation: a.validation()}
	trial := create
	trial.DryRun = []string{metav1.DryRunAll}
	if _, err := c.in(it.resource, it.GetNamespace()).Create(ctx, it.Unstructured, trial); apierrors.IsInvalid(err) {
		return it.fail("replacing", err, "")
	}
	v := victim{ref: it.ref, resource: it.resource, origin: it.Origin, uid: it.live.GetUID()}
	if err := c.deleteOne(ctx, v, DeleteOptions{Foreground: true}); err != nil {
		return err
	}
	now, err := a.apply(ctx, it, true)
	if err != nil {
		return it.fail("creating anew", err, nextStep(err))
	}
	it.live, it.verb = now, VerbReplaced
	return nil
}
