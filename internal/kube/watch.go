package kube

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
)

// selection is a part of the objects of a resource in a namespace.
type selection struct {
	resource  Resource
	namespace string
	labels    string
	fields    string
	known     []*unstructured.Unstructured // what is there as far as is known
}

func (s selection) options() metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: s.labels, FieldSelector: s.fields}
}

// observer is told what a selection holds. Calls come from one goroutine.
type observer interface {
	// reset says all there is.
	reset(all []unstructured.Unstructured)
	// set says that an object is new or has changed, or is gone.
	set(u *unstructured.Unstructured, gone bool)
}

// follow tells o what the selection holds, and every change to it, until the context is done. When the connection breaks or
// the server has forgotten where we were, it starts again from a list. It returns an error for what asking again cannot
// mend, such as a missing permission, and for a server that stays away for a minute.
func (c *Client) follow(ctx context.Context, s selection, o observer) error {
	pause, heard, refusals := 100*time.Millisecond, time.Now(), 0
	for {
		err := c.followOnce(ctx, s, o, func() { pause, heard, refusals = 100*time.Millisecond, time.Now(), 0 })
		var cert *tls.CertificateVerificationError
		switch {
		case ctx.Err() != nil:
			return nil
		case apierrors.IsUnauthorized(err) && refusals < maxRefusals:
			refusals++
		case apierrors.IsForbidden(err), apierrors.IsNotFound(err), apierrors.IsUnauthorized(err), apierrors.IsMethodNotSupported(err),
			errors.As(err, &cert), time.Since(heard) > time.Minute:
			return fmt.Errorf("watching %s in namespace %s: %w", s.resource.Name, s.namespace, c.explain(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// followOnce lists and watches until the watch ends.
func (c *Client) followOnce(ctx context.Context, s selection, o observer, alive func()) error {
	in := c.in(s.resource, s.namespace)
	list, err := in.List(ctx, s.options())
	if err != nil {
		return err
	}
	o.reset(list.Items)
	alive()
	options := s.options()
	options.ResourceVersion, options.AllowWatchBookmarks = list.GetResourceVersion(), true
	for {
		last, err := c.watchFrom(ctx, s, options, o)
		if err != nil || ctx.Err() != nil {
			return err
		}
		options.ResourceVersion = last // the server ends each watch after some minutes: go on from there
	}
}

func (c *Client) watchFrom(ctx context.Context, s selection, options metav1.ListOptions, o observer) (string, error) {
	w, err := c.in(s.resource, s.namespace).Watch(ctx, options)
	if err != nil {
		return "", err
	}
	defer w.Stop()
	last := options.ResourceVersion
	for e := range w.ResultChan() {
		u, ok := e.Object.(*unstructured.Unstructured)
		if e.Type == watch.Error || !ok {
			return "", apierrors.FromObject(e.Object)
		}
		last = u.GetResourceVersion()
		if e.Type != watch.Bookmark {
			o.set(u, e.Type == watch.Deleted)
		}
	}
	if last == options.ResourceVersion {
		return "", errors.New("the watch ended without a word")
	}
	return last, nil
}

// until waits until done says so of one object (nil: it is not there), by a watch. The error is
// [context.DeadlineExceeded] when the deadline passes first.
func (c *Client) until(ctx context.Context, r Resource, namespace, name string, deadline time.Duration, done func(*unstructured.Unstructured) bool) error {
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	o := &condition{done: done, met: cancel}
	err := c.follow(ctx, selection{resource: r, namespace: namespace, fields: "metadata.name=" + name}, o)
	if apierrors.IsForbidden(err) {
		err = c.poll(ctx, r, namespace, name, o)
	}
	if err == nil && parent.Err() == nil && !o.told { // the deadline fell into the first look
		var u *unstructured.Unstructured
		if u, err = c.get(parent, r, namespace, name); err == nil {
			o.set(u, u == nil)
		}
	}
	switch {
	case o.isMet:
		return nil
	case err != nil:
		return err
	case parent.Err() != nil:
		return parent.Err()
	}
	return context.DeadlineExceeded
}

// poll is for those who may get an object, but not watch it.
func (c *Client) poll(ctx context.Context, r Resource, namespace, name string, o *condition) error {
	for {
		u, err := c.get(ctx, r, namespace, name)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if o.set(u, u == nil); o.isMet {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// condition observes one object and ends the watch when it is as it should be.
type condition struct {
	done  func(*unstructured.Unstructured) bool
	met   context.CancelFunc
	told  bool
	isMet bool
}

func (o *condition) reset(all []unstructured.Unstructured) {
	if len(all) == 0 {
		o.set(nil, true)
		return
	}
	o.set(&all[0], false)
}

func (o *condition) set(u *unstructured.Unstructured, gone bool) {
	if gone {
		u = nil
	}
	o.told = true
	if !o.isMet && o.done(u) {
		o.isMet = true
		o.met()
	}
}

// established waits until the API server serves what a CustomResourceDefinition defines.
func (c *Client) established(ctx context.Context, it *item) error {
	ready := func(u *unstructured.Unstructured) bool {
		return u != nil && conditionOf(u, "Established").Status == "True"
	}
	if it.verb == VerbUnchanged && ready(it.live) {
		return nil
	}
	err := c.until(ctx, it.resource, "", it.GetName(), time.Minute, func(u *unstructured.Unstructured) bool {
		if u != nil {
			it.live = u
		}
		return ready(u)
	})
	if errors.Is(err, context.DeadlineExceeded) {
		names := conditionOf(it.live, "NamesAccepted")
		return it.fail("establishing", fmt.Errorf("not established after a minute: %s", names.Message), "look for another definition with the same names")
	}
	if err != nil {
		return err
	}
	return c.served(ctx, it)
}

// served waits until what is defined can be asked for, which comes a moment after it is established, and remembers it for what is applied later.
func (c *Client) served(ctx context.Context, it *item) error {
	kinds := definedKinds([]Object{it.Object})
	for _, r := range kinds {
		err := again(ctx, outage, apierrors.IsNotFound, func() error {
			return c.ask(ctx, func() error {
				_, err := c.in(r, "").List(ctx, metav1.ListOptions{Limit: 1})
				return err
			})
		})
		var unreachable *UnreachableError
		switch { // what may not be listed, or waits for a webhook to convert it, is served
		case ctx.Err() != nil:
			return ctx.Err()
		case apierrors.IsNotFound(err), errors.As(err, &unreachable):
			return it.fail("establishing", err, "")
		}
	}
	c.discovery.learn(kinds)
	return nil
}

// statusCondition is an element of status.conditions, as nearly all kinds have them.
type statusCondition struct{ Type, Status, Reason, Message string }

// conditionOf gives the condition of this type; zero if there is none.
func conditionOf(u *unstructured.Unstructured, kind string) statusCondition {
	all, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, v := range all {
		m, _ := v.(map[string]any)
		if m["type"] != kind {
			continue
		}
		text := func(name string) string { s, _ := m[name].(string); return s }
		return statusCondition{Type: kind, Status: text("status"), Reason: text("reason"), Message: text("message")}
	}
	return statusCondition{}
}
