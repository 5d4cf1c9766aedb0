package profile

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/config/ynode"
)

// patch changes the tree by one operation: RFC 6902, with two additions that the reference knows: the
// default operation is replace, and a path element key=value stands for every object that has it.
func patch(tree *yaml.Node, p model.Patch) error {
	paths := []string{p.Path}
	if strings.Contains(p.Path, "=") {
		if paths = expand(tree, p.Path); len(paths) == 0 {
			return fmt.Errorf("nothing matches %s", p.Path)
		}
	}
	for _, path := range paths {
		if err := patchOne(tree, p, path); err != nil {
			return err
		}
	}
	return nil
}

func patchOne(tree *yaml.Node, p model.Patch, path string) error {
	value := p.Value
	if value == nil {
		value = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	}
	switch p.Op {
	case "move", "copy":
		holder, key, err := find(tree, p.From)
		if err != nil {
			return err
		}
		moved := get(holder, key)
		if moved == nil {
			return fmt.Errorf("%s does not exist", p.From)
		}
		if p.Op == "move" {
			if err := remove(holder, key, p.From); err != nil {
				return err
			}
		} else {
			moved = ynode.Clone(moved)
		}
		holder, key, err = find(tree, path)
		if err != nil {
			return err
		}
		return set(holder, key, moved, path)
	}
	holder, key, err := find(tree, path)
	if err != nil {
		return err
	}
	switch p.Op {
	case "", "replace":
		if get(holder, key) == nil {
			return fmt.Errorf("%s does not exist", path)
		}
		return set(holder, key, ynode.Clone(value), path)
	case "add":
		return add(holder, key, ynode.Clone(value), path)
	case "remove":
		return remove(holder, key, path)
	case "test":
		if got := get(holder, key); !equal(got, value) {
			return fmt.Errorf("the value at %s is not the one that is tested for", path)
		}
		return nil
	}
	return fmt.Errorf("unknown operation %q", p.Op)
}

// find gives the object or list that holds the last element of path, and that element.
func find(tree *yaml.Node, path string) (*yaml.Node, string, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, "", fmt.Errorf("path %q must start with /", path)
	}
	parts := strings.Split(path, "/")[1:]
	n := tree
	for i, part := range parts[:len(parts)-1] {
		if n = get(n, decodeKey(part)); n == nil || n.Kind == yaml.ScalarNode {
			return nil, "", fmt.Errorf("/%s does not exist", strings.Join(parts[:i+1], "/"))
		}
	}
	return n, decodeKey(parts[len(parts)-1]), nil
}

func decodeKey(s string) string {
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(s)
}

func get(holder *yaml.Node, key string) *yaml.Node {
	if holder.Kind != yaml.SequenceNode {
		return ynode.Get(holder, key)
	}
	i, err := strconv.Atoi(key)
	if err != nil || i < 0 || i >= len(holder.Content) {
		return nil
	}
	return holder.Content[i]
}

func set(holder *yaml.Node, key string, value *yaml.Node, path string) error {
	if holder.Kind != yaml.SequenceNode {
		ynode.Set(holder, key, value)
		return nil
	}
	i, err := strconv.Atoi(key)
	if err != nil || i < 0 || i > len(holder.Content) {
		return fmt.Errorf("%s is not a place in a list of %d", path, len(holder.Content))
	}
	if i == len(holder.Content) {
		holder.Content = append(holder.Content, nil)
	}
	holder.Content[i] = value
	return nil
}

func add(holder *yaml.Node, key string, value *yaml.Node, path string) error {
	if holder.Kind != yaml.SequenceNode {
		ynode.Set(holder, key, value)
		return nil
	}
	i, err := strconv.Atoi(key)
	if key == "-" {
		i, err = len(holder.Content), nil
	}
	if err != nil || i < 0 || i > len(holder.Content) {
		return fmt.Errorf("%s is not a place in a list of %d", path, len(holder.Content))
	}
	holder.Content = append(holder.Content[:i:i], append([]*yaml.Node{value}, holder.Content[i:]...)...)
	return nil
}

func remove(holder *yaml.Node, key, path string) error {
	if get(holder, key) == nil {
		return fmt.Errorf("%s does not exist", path)
	}
	if holder.Kind != yaml.SequenceNode {
		ynode.Take(holder, key)
		return nil
	}
	i, _ := strconv.Atoi(key)
	holder.Content = append(holder.Content[:i:i], holder.Content[i+1:]...)
	return nil
}

// equal compares two values by what they say, not by how they are written.
func equal(a, b *yaml.Node) bool {
	if ynode.IsNull(a) || ynode.IsNull(b) {
		return ynode.IsNull(a) && ynode.IsNull(b)
	}
	if a.Kind != b.Kind || len(a.Content) != len(b.Content) {
		return false
	}
	switch a.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(a.Content); i += 2 {
			if !equal(a.Content[i+1], ynode.Get(b, a.Content[i].Value)) {
				return false
			}
		}
	case yaml.SequenceNode:
		for i := range a.Content {
			if !equal(a.Content[i], b.Content[i]) {
				return false
			}
		}
	default:
		return a.ShortTag() == b.ShortTag() && model.Text(a) == model.Text(b)
	}
	return true
}

type route struct {
	path string
	node *yaml.Node
}

// expand gives the plain paths that a path with key=value elements stands for.
func expand(tree *yaml.Node, path string) []string {
	routes := []route{{"", tree}}
	for _, part := range strings.Split(path, "/")[1:] {
		var next []route
		key, value, search := strings.Cut(decodeKey(part), "=")
		for _, r := range routes {
			switch {
			case search:
				next = append(next, having(r, key, value)...)
			case r.node == nil:
			case part == "-":
				next = append(next, route{r.path + "/-", r.node})
			default:
				// The last element may be missing: add creates it.
				child := get(r.node, decodeKey(part))
				if child == nil && r.node.Kind == yaml.SequenceNode {
					continue
				}
				next = append(next, route{r.path + "/" + part, child})
			}
		}
		routes = next
	}
	paths := make([]string, len(routes))
	for i, r := range routes {
		paths[i] = r.path
	}
	return paths
}

// having finds the objects at or below r whose field key is the text value.
func having(r route, key, value string) []route {
	if r.node == nil {
		return nil
	}
	if v := ynode.Get(r.node, key); v != nil && v.ShortTag() == "!!str" && v.Value == value {
		return []route{r}
	}
	var found []route
	switch r.node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(r.node.Content); i += 2 {
			name := strings.NewReplacer("~", "~0", "/", "~1").Replace(r.node.Content[i].Value)
			found = append(found, having(route{r.path + "/" + name, r.node.Content[i+1]}, key, value)...)
		}
	case yaml.SequenceNode:
		for i, item := range r.node.Content {
			found = append(found, having(route{r.path + "/" + strconv.Itoa(i), item}, key, value)...)
		}
	}
	return found
}
