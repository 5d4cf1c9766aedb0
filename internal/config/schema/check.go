package schema

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/ynode"
)

// Root is the type of a whole document.
const Root = "SkaffoldConfig"

// Check compares a document, as written, with what its version knows: fields that do not exist,
// exist in other versions only, or have the wrong form. Aliases must have been resolved.
// Fields that the reference ignores without a word come back as warnings.
func (t *Table) Check(src *diag.Source, doc *yaml.Node, version int) (errs, warnings diag.List) {
	c := checker{table: t, src: src, version: version}
	c.object(doc, t.Type(Root), "")
	return c.errs, c.warnings
}

type checker struct {
	table          *Table
	src            *diag.Source
	version        int
	errs, warnings diag.List
}

func (c *checker) add(n *yaml.Node, path, next, format string, args ...any) {
	c.errs = append(c.errs, c.src.At(n.Line, n.Column, path, fmt.Sprintf(format, args...), next))
}

// Ignores reports whether a field of the model, by its path, lies where the reference drops what it does
// not know instead of refusing it: below cluster builds and kaniko artifacts, since v2beta11.
func (t *Table) Ignores(version int, path string) bool {
	return version >= t.Index("v2beta11") && (strings.Contains(path, ".kaniko.") || strings.Contains(path, "build.cluster."))
}

func (c *checker) object(n *yaml.Node, typ *Type, path string) {
	if ynode.IsNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		c.add(n, path, "write its fields below it, indented", "%s must hold fields (%s), not %s", label(path), strings.Join(c.sample(typ), ", "), form(n))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := ynode.Join(path, key.Value)
		f := typ.Field(key.Value, c.version)
		if f != nil {
			c.value(value, f.Kind, at)
			continue
		}
		if imageStrategyValues(typ, key) {
			continue
		}
		c.unknown(key, typ, path)
	}
}

// imageStrategyValues allows deploy.helm.releases[].imageStrategy.helm.setValueTemplates, which the
// reference text uses although no schema ever had it.
func imageStrategyValues(typ *Type, key *yaml.Node) bool {
	return typ.Name == "HelmConventionConfig" && key.Value == "setValueTemplates"
}

func (c *checker) sample(typ *Type) []string {
	names := typ.Names(c.version)
	if len(names) > 4 {
		names = append(names[:4:4], "...")
	}
	return names
}

func (c *checker) unknown(key *yaml.Node, typ *Type, path string) {
	version := Prefix + c.table.versions[c.version]
	cause := fmt.Sprintf("unknown field %q in %s", key.Value, label(path))
	next := ""
	if near := diag.Nearest(key.Value, typ.Names(c.version)); near != "" {
		next = fmt.Sprintf("did you mean %q?", near)
	}
	if where := c.table.elsewhere(typ, key.Value, c.version); where != "" {
		cause = fmt.Sprintf("field %q in %s does not exist in %s: %s", key.Value, label(path), version, where)
		next = "change apiVersion, or remove the field"
	} else if next == "" {
		names := typ.Names(c.version)
		slices.Sort(names)
		next = "known fields: " + strings.Join(names, ", ")
		if len(names) == 0 {
			next = "it has no fields"
		}
	}
	e := c.src.At(key.Line, key.Column, ynode.Join(path, key.Value), cause, next)
	if c.table.Ignores(c.version, e.Path) {
		c.warnings = append(c.warnings, e)
		return
	}
	c.errs = append(c.errs, e)
}

func (c *checker) value(n *yaml.Node, k Kind, path string) {
	switch {
	case ynode.IsNull(n), k.Lists == 0 && !k.Map && k.Of == "any":
	case k.Lists > 0:
		if n.Kind != yaml.SequenceNode {
			c.add(n, path, `write each item on its own line after "- "`, "%s must be a list, not %s", path, form(n))
			return
		}
		k.Lists--
		for i, item := range n.Content {
			c.value(item, k, ynode.Join(path, i))
		}
	case k.Map:
		if n.Kind != yaml.MappingNode {
			c.add(n, path, `write "name: value" pairs`, "%s must map names to values, not %s", path, form(n))
		}
	default:
		if typ := c.table.Type(k.Of); typ != nil {
			c.object(n, typ, path)
			return
		}
		c.scalar(n, k, path)
	}
}

func (c *checker) scalar(n *yaml.Node, k Kind, path string) {
	if n.Kind != yaml.ScalarNode {
		c.add(n, path, "write one value after the colon", "%s must be a single value, not %s", path, form(n))
		return
	}
	tag := n.ShortTag()
	switch k.Of {
	case "int":
		if tag == "!!float" && !wholeFloat(n) {
			cause := fmt.Sprintf("%s is a whole number: what follows the point of %s is dropped", path, n.Value)
			c.warnings = append(c.warnings, c.src.At(n.Line, n.Column, path, cause, "write a whole number"))
		} else if tag != "!!int" && tag != "!!float" {
			c.add(n, path, "write a number, without quotes", "%s must be a whole number, not %q", path, n.Value)
		}
	case "bool":
		if tag != "!!bool" && !oldBool(n) {
			c.add(n, path, "write true or false", "%s must be true or false, not %q", path, n.Value)
		}
	}
}

// wholeFloat reports numbers such as 1e3, which decode into an int.
func wholeFloat(n *yaml.Node) bool {
	var f float64
	return n.ShortTag() == "!!float" && n.Decode(&f) == nil && f == float64(int64(f))
}

// oldBool reports the YAML 1.1 words that still decode into a bool.
func oldBool(n *yaml.Node) bool {
	var b bool
	return n.Decode(&b) == nil
}

func label(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

// form names what a node is, in a user's words.
func form(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "fields"
	case yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("%q", n.Value)
}
