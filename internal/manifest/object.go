// Package manifest reads Kubernetes objects as YAML nodes and edits them in place, so that order and comments stay as
// they were written: it finds and replaces image references, and says where each came from.
package manifest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config/diag"
)

// Object is one Kubernetes object.
type Object struct {
	Node *yaml.Node // the mapping
	File string     // where it was read from, as the user would name it
}

// maxNodes bounds what one document may expand to through aliases. The API server takes objects of about a megabyte.
const maxNodes = 1 << 20

// size counts down from left by the nodes below n with aliases expanded, and stops below zero.
func size(n *yaml.Node, left int) int {
	left--
	if n.Kind == yaml.AliasNode {
		return size(n.Alias, left)
	}
	for _, child := range n.Content {
		if left < 0 {
			break
		}
		left = size(child, left)
	}
	return left
}

func fromNode(file string, data []byte, node *yaml.Node) ([]Object, error) {
	if node.Kind != yaml.MappingNode {
		return nil, at(file, data, node.Line, "a Kubernetes object is a mapping, this is not")
	}
	o := Object{Node: node, File: file}
	if o.Kind() == "" || o.APIVersion() == "" {
		return nil, at(file, data, node.Line, "apiVersion or kind is missing")
	}
	items := Get(node, "items")
	if !strings.HasSuffix(o.Kind(), "List") || items == nil || items.Kind != yaml.SequenceNode {
		if o.Name() == "" && o.field("metadata", "generateName") == "" {
			return nil, at(file, data, node.Line, o.Kind()+" has no metadata.name")
		}
		return []Object{o}, nil
	}
	var objects []Object
	shared := hasAlias(items)
	for _, item := range items.Content {
		item = resolve(item)
		if shared { // what one item names, another may hold
			item = detached(item)
		}
		found, err := fromNode(file, data, item)
		if err != nil {
			return nil, err
		}
		objects = append(objects, found...)
	}
	return objects, nil
}

func hasAlias(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, hasAlias)
}

func at(file string, data []byte, line int, cause string) error {
	source := diag.Source{File: file, Text: data}
	return source.At(line, 1, "", "manifest cannot be read: "+cause, "mend the file and run again")
}

func syntaxError(file string, data []byte, err error) error {
	cause := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if m := regexp.MustCompile(`^line (\d+): (.*)`).FindStringSubmatch(cause); m != nil {
		line, _ = strconv.Atoi(m[1])
		cause = m[2]
	}
	return at(file, data, line, cause)
}

// APIVersion, Kind, Name and Namespace are the fields of these names; empty where there is none.
func (o Object) APIVersion() string { return o.field("apiVersion") }

// Kind is the field of this name.
func (o Object) Kind() string { return o.field("kind") }

// Name is metadata.name.
func (o Object) Name() string { return o.field("metadata", "name") }

// Namespace is metadata.namespace.
func (o Object) Namespace() string { return o.field("metadata", "namespace") }

// Group is the API group, "" for the core group.
func (o Object) Group() string {
	group, _, found := strings.Cut(o.APIVersion(), "/")
	if !found {
		return ""
	}
	return group
}

// Origin is "file:line" of the object's first line, or the file alone where the object was made.
func (o Object) Origin() string {
	if o.Node.Line == 0 {
		return o.File
	}
	return fmt.Sprintf("%s:%d", o.File, o.Node.Line)
}

// At is "file:line" of a node of the object, or the file alone where the object was made.
func (o Object) At(n *yaml.Node) string {
	if o.Node.Line == 0 || n.Line == 0 {
		return o.File
	}
	return fmt.Sprintf("%s:%d", o.File, n.Line)
}

func (o Object) field(path ...string) string {
	n := Get(o.Node, path...)
	if n == nil || n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return ""
	}
	return n.Value
}

// Get finds the node at a path of mapping keys, following aliases; nil when there is none.
func Get(n *yaml.Node, path ...string) *yaml.Node {
	n = resolve(n)
	for _, key := range path {
		if n == nil || n.Kind != yaml.MappingNode {
			return nil
		}
		var next *yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				next = resolve(n.Content[i+1])
			}
		}
		n = next
	}
	return n
}

func resolve(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}
