package manifest

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// SetValues sets the fields that speak of parameters in a comment on their line, as the kpt function apply-setters has it:
//
//	image: shop:v1 # from-param: ${repo}:${version}
//
// Parameters of a field that values do not name keep what the field has for them. A list takes one parameter, whose value is a list in YAML;
// the comment is on the line of its key. Errors name the field's place.
func SetValues(objects []Object, values map[string]string) error {
	if len(values) == 0 {
		return nil
	}
	var errs []error
	for _, o := range objects {
		set := func(n *yaml.Node, err error) {
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", o.At(n), err))
			}
		}
		each(o.Node, func(key, n *yaml.Node) {
			switch {
			case n.Kind == yaml.ScalarNode:
				set(n, setScalar(n, values))
			case n.Kind == yaml.SequenceNode && key != nil:
				set(key, setList(key, n, values))
			}
		})
	}
	return errors.Join(errs...)
}

// each visits all nodes below n once, with their keys in mappings.
func each(n *yaml.Node, see func(key, n *yaml.Node)) {
	for i, child := range n.Content {
		var key *yaml.Node
		if n.Kind == yaml.MappingNode {
			if i%2 == 0 {
				continue
			}
			key = n.Content[i-1]
		}
		see(key, child)
		each(child, see)
	}
}

// parameter is how a comment names one.
var parameter = regexp.MustCompile(`\$\{([^}]*)\}`)

// pattern is what a comment says of its field, where values name a parameter of it; empty otherwise.
func pattern(comment string, values map[string]string) string {
	text, found := strings.CutPrefix(comment, "# from-param: ")
	if !found {
		return ""
	}
	for _, m := range parameter.FindAllStringSubmatch(text, -1) {
		if _, named := values[m[1]]; named {
			return strings.TrimSpace(text)
		}
	}
	return ""
}

func setScalar(n *yaml.Node, values map[string]string) error {
	p := pattern(n.LineComment, values)
	if p == "" {
		return nil
	}
	all := maps.Clone(current(p, n.Value))
	maps.Copy(all, values)
	var missing []string
	n.Value = parameter.ReplaceAllStringFunc(p, func(m string) string {
		value, known := all[m[2:len(m)-1]]
		if !known && !slices.Contains(missing, m) {
			missing = append(missing, m)
		}
		return value
	})
	if len(missing) > 0 {
		return fmt.Errorf("the field is set from %s: give %s with --set too", p, strings.Join(missing, ", "))
	}
	n.Tag = "" // what kind of value it is shows by its text
	if n.Value == "" {
		n.Style = yaml.DoubleQuotedStyle
	}
	return nil
}

// current takes the values of a pattern's parameters out of a field; empty where it does not fit.
func current(pattern, value string) map[string]string {
	var names []string
	var expression strings.Builder
	rest := 0
	for _, m := range parameter.FindAllStringSubmatchIndex(pattern, -1) {
		expression.WriteString(regexp.QuoteMeta(pattern[rest:m[0]]) + "(.*)")
		names, rest = append(names, pattern[m[2]:m[3]]), m[1]
	}
	found := regexp.MustCompile(expression.String() + regexp.QuoteMeta(pattern[rest:])).FindStringSubmatch(value)
	values := map[string]string{}
	for i, name := range names {
		if len(found) == 0 || found[i+1] == "" {
			return map[string]string{}
		}
		values[name] = found[i+1]
	}
	return values
}

func setList(key, n *yaml.Node, values map[string]string) error {
	comment := key.LineComment
	if n.Style&yaml.FlowStyle != 0 {
		comment = n.LineComment
	}
	p := pattern(comment, values)
	if p == "" {
		return nil
	}
	m := parameter.FindStringSubmatch(p)
	if m[0] != p {
		return fmt.Errorf("a list is set from one parameter alone, not from %q", p)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(values[m[1]]), &doc); err != nil || values[m[1]] != "" && doc.Content[0].Kind != yaml.SequenceNode {
		return fmt.Errorf("%s is set to %q, and the field is a list: write [a, b]", m[1], values[m[1]])
	}
	n.Content = nil
	if values[m[1]] != "" {
		n.Content = doc.Content[0].Content
	}
	n.Style = yaml.FlowStyle // the comment would move otherwise
	n.LineComment, key.LineComment = comment, ""
	return nil
}
