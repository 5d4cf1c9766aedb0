package manifest

import "go.yaml.in/yaml/v3"

// Clone copies objects, so that edits of the copies leave them alone.
func Clone(objects []Object) []Object {
	copies := map[*yaml.Node]*yaml.Node{} // objects of one document may share what an alias names
	out := make([]Object, len(objects))
	for i, o := range objects {
		out[i] = Object{Node: cloneNode(o.Node, copies), File: o.File}
	}
	return out
}

func cloneNode(n *yaml.Node, copies map[*yaml.Node]*yaml.Node) *yaml.Node {
	if n == nil {
		return nil
	}
	if known := copies[n]; known != nil {
		return known
	}
	c := *n
	copies[n] = &c
	c.Alias = cloneNode(n.Alias, copies)
	c.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		c.Content[i] = cloneNode(child, copies)
	}
	return &c
}
