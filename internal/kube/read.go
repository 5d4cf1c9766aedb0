package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Read gives objects of the cluster as a manifest would have them: without what the server keeps in them. what is "kind/name" as `kubectl get`
// takes it ("deploy/web", "deployments.apps/web"), or a kind alone for all of that kind in the namespace. An empty namespace is [Client.Namespace].
func (c *Client) Read(ctx context.Context, namespace, what string) ([]Object, error) {
	ctx = quiet(ctx)
	if namespace == "" {
		namespace = c.namespace
	}
	kind, name, one := strings.Cut(what, "/")
	r, err := c.discovery.find(ctx, func(r Resource) bool { return r.called(kind) && r.can("get") })
	if err != nil {
		return nil, c.explain(err)
	}
	if r == nil {
		return nil, fmt.Errorf("the cluster knows no kind %q: write kind/name or namespace:kind/name, as in deployment/web", kind)
	}
	if !one {
		found, err := c.list(ctx, *r, namespace, metav1.ListOptions{})
		if err != nil {
			return nil, c.explain(err)
		}
		objects := make([]Object, 0, len(found))
		for _, u := range found {
			objects = append(objects, Object{Unstructured: clean(&u)})
		}
		return objects, nil
	}
	var found *unstructured.Unstructured
	err = c.ask(ctx, func() (err error) {
		found, err = c.in(*r, namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w in namespace %s of context %s: deploy it, or mend the name", err, namespace, c.context)
	}
	if err != nil {
		return nil, err
	}
	return []Object{{Unstructured: clean(found)}}, nil
}

// called says whether name is one that kubectl takes for the resource: plural, singular, short, or its kind, with ".group" or ".version.group"
// after it.
func (r Resource) called(name string) bool {
	name, group, qualified := strings.Cut(strings.ToLower(name), ".")
	if qualified && group != r.Group && group != r.Version+"."+r.Group {
		return false
	}
	return name == r.Name || name == strings.ToLower(r.Kind) || name == r.Singular && name != "" || slices.Contains(r.Short, name)
}

// clean takes out of a live object what no manifest has.
func clean(u *unstructured.Unstructured) *unstructured.Unstructured {
	unstructured.RemoveNestedField(u.Object, "status")
	for _, field := range []string{"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"} {
		unstructured.RemoveNestedField(u.Object, "metadata", field)
	}
	drop(u, "annotations", "kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision")
	drop(u, "labels", labelPartOf)
	return u
}

// drop takes entries out of annotations or labels, and the field with the last of them.
func drop(u *unstructured.Unstructured, field string, names ...string) {
	entries, _, err := unstructured.NestedMap(u.Object, "metadata", field)
	if err != nil || entries == nil {
		return
	}
	for _, name := range names {
		delete(entries, name)
	}
	if len(entries) == 0 {
		unstructured.RemoveNestedField(u.Object, "metadata", field)
		return
	}
	_ = unstructured.SetNestedMap(u.Object, entries, "metadata", field) // entries came from there
}
