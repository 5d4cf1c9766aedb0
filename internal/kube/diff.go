package kube

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// unchanged says whether applying desired over live would surely change nothing: every value of desired stands in
// live and is owned by the manager, and that owns nothing that desired no longer has. It knows no schema, so whenever the
// answer is not certain it is false, and the server decides: an apply that changes nothing does not move the
// resourceVersion either.
//
// The owned fields are read in their FieldsV1 form: keys "f:name" for fields, `k:{"name":"x"}` and `v:"x"` for elements of
// lists, "." for the thing itself (https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management).
func unchanged(desired, live *unstructured.Unstructured, hasStatus bool, manager string) bool {
	owned, ok := ownedFields(live, manager)
	if !ok {
		return false
	}
	want := maps.Clone(desired.Object)
	// The server does not track these; the status of kinds that have a status subresource it ignores.
	delete(want, "apiVersion")
	delete(want, "kind")
	if hasStatus {
		delete(want, "status")
	}
	if m, ok := want["metadata"].(map[string]any); ok {
		meta := maps.Clone(m)
		delete(meta, "name")
		delete(meta, "namespace")
		if want["metadata"] = meta; len(meta) == 0 {
			delete(want, "metadata")
		}
	}
	d := differ{builtIn: builtIn(desired.GroupVersionKind().Group)}
	return d.sameMap(owned, want, live.Object, "")
}

// ownedFields are the fields that a manager applied; not ok if it never did.
func ownedFields(live *unstructured.Unstructured, manager string) (map[string]any, bool) {
	for _, e := range live.GetManagedFields() {
		if e.Manager != manager || e.Operation != metav1.ManagedFieldsOperationApply || e.Subresource != "" || e.FieldsV1 == nil {
			continue
		}
		// After a new version of the API the fields may be told by other names.
		if e.APIVersion != live.GetAPIVersion() {
			return nil, false
		}
		var fields map[string]any
		if json.Unmarshal(e.FieldsV1.GetRawBytes(), &fields) != nil {
			return nil, false
		}
		return fields, true
	}
	return nil, false
}

// builtIn says whether a group is Kubernetes' own, whose meaning is known.
func builtIn(group string) bool {
	return !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io")
}

// differ compares; of Kubernetes' own kinds it knows more: which texts are quantities, and what the server fills in.
type differ struct{ builtIn bool }

// same compares one desired value with the live one, where owned are the fields below it; field is its name.
func (d differ) same(owned map[string]any, desired, live any, field string) bool {
	if len(owned) == 0 {
		return d.equal(desired, live, field) // a scalar, or a list or map that is owned as a whole
	}
	switch want := desired.(type) {
	case map[string]any:
		have, ok := live.(map[string]any)
		return ok && d.sameMap(owned, want, have, field)
	case []any:
		have, ok := live.([]any)
		return ok && d.sameList(owned, want, have)
	}
	_, self := owned["."]
	return self && len(owned) == 1 && d.equal(desired, live, field)
}

func (d differ) sameMap(owned, want, have map[string]any, parent string) bool {
	seen := 0
	for name, value := range want {
		below, isOwned := owned["f:"+name].(map[string]any)
		there, isThere := have[name]
		if !isOwned || !isThere && !d.omitted(value) || isThere && !d.same(below, value, there, fieldName(parent, name)) {
			return false
		}
		seen++
	}
	if _, self := owned["."]; self {
		seen++
	}
	return seen == len(owned)
}

// fieldName keeps the parent's name for what is below resource lists, whose own names say nothing.
func fieldName(parent, name string) string {
	if resourceLists[parent] {
		return parent
	}
	return name
}

func (d differ) sameList(owned map[string]any, want, have []any) bool {
	seen, last := 0, -1
	for _, value := range want {
		key := d.ownedKey(owned, value)
		if key == "" {
			return false
		}
		at := slices.IndexFunc(have, func(e any) bool { return keyMatches(key, e) })
		if at <= last { // not there, or in another order, which an apply would change
			return false
		}
		last = at
		below, _ := owned[key].(map[string]any)
		if strings.HasPrefix(key, "k:") && !d.same(below, value, have[at], "") {
			return false
		}
		seen++
	}
	if _, self := owned["."]; self {
		seen++
	}
	return seen == len(owned)
}

// ownedKey finds the one owned element that a desired element is; "" if none or several could be.
func (d differ) ownedKey(owned map[string]any, value any) string {
	found := ""
	for key := range owned {
		if !keyMatches(key, value) {
			continue
		}
		if found != "" {
			return ""
		}
		found = key
	}
	return found
}

// keyMatches says whether an element could be the one with this key. A field of the key that the element lacks is one that
// the server fills in: the protocol of a port.
func keyMatches(key string, element any) bool {
	form, raw, _ := strings.Cut(key, ":")
	switch form {
	case "v":
		return equalScalars(parseJSON(raw), element)
	case "k":
		fields, isMap := parseJSON(raw).(map[string]any)
		e, ok := element.(map[string]any)
		if !ok || !isMap {
			return false
		}
		matched := 0
		for name, v := range fields {
			have, given := e[name]
			if !given && name == "protocol" {
				have, given = "TCP", true
			}
			if given && !equalScalars(v, have) {
				return false
			}
			if given {
				matched++
			}
		}
		return matched > 0
	}
	return false
}

func parseJSON(raw string) any {
	dec := json.NewDecoder(bytes.NewReader([]byte(raw)))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil
	}
	return v
}

var resourceLists = map[string]bool{"limits": true, "requests": true, "capacity": true, "hard": true}

// equal compares whole values.
func (d differ) equal(want, have any, field string) bool {
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		return ok && d.equalMaps(w, h, field)
	case []any:
		h, ok := have.([]any)
		return ok && slices.EqualFunc(w, h, func(a, b any) bool { return d.equal(a, b, field) })
	}
	return equalScalars(want, have) || d.builtIn && (resourceLists[field] || field == "sizeLimit") && equalQuantities(want, have)
}

func (d differ) equalMaps(want, have map[string]any, field string) bool {
	for k, v := range want {
		there, ok := have[k]
		if !ok && !d.omitted(v) || ok && !d.equal(v, there, fieldName(field, k)) {
			return false
		}
	}
	for k, v := range have {
		_, ok := want[k]
		if filled := d.builtIn && reflect.DeepEqual(filledIn[k], v); !ok && !filled {
			return false
		}
	}
	return true
}

// filledIn is what the server adds, unless something else is given, inside of values that are owned as a whole: their
// managed fields do not tell what was given.
var filledIn = map[string]any{
	"apiVersion":        "v1", // fieldRef, volumeClaimTemplates
	"kind":              "PersistentVolumeClaim",
	"status":            map[string]any{"phase": "Pending"}, // volumeClaimTemplates
	"volumeMode":        "Filesystem",
	"protocol":          "TCP",
	"scope":             "*", // rules of webhooks
	"divisor":           "0",
	"expirationSeconds": int64(3600),
	"defaultMode":       int64(0o644),
}

// omitted says whether the server leaves a value out of what it shows: the empty ones of its own kinds.
func (d differ) omitted(v any) bool {
	return d.builtIn && (v == "" || v == false)
}

func equalScalars(a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	x, isNumber := number(a)
	y, alsoNumber := number(b)
	_, exact := a.(int64)
	_, alsoExact := b.(int64)
	if exact && alsoExact { // and not the same: floats might not tell them apart
		return false
	}
	return isNumber && alsoNumber && x == y
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	}
	return 0, false
}

func equalQuantities(a, b any) bool {
	x, ok := quantity(a)
	y, alsoOK := quantity(b)
	return ok && alsoOK && x.Cmp(y) == 0
}

func quantity(v any) (resource.Quantity, bool) {
	switch n := v.(type) {
	case string:
		q, err := resource.ParseQuantity(n)
		return q, err == nil
	case int64:
		return *resource.NewQuantity(n, resource.DecimalSI), true
	case float64:
		q, err := resource.ParseQuantity(strings.TrimSuffix(jsonText(n), ".0"))
		return q, err == nil
	}
	return resource.Quantity{}, false
}

func jsonText(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(raw)
}
