package schema

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed table.txt
var table string

// Table answers what exists when. It is not safe for concurrent use; make one per load.
type Table struct {
	versions []string
	types    map[string]*Type
	text     map[string]string
}

// Type is an object of the configuration over all versions.
type Type struct {
	Name   string
	Fields []Field
}

// Field is one declaration of a field. A field whose declaration changed appears once per declaration.
type Field struct {
	Name     string
	Kind     Kind
	Required bool
	// OneOf marks a field that excludes the other marked fields of its type.
	OneOf bool
	Since []Span
}

// Kind is a field's form: Lists counts its "[]", Map says that it maps names to Of.
type Kind struct {
	Lists int
	Map   bool
	// Of is string, int, bool, any, int|string or the name of a Type.
	Of string
	// Values are the words the schema lists for a string, where it does.
	Values []string
}

// Span is a run of versions, by index; both ends belong to it.
type Span struct{ First, Last int }

// New reads the table's outline; types are decoded when asked for.
func New() *Table {
	t := &Table{types: map[string]*Type{}, text: make(map[string]string, 128)}
	blocks := strings.Split(table, "\n\ntype ")
	for line := range strings.Lines(blocks[0]) {
		if list, ok := strings.CutPrefix(line, "versions "); ok {
			t.versions = strings.Fields(list)
		}
	}
	for _, b := range blocks[1:] {
		name, _, _ := strings.Cut(b, " ")
		t.text[name] = b
	}
	return t
}

// Versions are all apiVersions, oldest first, without Prefix.
func (t *Table) Versions() []string { return t.versions }

// Index gives a version's place in the history, -1 for one that is not known.
// The name is taken with and without Prefix.
func (t *Table) Index(version string) int {
	return slices.Index(t.versions, strings.TrimPrefix(version, Prefix))
}

// Type gives a type by name; nil where there is none.
func (t *Table) Type(name string) *Type {
	if known, ok := t.types[name]; ok {
		return known
	}
	text, ok := t.text[name]
	if !ok {
		return nil
	}
	typ := &Type{Name: name}
	_, body, _ := strings.Cut(text, "\n")
	for line := range strings.Lines(body) {
		if f := strings.Fields(line); len(f) >= 3 {
			typ.Fields = append(typ.Fields, t.field(f))
		}
	}
	t.types[name] = typ
	return typ
}

func (t *Table) field(words []string) Field {
	f := Field{Name: words[0], Kind: parseKind(words[1])}
	for _, flag := range words[2 : len(words)-1] {
		f.Required = f.Required || flag == "required"
		f.OneOf = f.OneOf || flag == "oneof"
	}
	for span := range strings.SplitSeq(words[len(words)-1], ",") {
		first, last, open := strings.Cut(span, "..")
		s := Span{First: t.Index(first), Last: t.Index(last)}
		if !open {
			s.Last = s.First
		} else if last == "" {
			s.Last = len(t.versions) - 1
		}
		f.Since = append(f.Since, s)
	}
	return f
}

func parseKind(s string) Kind {
	var k Kind
	for strings.HasPrefix(s, "[]") {
		k.Lists++
		s = s[2:]
	}
	if strings.HasPrefix(s, "{}") {
		k.Map = true
		s = s[2:]
	}
	if values, ok := strings.CutPrefix(s, "string("); ok {
		s, k.Values = "string", strings.Split(strings.TrimSuffix(values, ")"), ",")
	}
	k.Of = s
	return k
}

// In reports whether the field is declared so in the version at index v.
func (f *Field) In(v int) bool {
	for _, s := range f.Since {
		if s.First <= v && v <= s.Last {
			return true
		}
	}
	return false
}

// Field gives the declaration of name in the version at index v; nil where there is none.
func (t *Type) Field(name string, v int) *Field {
	for i := range t.Fields {
		if f := &t.Fields[i]; f.Name == name && f.In(v) {
			return f
		}
	}
	return nil
}

// Names are the fields that the version at index v has.
func (t *Type) Names(v int) []string {
	var names []string
	for i := range t.Fields {
		if t.Fields[i].In(v) {
			names = append(names, t.Fields[i].Name)
		}
	}
	return names
}

// elsewhere says in which other versions a type has the field name; empty where in none.
func (t *Table) elsewhere(typ *Type, name string, v int) string {
	first, last := len(t.versions), -1
	for _, f := range typ.Fields {
		if f.Name != name {
			continue
		}
		for _, s := range f.Since {
			if s.First > v {
				first = min(first, s.First)
			} else {
				last = max(last, s.Last)
			}
		}
	}
	switch {
	case first < len(t.versions):
		return fmt.Sprintf("it came with %s%s", Prefix, t.versions[first])
	case last >= 0:
		return fmt.Sprintf("its last version was %s%s", Prefix, t.versions[last])
	}
	return ""
}
