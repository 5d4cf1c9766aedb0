package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/davit-dev/davit/internal/config/diag"
)

// object is a JSON object whose members keep their order.
type object []member

type member struct {
	key   string
	value any
}

// MarshalJSON writes the members in order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(m.key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// List gives all apiVersions, oldest first, as a file writes them.
func (t *Table) List() []string {
	names := make([]string, len(t.versions))
	for i, v := range t.versions {
		names[i] = Prefix + v
	}
	return names
}

// JSON gives the JSON schema (draft 7) of a version, named with or without Prefix. It accepts what the
// published schema of that version accepts.
func (t *Table) JSON(version string) ([]byte, error) {
	v := t.Index(version)
	if v < 0 {
		next := "see schema list"
		if near := diag.Nearest(version, t.List()); near != "" {
			next = fmt.Sprintf("did you mean %q?", near)
		}
		return nil, &diag.Error{Cause: fmt.Sprintf("unknown apiVersion %q", version), Next: next}
	}
	names := make([]string, 0, len(t.text))
	for name := range t.text {
		names = append(names, name)
	}
	slices.Sort(names)
	var definitions object
	for _, name := range names {
		if t.has(name, v) {
			definitions = append(definitions, member{name, definition(t.Type(name), v)})
		}
	}
	return json.MarshalIndent(object{
		{"$schema", "http://json-schema.org/draft-07/schema#"},
		{"type", "object"},
		{"anyOf", []object{{{"$ref", "#/definitions/" + Root}}}},
		{"definitions", definitions},
	}, "", "  ")
}

// has reports whether a type exists in the version at index v: its heading says so.
func (t *Table) has(name string, v int) bool {
	heading, _, _ := strings.Cut(t.text[name], "\n")
	f := t.field([]string{name, "any", strings.TrimPrefix(heading, name+" ")})
	return f.In(v)
}

// definition describes one type. Fields that exclude each other become alternatives, the first of which has none of them.
func definition(typ *Type, v int) object {
	var common, choices []Field
	var required []string
	for _, f := range typ.Fields {
		if !f.In(v) {
			continue
		}
		if f.Required {
			required = append(required, f.Name)
		}
		if f.OneOf {
			choices = append(choices, f)
		} else {
			common = append(common, f)
		}
	}
	def := object{{"type", "object"}}
	if len(required) > 0 {
		def = append(def, member{"required", required})
	}
	if len(common)+len(choices) == 0 {
		return def
	}
	if len(choices) == 0 {
		return append(def, properties(common)...)
	}
	alternatives := []object{properties(common)}
	for _, c := range choices {
		alternatives = append(alternatives, properties(append(slices.Clone(common), c)))
	}
	return append(def, member{"anyOf", alternatives})
}

func properties(fields []Field) object {
	var all object
	var order []string
	if len(fields) == 0 {
		return object{{"additionalProperties", false}}
	}
	for _, f := range fields {
		all = append(all, member{f.Name, f.Kind.schema()})
		order = append(order, f.Name)
	}
	return object{{"properties", all}, {"preferredOrder", order}, {"additionalProperties", false}}
}

// schema describes a field's form.
func (k Kind) schema() object {
	switch {
	case k.Lists > 0:
		k.Lists--
		return object{{"type", "array"}, {"items", k.schema()}}
	case k.Map:
		k.Map = false
		return object{{"type", "object"}, {"additionalProperties", k.schema()}}
	}
	switch k.Of {
	case "any":
		return object{}
	case "bool":
		return object{{"type", "boolean"}}
	case "int":
		return object{{"type", "integer"}}
	case "int|string":
		return object{{"anyOf", []object{{{"type", "string"}}, {{"type", "integer"}}}}}
	case "string":
		if len(k.Values) > 0 {
			return object{{"type", "string"}, {"enum", k.Values}}
		}
		return object{{"type", "string"}}
	}
	return object{{"$ref", "#/definitions/" + k.Of}}
}
