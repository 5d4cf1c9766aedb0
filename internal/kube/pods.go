package kube

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Find lists the objects of a kind whose labels match a selector, in a namespace or, when that is empty, in all. The error is
// an [*UnknownKindError] when the cluster does not know the kind.
func (c *Client) Find(ctx context.Context, kind schema.GroupVersionKind, namespace, selector string) ([]Object, error) {
	ctx = quiet(ctx)
	r, err := c.discovery.kind(ctx, kind)
	if err != nil {
		return nil, err
	}
	var found []unstructured.Unstructured
	if namespace != "" {
		found, err = c.list(ctx, r, namespace, metav1.ListOptions{LabelSelector: selector})
	} else {
		r.Namespaced = false
		found, err = c.list(ctx, r, "", metav1.ListOptions{LabelSelector: selector})
	}
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", r.Name, err)
	}
	objects := make([]Object, 0, len(found))
	for i := range found {
		objects = append(objects, Object{Unstructured: &found[i]})
	}
	return objects, nil
}

// Get reads one object; nil when it is not there.
func (c *Client) Get(ctx context.Context, kind schema.GroupVersionKind, namespace, name string) (*unstructured.Unstructured, error) {
	ctx = quiet(ctx)
	r, err := c.discovery.kind(ctx, kind)
	if err != nil {
		return nil, err
	}
	u, err := c.get(ctx, r, namespace, name)
	if err != nil {
		return nil, fmt.Errorf("reading %s/%s in namespace %s: %w", r.Name, name, namespace, err)
	}
	return u, nil
}

// Pods lists the pods of a namespace whose labels match a selector.
func (c *Client) Pods(ctx context.Context, namespace, selector string) ([]*corev1.Pod, error) {
	found, err := c.list(quiet(ctx), podResource, namespace, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("listing pods in namespace %s: %w", namespace, err)
	}
	pods := make([]*corev1.Pod, 0, len(found))
	for i := range found {
		pod, err := asPod(&found[i])
		if err != nil {
			return nil, err
		}
		pods = append(pods, pod)
	}
	return pods, nil
}

// UntilPod waits until a pod is as done wants it; done is asked with nil when the pod is not there.
func (c *Client) UntilPod(ctx context.Context, namespace, name string, deadline time.Duration, done func(*corev1.Pod) bool) error {
	return c.until(quiet(ctx), podResource, namespace, name, deadline, func(u *unstructured.Unstructured) bool {
		if u == nil {
			return done(nil)
		}
		pod, err := asPod(u)
		return err == nil && done(pod)
	})
}

func asPod(u *unstructured.Unstructured) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, pod); err != nil {
		return nil, fmt.Errorf("reading pod/%s: %w", u.GetName(), err)
	}
	return pod, nil
}

// May asks the cluster whether this user may do something to a resource of a namespace; subresource may be empty.
func (c *Client) May(ctx context.Context, verb, namespace, resource, subresource string) (bool, error) {
	reviews := schema.GroupVersionResource{Group: "authorization.k8s.io", Version: "v1", Resource: "selfsubjectaccessreviews"}
	review := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
		"spec": map[string]any{"resourceAttributes": map[string]any{
			"verb": verb, "namespace": namespace, "resource": resource, "subresource": subresource,
		}},
	}}
	answer, err := c.dyn.Resource(reviews).Create(quiet(ctx), review, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("asking for the right to %s %s/%s in namespace %s: %w", verb, resource, subresource, namespace, c.explain(err))
	}
	allowed, _, _ := unstructured.NestedBool(answer.Object, "status", "allowed")
	return allowed, nil
}
