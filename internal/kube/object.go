package kube

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Object is one object to apply or delete.
type Object struct {
	*unstructured.Unstructured
	Origin string // where it was written, "k8s/web.yaml:12"; may be empty
}

// NewObject makes an Object of the fields of a manifest, as a YAML or JSON decoder gives them. The fields are copied, and
// numbers become what the API machinery expects (int64 or float64).
func NewObject(fields map[string]any, origin string) (Object, error) {
	raw, err := json.Marshal(fields)
	if err != nil {
		return Object{}, fmt.Errorf("%s: reading the object: %w", origin, err)
	}
	return ParseObject(raw, origin)
}

// Manifest is an object as it is written down.
type Manifest interface {
	Value() (map[string]any, error)
	Origin() string
}

// NewObjects makes objects of manifests; those that name no namespace get the one given. The errors of all come together.
func NewObjects[M Manifest](manifests []M, namespace string) ([]Object, error) {
	objects := make([]Object, 0, len(manifests))
	var errs []error
	for _, m := range manifests {
		fields, err := m.Value()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		object, err := NewObject(fields, m.Origin())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if object.GetNamespace() == "" {
			object.SetNamespace(namespace)
		}
		objects = append(objects, object)
	}
	return objects, errors.Join(errs...)
}

// ParseObject makes an Object of its JSON.
func ParseObject(raw []byte, origin string) (Object, error) {
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(raw); err != nil {
		return Object{}, fmt.Errorf("%s: reading the object: %w", origin, err)
	}
	return Object{Unstructured: u, Origin: origin}, nil
}

// ref names an object the way kubectl prints it, with its namespace.
type ref struct {
	gk        schema.GroupKind
	namespace string
	name      string
}

func refOf(u *unstructured.Unstructured) ref {
	return ref{gk: u.GroupVersionKind().GroupKind(), namespace: u.GetNamespace(), name: u.GetName()}
}

// String is "deployment.apps/web".
func (r ref) String() string {
	kind := strings.ToLower(r.gk.Kind)
	if r.gk.Group != "" {
		kind += "." + r.gk.Group
	}
	return kind + "/" + r.name
}

// key tells objects of a set apart: version does not matter.
func (r ref) key() string { return r.String() + "@" + r.namespace }

// normalize makes of the object as written what the server would keep of it, where that is known and the difference would
// make every later comparison fail: stringData of a Secret becomes data (the server forgets stringData), and fields that only
// the server sets are dropped.
func normalize(u *unstructured.Unstructured) error {
	unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
	unstructured.RemoveNestedField(u.Object, "metadata", "managedFields")
	unstructured.RemoveNestedField(u.Object, "metadata", "resourceVersion")
	unstructured.RemoveNestedField(u.Object, "metadata", "uid")
	unstructured.RemoveNestedField(u.Object, "metadata", "generation")
	unstructured.RemoveNestedField(u.Object, "metadata", "selfLink")
	dropNulls(u.Object)
	if u.GroupVersionKind().GroupKind() == (schema.GroupKind{Kind: "Secret"}) {
		return foldStringData(u)
	}
	return nil
}

// dropNulls removes keys without a value: server-side apply reads them as "not given", as does kubectl.
func dropNulls(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if e == nil {
				delete(v, k)
				continue
			}
			dropNulls(e)
		}
	case []any:
		for _, e := range v {
			dropNulls(e)
		}
	}
}

func foldStringData(u *unstructured.Unstructured) error {
	plain, found, err := unstructured.NestedStringMap(u.Object, "stringData")
	if err != nil {
		return fmt.Errorf("reading stringData: %w", err)
	}
	if !found {
		return nil
	}
	for k, v := range plain {
		if err := unstructured.SetNestedField(u.Object, base64.StdEncoding.EncodeToString([]byte(v)), "data", k); err != nil {
			return fmt.Errorf("reading data: %w", err)
		}
	}
	unstructured.RemoveNestedField(u.Object, "stringData")
	return nil
}
