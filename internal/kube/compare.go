package kube

import (
	"context"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/internal/event"
)

// Compare reads what the cluster has of several groups of objects, all at once, and says what would become of each if it were applied: VerbCreated,
// VerbConfigured, or VerbUnchanged for one all of whose values stand in the cluster, whoever wrote them. Nothing is changed. Objects of kinds
// that the cluster does not know are to be created.
func (c *Client) Compare(ctx context.Context, groups [][]Object, sink event.Sink) ([][]Applied, error) {
	ctx = quiet(ctx)
	items := make([][]*item, len(groups))
	unknown := make([][]Object, len(groups))
	for i, objects := range groups {
		known, rest, err := c.splitKnown(ctx, objects)
		if err != nil {
			return nil, err
		}
		if items[i], err = c.resolve(ctx, known, sink); err != nil {
			return nil, err
		}
		unknown[i] = rest
	}
	live, err := c.readLive(ctx, Set{}, slices.Concat(items...))
	if err != nil {
		return nil, oneIfUnreachable(err)
	}
	out := make([][]Applied, len(groups))
	for i := range groups {
		for _, it := range items[i] {
			a := Applied{Object: it.Object, Resource: it.ref.String(), Verb: VerbCreated, Live: live.get(it.ref), resource: it.resource}
			switch {
			case a.Live == nil:
			case a.Live.GetDeletionTimestamp() == nil && stands(it.Unstructured, a.Live, it.resource.Status):
				a.Verb = VerbUnchanged
			default:
				a.Verb = VerbConfigured
			}
			out[i] = append(out[i], a)
		}
		for _, o := range unknown[i] {
			out[i] = append(out[i], Applied{Object: o, Resource: refOf(o.Unstructured).String(), Verb: VerbCreated})
		}
	}
	return out, nil
}

// stands says whether every value of desired stands in live. It knows no schema: when in doubt it is false.
func stands(desired, live *unstructured.Unstructured, hasStatus bool) bool {
	want := maps.Clone(desired.Object)
	if hasStatus {
		delete(want, "status") // which the server ignores
	}
	return differ{builtIn: builtIn(desired.GroupVersionKind().Group)}.covers(want, live.Object, "")
}

// covers says whether have holds all of want. Elements of lists that have names are found by them, and there may be others.
func (d differ) covers(want, have any, field string) bool {
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		for name, value := range w {
			there, isThere := h[name]
			if !isThere && !d.omitted(value) && !empty(value) || isThere && !d.covers(value, there, fieldName(field, name)) {
				return false
			}
		}
		return ok || len(w) == 0
	case []any:
		h, ok := have.([]any)
		if !ok {
			return len(w) == 0
		}
		return d.coversList(w, h)
	}
	return d.equal(want, have, field)
}

func (d differ) coversList(want, have []any) bool {
	for i, value := range want {
		at := i
		if name := nameOf(value); name != nil {
			at = slices.IndexFunc(have, func(e any) bool { return nameOf(e) == name })
		} else if len(want) != len(have) {
			return false
		}
		if at < 0 || at >= len(have) || !d.covers(value, have[at], "") {
			return false
		}
	}
	return len(want) > 0 || len(have) == 0
}

// nameOf is the name of an element of a list; nil when it has none.
func nameOf(element any) any {
	m, _ := element.(map[string]any)
	if name, ok := m["name"].(string); ok {
		return name
	}
	return nil
}

func empty(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}
