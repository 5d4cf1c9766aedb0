package model

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config/ynode"
)

// Encode gives a value of the model as a node: fields in the schema's order, what is unset left out.
func Encode(v any) *yaml.Node {
	return encode(reflect.ValueOf(v))
}

func encode(v reflect.Value) *yaml.Node {
	switch x := v.Interface().(type) {
	case *yaml.Node:
		return x
	case IntOrString:
		if x.IsInt() {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(x.Int)}
		}
		return text(x.Name)
	case map[string]any, []map[string]any:
		var n yaml.Node
		if n.Encode(x) != nil {
			return ynode.Mapping(nil)
		}
		return &n
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
		}
		return encode(v.Elem())
	case reflect.Struct:
		n := ynode.Mapping(nil)
		encodeFields(n, v)
		return n
	case reflect.Slice:
		n := ynode.Sequence(nil)
		for i := range v.Len() {
			n.Content = append(n.Content, encode(v.Index(i)))
		}
		return n
	case reflect.Map:
		return encodeMap(v)
	case reflect.Bool:
		return ynode.Bool(v.Bool(), nil)
	case reflect.Int, reflect.Int64:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatInt(v.Int(), 10)}
	}
	return text(v.String())
}

func encodeMap(v reflect.Value) *yaml.Node {
	n := ynode.Mapping(nil)
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	for _, k := range keys {
		n.Content = append(n.Content, text(k.String()), encode(v.MapIndex(k)))
	}
	return n
}

func encodeFields(n *yaml.Node, v reflect.Value) {
	t := v.Type()
	for i := range t.NumField() {
		f, value := t.Field(i), v.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case f.Type.Kind() == reflect.Interface:
			if !value.IsNil() {
				n.Content = append(n.Content, text(CaseKey(value)), encode(value.Elem()))
			}
		case strings.Contains(options, "inline"):
			encodeFields(n, value)
		case strings.Contains(options, "omitempty") && isZero(value):
		default:
			n.Content = append(n.Content, text(name), encode(value))
		}
	}
}

// CaseKey gives the field name under which the content of a sealed interface is written.
func CaseKey(v reflect.Value) string {
	for _, c := range Cases(v.Type()) {
		if c.Type == v.Elem().Type() {
			return c.Key
		}
	}
	return ""
}

// Name gives the field name under which a case is written: "docker" for a *Docker.
func Name[T any](value T) string {
	return CaseKey(reflect.ValueOf(&value).Elem())
}

// text makes a string node that reads back as one: what looks like a number or a boolean gets quotes.
func text(s string) *yaml.Node {
	var n yaml.Node
	n.SetString(s)
	if n.Style == 0 && looksTyped(s) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return &n
}

// looksTyped reports text that readers of YAML take for something else without quotes; those of YAML 1.1 take more words for true and false.
func looksTyped(s string) bool {
	for _, word := range []string{"y", "yes", "on", "n", "no", "off"} {
		if strings.EqualFold(s, word) {
			return true
		}
	}
	n := yaml.Node{Kind: yaml.ScalarNode, Value: s}
	return n.ShortTag() != "!!str"
}

// isZero reports whether omitempty leaves a value out, by the rules of yaml.v3: empty lists and maps,
// and structs that hold nothing, count.
func isZero(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		for i := range v.NumField() {
			if !isZero(v.Field(i)) {
				return false
			}
		}
		return true
	}
	return v.IsZero()
}

// Graft gives the nodes of a tree the positions that the same values have in another.
func Graft(tree, from *yaml.Node) {
	if tree == nil || from == nil {
		return
	}
	tree.Line, tree.Column = from.Line, from.Column
	switch {
	case tree.Kind == yaml.MappingNode && from.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(tree.Content); i += 2 {
			key := tree.Content[i]
			if value := ynode.Get(from, key.Value); value != nil {
				Graft(tree.Content[i+1], value)
				k := ynode.Key(from, key.Value)
				key.Line, key.Column = k.Line, k.Column
			}
		}
	case tree.Kind == yaml.SequenceNode && from.Kind == yaml.SequenceNode:
		for i := range min(len(tree.Content), len(from.Content)) {
			Graft(tree.Content[i], from.Content[i])
		}
	}
}
