package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/davit-dev/davit/internal/event"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// tellAfter is when people are told what a deletion waits for.
const tellAfter = 2 * time.Second

// awaitGone waits until the object is not there, or is another one of the same name. After a while, and at the deadline, it says who holds it.
func (c *Client) awaitGone(ctx context.Context, v victim, o DeleteOptions, sink event.Sink) error {
	deadline := o.Deadline
	if deadline == 0 {
		deadline = deletionDeadline
	}
	var (
		mu   sync.Mutex
		last *unstructured.Unstructured
	)
	slow := time.AfterFunc(tellAfter, func() {
		mu.Lock()
		defer mu.Unlock()
		message := "waiting until it is gone"
		if held := heldBy(last); held != "" {
			message += ": " + held
		}
		sink.Emit(event.RolloutProgress{Resource: v.ref.String(), Namespace: v.ref.namespace, Message: message})
	})
	defer slow.Stop()
	err := c.until(ctx, v.resource, v.ref.namespace, v.ref.name, deadline, func(u *unstructured.Unstructured) bool {
		mu.Lock()
		defer mu.Unlock()
		last = u
		return u == nil || v.uid != "" && u.GetUID() != v.uid
	})
	mu.Lock()
	defer mu.Unlock()
	if !errors.Is(err, context.DeadlineExceeded) || last == nil {
		return err
	}
	next := "see what it waits for: kubectl describe " + v.ref.String()
	if held := heldBy(last); held != "" {
		next = held
	}
	if len(last.GetFinalizers()) > 0 {
		next += ": whatever set them must be running to let it go"
	}
	return v.fail(fmt.Errorf("still there after %s", deadline), next)
}

// heldBy says what keeps an object from going: its finalizers and who set them, or what is still in a namespace. Empty when nothing is known.
func heldBy(u *unstructured.Unstructured) string {
	if u == nil {
		return ""
	}
	var parts []string
	for _, f := range u.GetFinalizers() {
		part := "finalizer " + f
		if f == metav1.FinalizerDeleteDependents {
			part = "what it owns goes first"
		} else if owners := ownersOfFinalizer(u, f); len(owners) > 0 {
			part += " (set by " + strings.Join(owners, ", ") + ")"
		}
		parts = append(parts, part)
	}
	if u.GetKind() == "Namespace" {
		conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
		for _, c := range conditions {
			condition, _ := c.(map[string]any)
			if kind, _ := condition["type"].(string); condition["status"] == "True" && strings.HasPrefix(kind, "Namespace") {
				message, _ := condition["message"].(string)
				parts = append(parts, message)
			}
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "it is held by " + strings.Join(parts, "; ")
}

// ownersOfFinalizer gives the field managers that set a finalizer.
func ownersOfFinalizer(u *unstructured.Unstructured, finalizer string) []string {
	v := value.NewValueInterface(finalizer)
	path := fieldpath.MakePathOrDie("metadata", "finalizers", v)
	var owners []string
	for _, e := range u.GetManagedFields() {
		if e.FieldsV1 == nil {
			continue
		}
		fields := fieldpath.NewSet()
		if fields.FromJSON(bytes.NewReader(e.FieldsV1.GetRawBytes())) == nil && fields.Has(path) && !slices.Contains(owners, e.Manager) {
			owners = append(owners, e.Manager)
		}
	}
	return owners
}
