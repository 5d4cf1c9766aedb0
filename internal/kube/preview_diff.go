package kube

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// Change is one value of an object that an apply would set, change or remove.
type Change struct {
	// Path is where: "spec.replicas", `metadata.labels["app.kubernetes.io/name"]`, "spec.containers[web].image" for elements with a name, "spec.ports[0]"
	// for others.
	Path string `json:"path"`
	// Before and After are the values, as JSON knows them; nil where there is none.
	Before any `json:"before,omitempty"`
	After  any `json:"after,omitempty"`
}

// Hidden stands for each value of a Secret.
const Hidden = "(hidden)"

// Masked is a copy of an object's fields, with the values of a Secret hidden.
func Masked(o Object) map[string]any {
	u := o.DeepCopy()
	if isSecret(u) {
		for _, field := range []string{"data", "stringData"} {
			if values, found := u.Object[field]; found {
				u.Object[field] = hide(values)
			}
		}
		unstructured.RemoveNestedField(u.Object, "metadata", "annotations", lastAppliedAnnotation)
	}
	return u.Object
}

// visible is a copy of an object without what an apply does not set.
func visible(u *unstructured.Unstructured, hasStatus bool) map[string]any {
	u = u.DeepCopy()
	for _, field := range []string{"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"} {
		unstructured.RemoveNestedField(u.Object, "metadata", field)
	}
	// It repeats the object, with the values of a Secret.
	unstructured.RemoveNestedField(u.Object, "metadata", "annotations", lastAppliedAnnotation)
	if len(u.GetAnnotations()) == 0 {
		unstructured.RemoveNestedField(u.Object, "metadata", "annotations")
	}
	if hasStatus {
		delete(u.Object, "status")
	}
	return u.Object
}

func isSecret(u *unstructured.Unstructured) bool {
	return u.GroupVersionKind().GroupKind() == schema.GroupKind{Kind: "Secret"}
}

// Between lists in what two objects differ, by path.
func Between(before, after map[string]any) []Change {
	var all []Change
	diffMaps("", before, after, &all)
	return all
}

// changes lists what differs, with the values of a Secret hidden.
func changes(before, after map[string]any, secret bool) []Change {
	all := Between(before, after)
	if !secret {
		return all
	}
	for i, c := range all {
		if c.Path == "data" || c.Path == "stringData" || strings.HasPrefix(c.Path, "data.") || strings.HasPrefix(c.Path, "data[") {
			all[i].Before, all[i].After = hide(c.Before), hide(c.After)
		}
	}
	return all
}

// hide hides values, not the names of a map.
func hide(v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case map[string]any:
		hidden := make(map[string]any, len(v))
		for name := range v {
			hidden[name] = Hidden
		}
		return hidden
	}
	return Hidden
}

func diff(path string, before, after any, all *[]Change) {
	switch b := before.(type) {
	case map[string]any:
		if a, ok := after.(map[string]any); ok {
			diffMaps(path, b, a, all)
			return
		}
	case []any:
		if a, ok := after.([]any); ok {
			diffLists(path, b, a, all)
			return
		}
	default:
		if equalScalars(before, after) {
			return
		}
	}
	*all = append(*all, Change{Path: path, Before: before, After: after})
}

func diffMaps(path string, before, after map[string]any, all *[]Change) {
	names := slices.AppendSeq(slices.Collect(maps.Keys(before)), maps.Keys(after))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		b, was := before[name]
		a, is := after[name]
		if at := joinPath(path, name); was && is {
			diff(at, b, a, all)
		} else {
			*all = append(*all, Change{Path: at, Before: b, After: a})
		}
	}
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func joinPath(path, name string) string {
	switch {
	case !plainName.MatchString(name):
		return fmt.Sprintf("%s[%q]", path, name)
	case path == "":
		return name
	}
	return path + "." + name
}

// diffLists compares elements by their names where all have one, else by their places.
func diffLists(path string, before, after []any, all *[]Change) {
	b, named := byName(before)
	a, alsoNamed := byName(after)
	if !named || !alsoNamed {
		for i := range max(len(before), len(after)) {
			at := fmt.Sprintf("%s[%d]", path, i)
			switch {
			case i >= len(before):
				*all = append(*all, Change{Path: at, After: after[i]})
			case i >= len(after):
				*all = append(*all, Change{Path: at, Before: before[i]})
			default:
				diff(at, before[i], after[i], all)
			}
		}
		return
	}
	known := len(*all)
	names := append(namesOf(before), slices.DeleteFunc(namesOf(after), func(n string) bool { return b[n] != nil })...)
	for _, name := range names {
		at := path + "[" + name + "]"
		if b[name] != nil && a[name] != nil {
			diffMaps(at, b[name], a[name], all)
			continue
		}
		*all = append(*all, Change{Path: at, Before: orNil(b[name]), After: orNil(a[name])})
	}
	if len(*all) == known && !slices.Equal(namesOf(before), namesOf(after)) {
		*all = append(*all, Change{Path: path, Before: "in the order " + strings.Join(namesOf(before), ", "), After: "in the order " + strings.Join(namesOf(after), ", ")})
	}
}

func orNil(m map[string]any) any {
	if m == nil {
		return nil
	}
	return m
}

// byName gives the elements by their field "name", if all have one of their own.
func byName(list []any) (map[string]map[string]any, bool) {
	named := make(map[string]map[string]any, len(list))
	for _, e := range list {
		m, _ := e.(map[string]any)
		name, ok := m["name"].(string)
		if !ok || named[name] != nil {
			return nil, false
		}
		named[name] = m
	}
	return named, true
}

func namesOf(list []any) []string {
	names := make([]string, 0, len(list))
	for _, e := range list {
		m, _ := e.(map[string]any)
		name, _ := m["name"].(string)
		names = append(names, name)
	}
	return names
}

// sameOwners says whether two states of an object have the same managed fields, whenever they were written.
func sameOwners(a, b *unstructured.Unstructured) bool {
	return slices.EqualFunc(a.GetManagedFields(), b.GetManagedFields(), func(x, y metav1.ManagedFieldsEntry) bool {
		x.Time, y.Time = nil, nil
		xs, ys := x.FieldsV1, y.FieldsV1
		x.FieldsV1, y.FieldsV1 = nil, nil
		return x == y && (xs == nil) == (ys == nil) && (xs == nil || bytes.Equal(xs.GetRawBytes(), ys.GetRawBytes()))
	})
}

// dropLeftBehind takes the fields out of a dry run's answer that would go when davit takes the object over from client-side apply: what only those managers
// own and the manifest does not have. The dry run cannot show it, as the taking over is a request of its own.
func dropLeftBehind(live, after *unstructured.Unstructured, managers []string) error {
	if len(managers) == 0 {
		return nil
	}
	left, kept := fieldpath.NewSet(), fieldpath.NewSet()
	for _, u := range []*unstructured.Unstructured{live, after} {
		for _, e := range u.GetManagedFields() {
			if e.FieldsV1 == nil {
				continue
			}
			fields := fieldpath.NewSet()
			if err := fields.FromJSON(bytes.NewReader(e.FieldsV1.GetRawBytes())); err != nil {
				return fmt.Errorf("reading who owns which field: %w", err)
			}
			theirs := e.Subresource == "" && e.Operation == metav1.ManagedFieldsOperationUpdate && slices.Contains(managers, e.Manager)
			switch {
			case theirs && u == live:
				left = left.Union(fields)
			case !theirs && u == after:
				kept = kept.Union(fields)
			}
		}
	}
	left.Iterate(func(p fieldpath.Path) {
		if !kept.Has(p) && !hasBelow(kept, p) {
			removeAt(after.Object, p)
		}
	})
	return nil
}

func hasBelow(s *fieldpath.Set, p fieldpath.Path) bool {
	for _, e := range p {
		s = s.WithPrefix(e)
	}
	return !s.Empty()
}

// removeAt removes what a path leads to, if it is there, and gives the container as it is afterwards.
func removeAt(container any, p fieldpath.Path) any {
	if len(p) == 0 {
		return container
	}
	switch c := container.(type) {
	case map[string]any:
		if p[0].FieldName == nil {
			return c
		}
		name := *p[0].FieldName
		if child, there := c[name]; there && len(p) > 1 {
			c[name] = removeAt(child, p[1:])
		} else {
			delete(c, name)
		}
		return c
	case []any:
		i := slices.IndexFunc(c, func(e any) bool { return isElement(p[0], e) })
		switch {
		case i < 0:
		case len(p) > 1:
			c[i] = removeAt(c[i], p[1:])
		default:
			return slices.Delete(c, i, i+1)
		}
	}
	return container
}

func isElement(e fieldpath.PathElement, v any) bool {
	switch {
	case e.Value != nil:
		return value.Equals(*e.Value, value.NewValueInterface(v))
	case e.Key != nil:
		m, ok := v.(map[string]any)
		if !ok {
			return false
		}
		for _, f := range *e.Key {
			if have, there := m[f.Name]; !there || !value.Equals(f.Value, value.NewValueInterface(have)) {
				return false
			}
		}
		return true
	}
	return false
}
