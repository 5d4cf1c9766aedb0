package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The requests of this file are for objects that davit keeps for itself, such as the records of Helm's releases. Errors are the API server's own,
// or [*UnreachableError].

// Create makes an object that is not there yet.
func (c *Client) Create(ctx context.Context, o Object, manager string) error {
	ctx = quiet(ctx)
	r, err := c.discovery.kind(ctx, o.GroupVersionKind())
	if err != nil {
		return err
	}
	return c.create(ctx, r, o.Unstructured, manager)
}

// create makes an object. Where the answer was lost on the way, and asking again finds it made, it is fine.
func (c *Client) create(ctx context.Context, r Resource, u *unstructured.Unstructured, manager string) error {
	tries := 0
	err := c.ask(ctx, func() error {
		tries++
		_, err := c.in(r, u.GetNamespace()).Create(ctx, u, metav1.CreateOptions{FieldManager: manager})
		return err
	})
	if tries > 1 && apierrors.IsAlreadyExists(err) {
		live, readErr := c.get(ctx, r, u.GetNamespace(), u.GetName())
		if readErr == nil && live != nil && stands(u, live, r.Status) {
			return nil
		}
	}
	return err
}

// Replace makes an object say what o says. With a resourceVersion it is refused as a conflict when somebody wrote in between.
func (c *Client) Replace(ctx context.Context, o Object, manager string) error {
	return c.write(ctx, o, func(r Resource) error {
		_, err := c.in(r, o.GetNamespace()).Update(ctx, o.Unstructured, metav1.UpdateOptions{FieldManager: manager})
		return err
	})
}

// Remove deletes an object, and waits for nothing.
func (c *Client) Remove(ctx context.Context, o Object) error {
	return c.write(ctx, o, func(r Resource) error {
		return c.in(r, o.GetNamespace()).Delete(ctx, o.GetName(), metav1.DeleteOptions{})
	})
}

func (c *Client) write(ctx context.Context, o Object, do func(Resource) error) error {
	ctx = quiet(ctx)
	r, err := c.discovery.kind(ctx, o.GroupVersionKind())
	if err != nil {
		return err
	}
	return c.ask(ctx, func() error { return do(r) })
}

// Version is the server's own, "v1.34.4".
func (c *Client) Version(ctx context.Context) (string, error) {
	ctx = quiet(ctx)
	var body []byte
	err := c.ask(ctx, func() (err error) {
		body, err = c.raw.Get().AbsPath("/version").Do(ctx).Raw()
		return err
	})
	if err != nil {
		return "", err
	}
	var info struct{ GitVersion string }
	if err := json.Unmarshal(body, &info); err != nil {
		return "", fmt.Errorf("reading the answer of %s/version: %w", c.Server(), err)
	}
	return info.GitVersion, nil
}

// APIVersions lists what the server serves: "apps/v1" and "apps/v1/Deployment".
func (c *Client) APIVersions(ctx context.Context) ([]string, error) {
	never := func(Resource) bool { return false }
	if len(c.discovery.snapshot()) == 0 {
		if _, err := c.discovery.find(quiet(ctx), never); err != nil {
			return nil, err
		}
	}
	seen := map[string]bool{}
	var all []string
	add := func(version string) {
		if !seen[version] {
			seen[version] = true
			all = append(all, version)
		}
	}
	for _, r := range c.discovery.snapshot() {
		version := strings.TrimPrefix(r.Group+"/"+r.Version, "/")
		add(version)
		add(version + "/" + r.Kind)
	}
	return all, nil
}

// Forget makes the client ask the cluster anew which kinds it serves: for when somebody else has defined some.
func (c *Client) Forget() { c.discovery.forget() }

// Defined lists what the CustomResourceDefinitions among the objects define.
func Defined(objects []Object) []Resource { return definedKinds(objects) }

// Known says whether the cluster knew the object's kind.
func (a Applied) Known() bool { return a.resource.Kind != "" }
