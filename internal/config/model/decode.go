package model

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/ynode"
)

// Shapes remembers what the model's types look like. One serves any number of decodings, one after the other;
// it starts empty.
type Shapes map[reflect.Type]*shape

// Decode decodes once; see Shapes.Decode.
func Decode(src *diag.Source, n *yaml.Node, out any) (errs, unknown diag.List) {
	return Shapes{}.Decode(src, n, out)
}

// Decode fills out, a pointer to one of this package's structs, from a node without aliases.
// All that does not fit comes back as errs, fields that the model does not have as unknown.
func (shapes Shapes) Decode(src *diag.Source, n *yaml.Node, out any) (errs, unknown diag.List) {
	d := decoder{src: src, types: shapes}
	d.value(n, reflect.ValueOf(out).Elem(), "")
	return d.errs, d.unknown
}

type decoder struct {
	src           *diag.Source
	types         Shapes
	errs, unknown diag.List
}

// shape is a struct's fields by their YAML names.
type shape struct {
	fields map[string][]int
	cases  []oneOf
}

type oneOf struct {
	index []int
	set   string
	cases []Case
}

func (d *decoder) shape(t reflect.Type) *shape {
	s := d.types[t]
	if s == nil {
		s = &shape{fields: make(map[string][]int, t.NumField())}
		s.add(t, nil)
		d.types[t] = s
	}
	return s
}

func (s *shape) add(t reflect.Type, prefix []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(prefix[:len(prefix):len(prefix)], i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case f.Type.Kind() == reflect.Interface:
			s.cases = append(s.cases, oneOf{index: index, set: f.Tag.Get("oneof"), cases: Cases(f.Type)})
		case strings.Contains(options, "inline"):
			s.add(f.Type, index)
		default:
			s.fields[name] = index
		}
	}
}

func (d *decoder) fail(n *yaml.Node, path, next, format string, args ...any) {
	d.errs = append(d.errs, d.src.At(n.Line, n.Column, path, fmt.Sprintf(format, args...), next))
}

func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) {
	if v.Type() == reflect.TypeFor[*yaml.Node]() {
		v.Set(reflect.ValueOf(n))
		return
	}
	if ynode.IsNull(n) {
		return
	}
	switch v.Interface().(type) {
	case IntOrString:
		d.port(n, v)
		return
	case FlatMap:
		d.flatMap(n, v, path)
		return
	case map[string]any:
		if err := n.Decode(v.Addr().Interface()); err != nil {
			d.fail(n, path, `write "name: value" pairs`, "%s: %v", path, err)
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), path)
	case reflect.Struct:
		d.object(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	case reflect.Map:
		d.mapping(n, v, path)
	default:
		d.scalar(n, v, path)
	}
}

func (d *decoder) port(n *yaml.Node, v reflect.Value) {
	text := Text(n)
	p := IntOrString{Name: text}
	if number, err := strconv.Atoi(text); err == nil {
		p = IntOrString{Int: number}
	}
	v.Set(reflect.ValueOf(p))
}

func (d *decoder) flatMap(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, `write "name: value" pairs`, "%s must map names to values", path)
		return
	}
	m := FlatMap{}
	m.flatten(n, "")
	v.Set(reflect.ValueOf(m))
}

func (d *decoder) object(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "write its fields below it, indented", "%s must hold fields", path)
		return
	}
	s := d.shape(v.Type())
	chosen := map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := ynode.Join(path, key.Value)
		if index, ok := s.fields[key.Value]; ok {
			d.value(value, v.FieldByIndex(index), at)
			continue
		}
		if !d.oneOf(s, chosen, key, value, v, at) {
			d.unknown = append(d.unknown, d.src.At(key.Line, key.Column, at, fmt.Sprintf("unknown field %q in %s", key.Value, path), "remove it: it has no effect"))
		}
	}
}

// oneOf decodes value where key is a case of one of the sealed interfaces of the struct v.
func (d *decoder) oneOf(s *shape, chosen map[string]string, key, value *yaml.Node, v reflect.Value, path string) bool {
	for _, one := range s.cases {
		for _, c := range one.cases {
			if c.Key != key.Value {
				continue
			}
			if unset(value, c.Type) {
				return true
			}
			if other := chosen[one.set]; other != "" {
				d.fail(key, path, fmt.Sprintf("remove %q or %q", other, c.Key), "only one of %s can be set: %q is set already", caseNames(one.cases), other)
				return true
			}
			chosen[one.set] = c.Key
			target := reflect.New(c.Type).Elem()
			d.value(value, target, path)
			v.FieldByIndex(one.index).Set(target)
			return true
		}
	}
	return false
}

// unset reports a value that counts as absent: null, an empty list, an empty text.
func unset(n *yaml.Node, t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice:
		return ynode.IsNull(n) || n.Kind == yaml.SequenceNode && len(n.Content) == 0
	case reflect.String:
		return ynode.IsNull(n) || n.Kind == yaml.ScalarNode && n.Value == ""
	}
	return ynode.IsNull(n)
}

func caseNames(cases []Case) string {
	names := make([]string, len(cases))
	for i, c := range cases {
		names[i] = c.Key
	}
	return strings.Join(names, ", ")
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n, path, `write each item on its own line after "- "`, "%s must be a list", path)
		return
	}
	// An empty entry counts only where it can be nil; elsewhere it is as if it were not written. It leaves the
	// tree too, so that places in the model and in the tree stay the same.
	if k := v.Type().Elem().Kind(); k == reflect.String || k == reflect.Struct || k == reflect.Int || k == reflect.Bool {
		n.Content = slices.DeleteFunc(n.Content, ynode.IsNull)
	}
	items := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.value(item, items.Index(i), ynode.Join(path, i))
	}
	v.Set(items)
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, `write "name: value" pairs`, "%s must map names to values", path)
		return
	}
	m := reflect.MakeMapWithSize(v.Type(), len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(n.Content[i+1], item, ynode.Join(path, n.Content[i].Value))
		m.SetMapIndex(reflect.ValueOf(Text(n.Content[i])), item)
	}
	v.Set(m)
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode {
		d.fail(n, path, "write one value", "%s must be a single value", path)
		return
	}
	if v.Kind() == reflect.String {
		v.SetString(Text(n))
		return
	}
	if err := n.Decode(v.Addr().Interface()); err != nil {
		want, next := "a whole number", "write a number, without quotes"
		if v.Kind() == reflect.Bool {
			want, next = "true or false", "write true or false"
		}
		d.fail(n, path, next, "%s must be %s, not %q", path, want, n.Value)
	}
}
