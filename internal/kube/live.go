package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// pageSize is how many objects one list brings at most.
const pageSize = 500

// errGone says that a resource which discovery remembered is not served any more.
var errGone = errors.New("the cluster no longer serves this resource")

// place is one resource in one namespace: what a list request covers.
type place struct {
	resource  string // Resource.GVR().String()
	namespace string
}

// live is what the cluster holds of a set.
type live struct {
	parent *unstructured.Unstructured

	mu      sync.Mutex
	wanted  map[string]string                     // apiVersion, by ref.key
	objects map[string]*unstructured.Unstructured // by ref.key
	members []*unstructured.Unstructured          // those that carry the set's label
	listed  map[place]bool
	places  map[place]Resource
}

// add takes in an object. One that is listed in several versions is there once, in that which is wanted.
func (l *live) add(u *unstructured.Unstructured, member bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := refOf(u).key()
	switch before := l.objects[key]; {
	case before == nil:
		if member {
			l.members = append(l.members, u)
		}
	case u.GetAPIVersion() != l.wanted[key]:
		return
	default:
		if at := slices.Index(l.members, before); at >= 0 {
			l.members[at] = u
		}
	}
	l.objects[key] = u
}

func (l *live) get(r ref) *unstructured.Unstructured {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.objects[r.key()]
}

// readLive reads the parent, the members of the set, and those of the wanted objects that are not members, with as few
// requests as possible: one list per resource and namespace, then a request for each object (or one list for many) that
// is not in the set yet.
func (c *Client) readLive(ctx context.Context, set Set, items []*item) (*live, error) {
	l := &live{wanted: map[string]string{}, objects: map[string]*unstructured.Unstructured{}, listed: map[place]bool{}, places: map[place]Resource{}}
	for _, it := range items {
		l.places[it.place()], l.wanted[it.ref.key()] = it.resource, it.GetAPIVersion()
	}
	if !set.isZero() {
		if err := c.readMembers(ctx, set, l, items); err != nil {
			return nil, err
		}
	}
	return l, c.readOthers(ctx, l, items)
}

func (c *Client) readMembers(ctx context.Context, set Set, l *live, items []*item) error {
	var parentErr error
	var wg sync.WaitGroup
	wg.Go(func() { l.parent, parentErr = c.readParent(ctx, set) })
	err := c.listMembers(ctx, set, l, l.places, items)
	wg.Wait()
	if err := errors.Join(parentErr, err); err != nil {
		return err
	}
	more, err := c.otherPlaces(ctx, set, l)
	if err != nil {
		return err
	}
	return c.listMembers(ctx, set, l, more, items)
}

// otherPlaces are those where the parent says there may be members, and none is wanted now.
func (c *Client) otherPlaces(ctx context.Context, set Set, l *live) (map[place]Resource, error) {
	more := map[place]Resource{}
	s := scopeOf(l.parent)
	for _, gk := range s.kinds {
		r, err := c.discovery.anyVersion(ctx, gk)
		if err != nil {
			return nil, err
		}
		if r == nil { // the kind is gone, and its objects with it
			continue
		}
		namespaces := append(slices.Clone(s.namespaces), set.Namespace)
		if !r.Namespaced {
			namespaces = []string{""}
		}
		for _, ns := range namespaces {
			if !l.covers(gk, ns) {
				more[place{r.GVR().String(), ns}] = *r
			}
		}
	}
	return more, nil
}

// covers says whether a kind in a namespace has been listed, in whichever version.
func (l *live) covers(gk schema.GroupKind, ns string) bool {
	for p := range l.listed {
		if r := l.places[p]; p.namespace == ns && r.GVK().GroupKind() == gk {
			return true
		}
	}
	return false
}

func (c *Client) listMembers(ctx context.Context, set Set, l *live, places map[place]Resource, items []*item) error {
	return forAll(slices.Collect(maps.Keys(places)), func(p place) error {
		r := places[p]
		if !r.can("list") && len(r.Verbs) > 0 {
			return nil
		}
		found, err := c.list(ctx, r, p.namespace, metav1.ListOptions{LabelSelector: set.selector()})
		switch {
		case apierrors.IsForbidden(err):
			return nil // each object is asked for by name, then
		case apierrors.IsNotFound(err) && definedHere(r, items):
			return nil
		case apierrors.IsNotFound(err):
			return errGone
		case err != nil:
			return fmt.Errorf("listing what is deployed (%s): %w", r.Name, err)
		}
		for i := range found {
			l.add(&found[i], true)
		}
		l.mu.Lock()
		l.listed[p] = true
		l.mu.Unlock()
		return nil
	})
}

func definedHere(r Resource, items []*item) bool {
	return slices.ContainsFunc(items, func(it *item) bool { return it.defined && it.resource.GVR() == r.GVR() })
}

// readOthers reads the wanted objects that are not members of the set.
func (c *Client) readOthers(ctx context.Context, l *live, items []*item) error {
	missing := map[place][]*item{}
	for _, it := range items {
		if it.GetName() != "" && l.get(it.ref) == nil {
			missing[it.place()] = append(missing[it.place()], it)
		}
	}
	return forAll(slices.Collect(maps.Keys(missing)), func(p place) error {
		rest := missing[p]
		if len(rest) > 4 {
			if c.readPage(ctx, l, rest[0].resource, p.namespace) {
				return nil
			}
		}
		return forAll(rest, func(it *item) error {
			u, err := c.get(ctx, it.resource, p.namespace, it.GetName())
			if err != nil {
				return it.fail("reading", err, NextStep(err))
			}
			if u != nil {
				l.add(u, false)
			}
			return nil
		})
	})
}

// readPage reads all of a resource in a namespace, if one page holds it; many objects then cost one request.
func (c *Client) readPage(ctx context.Context, l *live, r Resource, namespace string) bool {
	found, err := c.in(r, namespace).List(ctx, metav1.ListOptions{Limit: pageSize})
	if err != nil || found.GetContinue() != "" {
		return false
	}
	for i := range found.Items {
		u := &found.Items[i]
		if l.get(refOf(u)) == nil {
			l.add(u, false)
		}
	}
	return true
}

// list reads all pages.
func (c *Client) list(ctx context.Context, r Resource, namespace string, o metav1.ListOptions) ([]unstructured.Unstructured, error) {
	var all []unstructured.Unstructured
	o.Limit = pageSize
	for {
		var page *unstructured.UnstructuredList
		err := c.ask(ctx, func() (err error) {
			page, err = c.in(r, namespace).List(ctx, o)
			return err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if o.Continue = page.GetContinue(); o.Continue == "" {
			return all, nil
		}
	}
}

// forAll calls do for each side by side and joins their errors, in order; a cluster that cannot be reached is one error.
func forAll[T any](all []T, do func(T) error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, t := range all {
		wg.Go(func() { errs[i] = do(t) })
	}
	wg.Wait()
	return oneIfUnreachable(errors.Join(errs...))
}

func oneIfUnreachable(err error) error {
	var unreachable *UnreachableError
	if errors.As(err, &unreachable) {
		return unreachable
	}
	return err
}
