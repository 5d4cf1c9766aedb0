package manifest

import "go.yaml.in/yaml/v3"

// text is the value of a mapping's field; empty where there is none.
func text(n *yaml.Node, key string) string {
	if value := Get(n, key); value != nil && value.Kind == yaml.ScalarNode && value.ShortTag() != "!!null" {
		return value.Value
	}
	return ""
}

func str(value string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(value)
	return n
}

// fields makes a mapping of keys and nodes in turn.
func fields(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i+1 < len(pairs); i += 2 {
		n.Content = append(n.Content, str(pairs[i].(string)), pairs[i+1].(*yaml.Node))
	}
	return n
}

// ensure gives the field of a mapping for writing: made where it is missing or null, and copied first where it is an alias or comes by a merge
// key, so that no other place changes with it. What has another kind than it must have stays as it is, for the API server to refuse.
func ensure(mapping *yaml.Node, key string, kind yaml.Kind) *yaml.Node {
	value := &yaml.Node{Kind: kind, Tag: map[yaml.Kind]string{yaml.MappingNode: "!!map", yaml.SequenceNode: "!!seq"}[kind]}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value != key {
			continue
		}
		switch old := mapping.Content[i+1]; {
		case old.Kind == kind:
			return old
		case old.Kind == yaml.AliasNode:
			value = detached(old.Alias)
		case old.ShortTag() != "!!null":
			return value
		}
		mapping.Content[i+1] = value
		return value
	}
	if merged := fromMerge(mapping, key); merged != nil {
		value = detached(merged)
	}
	mapping.Content = append(mapping.Content, str(key), value)
	return value
}

// fromMerge finds what a merge key ("<<") brings; nil where nothing does.
func fromMerge(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].ShortTag() != "!!merge" {
			continue
		}
		sources := []*yaml.Node{resolve(mapping.Content[i+1])}
		if sources[0].Kind == yaml.SequenceNode {
			sources = sources[0].Content
		}
		for _, s := range sources {
			s = resolve(s)
			if value := Get(s, key); value != nil {
				return value
			}
			if value := fromMerge(s, key); value != nil {
				return value
			}
		}
	}
	return nil
}

// detached copies a node with all below it, aliases resolved and anchors dropped.
func detached(n *yaml.Node) *yaml.Node {
	n = resolve(n)
	copied := *n
	copied.Anchor = ""
	copied.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		copied.Content[i] = detached(child)
	}
	return &copied
}
