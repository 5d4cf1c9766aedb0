// Package ynode has the few operations on yaml nodes that the configuration packages share.
// Nodes keep the line and column they were written at, wherever they are moved.
package ynode

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Get gives the value of key in a mapping; nil where there is none.
func Get(n *yaml.Node, key string) *yaml.Node {
	if i := index(n, key); i >= 0 {
		return n.Content[i+1]
	}
	return nil
}

// Path follows keys through nested mappings; nil where one is missing.
func Path(n *yaml.Node, keys ...string) *yaml.Node {
	for _, k := range keys {
		n = Get(n, k)
	}
	return n
}

// Key gives the key's own node in a mapping; nil where there is none.
func Key(n *yaml.Node, key string) *yaml.Node {
	if i := index(n, key); i >= 0 {
		return n.Content[i]
	}
	return nil
}

func index(n *yaml.Node, key string) int {
	if n == nil || n.Kind != yaml.MappingNode {
		return -1
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// Set puts value under key, replacing what is there. A new key takes its position from value.
func Set(n *yaml.Node, key string, value *yaml.Node) {
	if i := index(n, key); i >= 0 {
		n.Content[i+1] = value
		return
	}
	k := String(key, value)
	n.Content = append(n.Content, k, value)
}

// Take removes key from a mapping and gives its value; nil where there is none.
func Take(n *yaml.Node, key string) *yaml.Node {
	i := index(n, key)
	if i < 0 {
		return nil
	}
	value := n.Content[i+1]
	n.Content = append(n.Content[:i:i], n.Content[i+2:]...)
	return value
}

// Rename gives a key another name and keeps its place and comments.
func Rename(n *yaml.Node, from, to string) {
	if i := index(n, from); i >= 0 {
		Take(n, to)
		n.Content[index(n, from)].Value = to
	}
}

// Move takes an entry, its comments included, to another mapping under another name. It reports whether there
// was one.
func Move(from *yaml.Node, key string, to *yaml.Node, name string) bool {
	i := index(from, key)
	if i < 0 {
		return false
	}
	k, value := from.Content[i], from.Content[i+1]
	Take(from, key)
	k.Value = name
	if at := index(to, name); at >= 0 {
		to.Content[at], to.Content[at+1] = k, value
	} else {
		to.Content = append(to.Content, k, value)
	}
	return true
}

// Before gives the mapping under key like Child, but puts a new one in front of the entry next.
func Before(n *yaml.Node, key, next string, at *yaml.Node) *yaml.Node {
	known := Get(n, key) != nil
	c := Child(n, key, at)
	if i := index(n, next); !known && i >= 0 {
		last := len(n.Content) - 2
		entry := []*yaml.Node{n.Content[last], n.Content[last+1]}
		n.Content = append(n.Content[:i:i], append(entry, n.Content[i:last]...)...)
	}
	return c
}

// Comments gives the comments of a node and of all below it, in order.
func Comments(n *yaml.Node) (comments []string) {
	if n == nil {
		return nil
	}
	for _, c := range []string{n.HeadComment, n.LineComment} {
		if c != "" {
			comments = append(comments, c)
		}
	}
	for _, c := range n.Content {
		comments = append(comments, Comments(c)...)
	}
	if n.FootComment != "" {
		comments = append(comments, n.FootComment)
	}
	return comments
}

// Uncomment removes the comments of a tree.
func Uncomment(n *yaml.Node) {
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	for _, c := range n.Content {
		Uncomment(c)
	}
}

// Child gives the mapping under key, making an empty one where there is none, positioned as at.
func Child(n *yaml.Node, key string, at *yaml.Node) *yaml.Node {
	if c := Get(n, key); c != nil && c.Kind == yaml.MappingNode {
		return c
	}
	c := Mapping(at)
	Set(n, key, c)
	return c
}

// Items gives the elements of a sequence, nothing for any other node.
func Items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

// Clone copies a node with all below it. The tree must hold no aliases.
func Clone(n *yaml.Node) *yaml.Node {
	if n == nil {
		return nil
	}
	c := *n
	c.Anchor = ""
	c.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		c.Content[i] = Clone(child)
	}
	return &c
}

// String makes a text node positioned as at.
func String(value string, at *yaml.Node) *yaml.Node {
	return place(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}, at)
}

// Bool makes a boolean node positioned as at.
func Bool(value bool, at *yaml.Node) *yaml.Node {
	return place(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(value)}, at)
}

// Mapping makes an empty mapping positioned as at.
func Mapping(at *yaml.Node) *yaml.Node {
	return place(&yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}, at)
}

// Sequence makes a sequence of items positioned as at.
func Sequence(at *yaml.Node, items ...*yaml.Node) *yaml.Node {
	return place(&yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: items}, at)
}

func place(n, at *yaml.Node) *yaml.Node {
	if at != nil {
		n.Line, n.Column = at.Line, at.Column
	}
	return n
}

// IsNull reports whether a value is absent or written as null.
func IsNull(n *yaml.Node) bool {
	return n == nil || n.Kind == 0 || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// Join writes a model path as people do: build.artifacts[0].docker.
func Join(path string, step any) string {
	switch s := step.(type) {
	case int:
		return path + "[" + strconv.Itoa(s) + "]"
	case string:
		if path == "" {
			return s
		}
		if strings.ContainsAny(s, ". ") {
			return path + "[" + strconv.Quote(s) + "]"
		}
		return path + "." + s
	}
	return path
}
