package manifest

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Value gives the object as JSON-like values (map[string]any, []any, string, int64, float64, bool, nil), read as
// Kubernetes reads YAML: dates stay text, and the words yes, no, on and off without quotes are booleans.
func (o Object) Value() (map[string]any, error) {
	v, err := value(o.Node)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Origin(), err)
	}
	return v.(map[string]any), nil
}

func value(n *yaml.Node) (any, error) {
	switch n = resolve(n); n.Kind {
	case yaml.MappingNode:
		return mapping(n)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			v, err := value(item)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	default:
		return scalar(n)
	}
}

func mapping(n *yaml.Node) (map[string]any, error) {
	m := make(map[string]any, len(n.Content)/2)
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := resolve(n.Content[i]), n.Content[i+1]
		if key.ShortTag() == "!!merge" {
			merged = append(merged, val)
			continue
		}
		v, err := value(val)
		if err != nil {
			return nil, err
		}
		if _, twice := m[key.Value]; twice {
			return nil, fmt.Errorf("line %d: key %q stands twice in one mapping", key.Line, key.Value)
		}
		m[key.Value] = v
	}
	for _, node := range merged {
		if err := merge(m, node); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// merge adds what a merge key ("<<") brings; keys that are already there win.
func merge(m map[string]any, node *yaml.Node) error {
	v, err := value(node)
	if err != nil {
		return err
	}
	sources, isList := v.([]any)
	if !isList {
		sources = []any{v}
	}
	for _, s := range sources {
		source, ok := s.(map[string]any)
		if !ok {
			return fmt.Errorf("line %d: a merge key takes mappings only", node.Line)
		}
		for k, v := range source {
			if _, there := m[k]; !there {
				m[k] = v
			}
		}
	}
	return nil
}

func scalar(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case "!!str":
		if n.Style == 0 {
			if b, is := oldBool(n.Value); is {
				return b, nil
			}
		}
		return n.Value, nil
	case "!!timestamp":
		return n.Value, nil
	case "!!null":
		return nil, nil
	case "!!bool":
		var b bool
		err := n.Decode(&b)
		return b, err
	case "!!int":
		var i int64
		if err := n.Decode(&i); err == nil {
			return i, nil
		}
		var f float64
		err := n.Decode(&f)
		return f, err
	case "!!float":
		var f float64
		err := n.Decode(&f)
		return f, err
	default:
		var s string
		err := n.Decode(&s)
		return s, err
	}
}

func oldBool(s string) (value, is bool) {
	switch strings.ToLower(s) {
	case "yes", "on":
		return true, s == strings.ToLower(s) || s == strings.ToUpper(s) || s == "Yes" || s == "On"
	case "no", "off":
		return false, s == strings.ToLower(s) || s == strings.ToUpper(s) || s == "No" || s == "Off"
	}
	return false, false
}
