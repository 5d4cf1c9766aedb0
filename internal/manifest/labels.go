package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// SetLabels adds labels to the objects and to the pod templates inside of them, where the selector allows it. A label that an object has
// already stays; each that has another value there is reported: `deployment.yaml:5: label team is "a" and stays so, not "b"`.
func (s *Selector) SetLabels(objects []Object, labels map[string]string) (conflicts []string) {
	if len(labels) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(labels))
	for _, o := range objects {
		allow, deny, ok := s.places(o)
		if !ok {
			continue
		}
		targets := map[*yaml.Node]bool{}
		var order []*yaml.Node
		add := func(parent *yaml.Node, field string) (labelled bool) {
			node := child(parent, field)
			if node != nil && !targets[node] {
				targets[node] = true
				order = append(order, node)
			}
			return node != nil
		}
		visit(o.Node, nil, func(at *spot, n *yaml.Node) bool {
			if n.Kind != yaml.MappingNode {
				return true
			}
			labelled := false
			for _, field := range labelFields(allow, at) {
				if !hits(deny.labels, &spot{at, field}, "") {
					labelled = add(n, field) || labelled
				}
			}
			return !labelled // what is below is not metadata of another object
		})
		for _, node := range order {
			conflicts = append(conflicts, setLabels(o, node, names, labels)...)
		}
	}
	return conflicts
}

// labelFields names the fields of the mapping at a spot that hold labels.
func labelFields(allow places, at *spot) []string {
	var fields []string
	for _, p := range allow.labels {
		if p == anywhere {
			if at.key == "metadata" {
				fields = append(fields, "labels")
			}
			continue
		}
		// The last part of a path of labels is the field itself, which need not exist yet.
		text := strings.TrimSuffix(p.String(), "$")
		if i := strings.LastIndex(text, `\.`); i >= 0 && p.MatchString((&spot{at, text[i+2:]}).String()) {
			fields = append(fields, text[i+2:])
		}
	}
	return fields
}

// child gives the mapping under a key, made where it is missing; nil where something else stands.
func child(parent *yaml.Node, key string) *yaml.Node {
	if node := Get(parent, key); node != nil {
		if node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" {
			*node = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		}
		if node.Kind != yaml.MappingNode {
			return nil
		}
		return node
	}
	node := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	parent.Content = append(parent.Content, plain(key), node)
	return node
}

func setLabels(o Object, node *yaml.Node, names []string, labels map[string]string) (conflicts []string) {
	for _, name := range names {
		have := Get(node, name)
		if have == nil {
			node.Content = append(node.Content, plain(name), plain(labels[name]))
			continue
		}
		if have.Value != labels[name] {
			conflicts = append(conflicts, fmt.Sprintf("%s: label %s is %q and stays so, not %q", o.Origin(), name, have.Value, labels[name]))
		}
	}
	return conflicts
}

// plain makes a node of a text, quoted where Kubernetes would read it as a boolean without.
func plain(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	if _, is := oldBool(s); is {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// Annotate sets an annotation of an object.
func Annotate(o Object, name, value string) {
	metadata := child(o.Node, "metadata")
	if metadata == nil {
		return
	}
	if annotations := child(metadata, "annotations"); annotations != nil && Get(annotations, name) == nil {
		annotations.Content = append(annotations.Content, plain(name), plain(value))
	}
}

// SetNamespace puts objects that name no namespace into one, where the selector knows their kind: others may have none. An object that names
// another one stays there, and is reported: `web.yaml:1: namespace is "a" and stays so, not "b"`.
func (s *Selector) SetNamespace(objects []Object, namespace string) (conflicts []string) {
	for _, o := range objects {
		if _, _, ok := s.places(o); !ok || namespace == "" {
			continue
		}
		metadata := child(o.Node, "metadata")
		if metadata == nil {
			continue
		}
		switch have := Get(metadata, "namespace"); {
		case have == nil:
			metadata.Content = append(metadata.Content, plain("namespace"), plain(namespace))
		case have.Value == "" || have.ShortTag() == "!!null":
			*have = *plain(namespace)
		case have.Value != namespace:
			conflicts = append(conflicts, fmt.Sprintf("%s: namespace is %q and stays so, not %q", o.Origin(), have.Value, namespace))
		}
	}
	return conflicts
}
