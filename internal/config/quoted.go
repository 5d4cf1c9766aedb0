package config

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Quoted gives the keys below the mapping at path, as [model.FlatMap] has them, whose values are written in quotes.
func (c *Config) Quoted(path ...any) map[string]bool {
	quoted := map[string]bool{}
	collectQuoted(c.node(path), "", quoted)
	return quoted
}

func collectQuoted(n *yaml.Node, key string, quoted map[string]bool) {
	switch {
	case n == nil:
	case n.Kind == yaml.AliasNode:
		collectQuoted(n.Alias, key, quoted)
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			below := n.Content[i].Value
			if key != "" {
				below = key + "." + below
			}
			collectQuoted(n.Content[i+1], below, quoted)
		}
	case n.Kind == yaml.SequenceNode:
		for i, item := range n.Content {
			collectQuoted(item, fmt.Sprintf("%s[%d]", key, i), quoted)
		}
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		quoted[key] = true
	}
}
