package cloudrun

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// decode fills one of the client's structs. Values that are zero are marked, or the client would not send them; numbers and booleans become text where
// text is wanted, as in `cpu: 1`. Fields that the struct does not have are returned by their paths.
func decode(fields map[string]any, into any) (unknown []string, err error) {
	text, err := yaml.Marshal(fields)
	if err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		return nil, err
	}
	unknown = mark(fields, reflect.ValueOf(into).Elem(), "")
	slices.Sort(unknown)
	return unknown, nil
}

// mark walks over what was given and the struct that it went into.
func mark(given any, into reflect.Value, path string) (unknown []string) {
	for into.Kind() == reflect.Pointer && !into.IsNil() {
		into = into.Elem()
	}
	switch given := given.(type) {
	case map[string]any:
		if into.Kind() != reflect.Struct {
			return nil
		}
		var forced []string
		for name, value := range given {
			i := field(into.Type(), name)
			if i < 0 {
				unknown = append(unknown, path+"."+name)
				continue
			}
			if into.Field(i).IsZero() && value != nil {
				forced = append(forced, into.Type().Field(i).Name)
			}
			unknown = append(unknown, mark(value, into.Field(i), path+"."+name)...)
		}
		if f := into.FieldByName("ForceSendFields"); f.IsValid() {
			slices.Sort(forced)
			f.Set(reflect.ValueOf(forced))
		}
	case []any:
		if into.Kind() != reflect.Slice {
			return nil
		}
		for i := range min(len(given), into.Len()) {
			unknown = append(unknown, mark(given[i], into.Index(i), path)...)
		}
	}
	return unknown
}

// field is the index of the field that JSON knows by a name; -1 if there is none.
func field(t reflect.Type, name string) int {
	for i := range t.NumField() {
		if tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); tag == name {
			return i
		}
	}
	return -1
}

// unchanged says whether what Cloud Run has is what davit wrote last, and that is what it would write now.
func unchanged(body, live any) (bool, error) {
	want, err := plain(body)
	if err != nil {
		return false, err
	}
	have, err := plain(live)
	if err != nil {
		return false, err
	}
	if meta, ok := want["metadata"].(map[string]any); ok {
		delete(meta, "namespace") // Cloud Run answers with the project's number
	}
	return holds(have, want), nil
}

func plain(v any) (fields map[string]any, err error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return fields, json.Unmarshal(text, &fields)
}

// holds says whether have has all values of want; beside them, there may be what the server filled in.
func holds(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok {
			return have == nil && len(want) == 0
		}
		for name, value := range want {
			if !holds(h[name], value) {
				return false
			}
		}
		return true
	case []any:
		h, _ := have.([]any)
		return slices.EqualFunc(h, want, holds)
	}
	return have == want || have == nil && reflect.ValueOf(want).IsZero()
}
