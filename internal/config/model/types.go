package model

import (
	"fmt"
	"math"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// IntOrString is a port by number or by name.
type IntOrString struct {
	// Name is set where the port is not a number.
	Name string
	Int  int
}

// String gives the port as it is written.
func (p IntOrString) String() string {
	if p.Name != "" {
		return p.Name
	}
	return strconv.Itoa(p.Int)
}

// IsInt reports whether the port is a number.
func (p IntOrString) IsInt() bool { return p.Name == "" }

// FlatMap holds nested values under dotted keys, as helm's --set takes them: a.b[0].c.
type FlatMap map[string]string

// flatten fills m from a mapping. Values are written as Go prints them, which is what the
// reference passes to helm: null becomes <nil>.
func (m FlatMap) flatten(n *yaml.Node, prefix string) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i].Value
			if prefix != "" {
				key = prefix + "." + key
			}
			m.flatten(n.Content[i+1], key)
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			m.flatten(item, fmt.Sprintf("%s[%d]", prefix, i))
		}
	default:
		m[prefix] = Printed(n)
	}
}

// Printed gives a scalar as Go prints its value, null as <nil>: what a FlatMap holds.
func Printed(n *yaml.Node) string {
	if n.ShortTag() == "!!str" {
		return n.Value
	}
	var v any
	if n.Decode(&v) != nil {
		return n.Value
	}
	return fmt.Sprint(v)
}

// Text gives a scalar as a string field holds it. Numbers and times that were not quoted go through
// their value, so 1.10 is "1.1" and 0x10 is "16", as it is for the reference.
func Text(n *yaml.Node) string {
	switch n.ShortTag() {
	case "!!str", "!!null":
		return n.Value
	case "!!float":
		var f float64
		if n.Decode(&f) == nil {
			switch {
			case math.IsNaN(f):
				return ".nan"
			case math.IsInf(f, 1):
				return ".inf"
			case math.IsInf(f, -1):
				return "-.inf"
			}
			return strconv.FormatFloat(f, 'g', -1, 64)
		}
	case "!!int":
		var i int64
		var u uint64
		if n.Decode(&i) == nil {
			return strconv.FormatInt(i, 10)
		}
		if n.Decode(&u) == nil {
			return strconv.FormatUint(u, 10)
		}
	case "!!bool":
		var b bool
		if n.Decode(&b) == nil {
			return strconv.FormatBool(b)
		}
	case "!!timestamp":
		out, err := yaml.Marshal(timeOf(n))
		var again yaml.Node
		if err == nil && yaml.Unmarshal(out, &again) == nil && len(again.Content) == 1 {
			return again.Content[0].Value
		}
	}
	return n.Value
}

func timeOf(n *yaml.Node) any {
	var v any
	if n.Decode(&v) != nil {
		return n.Value
	}
	return v
}
