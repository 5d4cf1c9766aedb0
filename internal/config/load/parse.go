package load

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/migrate"
	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/config/schema"
	"github.com/davit-dev/davit/internal/config/ynode"
)

// Document is one document of a file at the newest version, before profiles and defaults.
type Document struct {
	Source *diag.Source
	// Tree is the document's mapping, without aliases, merge keys and dotted top-level keys.
	Tree *yaml.Node
	// APIVersion is as written.
	APIVersion string
	// Model is what Tree says, profiles included.
	Model    *model.Config
	Warnings diag.List
}

// Parse reads all documents of a file and upgrades each to the newest version. The error, where there is
// one, is a diag.List with everything found in all of them.
func Parse(table *schema.Table, src *diag.Source) ([]*Document, error) {
	return parse(table, model.Shapes{}, src)
}

func parse(table *schema.Table, shapes model.Shapes, src *diag.Source) ([]*Document, error) {
	trees, err := documents(src)
	if err != nil {
		return nil, err
	}
	var docs []*Document
	var errs diag.List
	for _, tree := range trees {
		doc, more := parseOne(table, shapes, src, tree)
		errs = append(errs, more...)
		docs = append(docs, doc)
	}
	if err := errs.Err(); err != nil {
		return nil, err
	}
	return docs, nil
}

func parseOne(table *schema.Table, shapes model.Shapes, src *diag.Source, tree *yaml.Node) (*Document, diag.List) {
	doc := &Document{Source: src, Tree: tree, Model: &model.Config{}}
	version, e := apiVersion(table, src, tree)
	if e != nil {
		return nil, diag.List{e}
	}
	doc.APIVersion = ynode.Get(tree, "apiVersion").Value
	errs, warnings := table.Check(src, tree, version)
	doc.Warnings = warnings
	if len(errs) > 0 {
		return nil, errs
	}
	up := migrate.Pass{Table: table, Src: src, Doc: tree}
	up.Up(version, len(table.Versions())-1)
	doc.Warnings = append(doc.Warnings, up.Warnings...)
	if len(up.Errs) > 0 {
		return nil, up.Errs
	}
	errs, unknown := shapes.Decode(src, tree, doc.Model)
	for _, u := range unknown {
		switch {
		case slices.ContainsFunc(warnings, func(w *diag.Error) bool { return w.Position == u.Position }):
		case table.Ignores(version, u.Path):
			doc.Warnings = append(doc.Warnings, u)
		default:
			errs = append(errs, u)
		}
	}
	return doc, errs
}

// apiVersion finds the version of a document in the table.
func apiVersion(table *schema.Table, src *diag.Source, tree *yaml.Node) (int, *diag.Error) {
	next := fmt.Sprintf("start it with apiVersion: %s%s", schema.Prefix, schema.Newest)
	v := ynode.Get(tree, "apiVersion")
	if ynode.IsNull(v) {
		return 0, src.At(tree.Line, tree.Column, "apiVersion", "apiVersion is missing", next)
	}
	if index := table.Index(v.Value); index >= 0 && strings.HasPrefix(v.Value, schema.Prefix) {
		return index, nil
	}
	if v.Kind != yaml.ScalarNode {
		return 0, src.At(v.Line, v.Column, "apiVersion", "apiVersion must be a name", next)
	}
	if kind := ynode.Get(tree, "kind"); !strings.HasPrefix(v.Value, schema.Prefix) && kind != nil && kind.Value != "Config" {
		next = "this is an object of Kubernetes: list its file in manifests.rawYaml, and name the config with -f"
		return 0, src.At(v.Line, v.Column, "apiVersion", fmt.Sprintf("unknown apiVersion %q", v.Value), next)
	}
	names := slices.Clone(table.Versions())
	slices.Reverse(names)
	for i := range names {
		names[i] = schema.Prefix + names[i]
	}
	next = "davit knows skaffold/v1alpha1 to " + names[0]
	if near := diag.Nearest(v.Value, names); near != "" {
		next = fmt.Sprintf("did you mean %q?", near)
	}
	return 0, src.At(v.Line, v.Column, "apiVersion", fmt.Sprintf("unknown apiVersion %q", v.Value), next)
}

// documents splits a file and resolves anchors, aliases and merge keys.
func documents(src *diag.Source) ([]*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(src.Text))
	var trees []*yaml.Node
	var errs diag.List
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, append(errs, syntaxError(src, err))
		}
		if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
			at := cmp.Or(doc.Line, 1)
			errs = append(errs, src.At(at, 1, "", "a configuration must be a mapping that starts with apiVersion and kind", "remove this document, or a --- too many"))
			continue
		}
		r := resolver{src: src}
		tree := r.resolve(doc.Content[0], "")
		if len(r.errs) > 0 {
			errs = append(errs, r.errs...)
			continue
		}
		tree.HeadComment, tree.FootComment = doc.HeadComment, doc.FootComment
		dropDotted(tree)
		trees = append(trees, tree)
	}
	if len(errs) == 0 && len(trees) == 0 {
		errs = append(errs, src.At(0, 0, "", "the file holds no configuration", fmt.Sprintf("start it with apiVersion: %s%s and kind: Config", schema.Prefix, schema.Newest)))
	}
	return trees, errs.Err()
}

// dropDotted removes top-level keys that start with a dot: homes for anchors.
func dropDotted(tree *yaml.Node) {
	kept := tree.Content[:0]
	for i := 0; i+1 < len(tree.Content); i += 2 {
		if !strings.HasPrefix(tree.Content[i].Value, ".") {
			kept = append(kept, tree.Content[i], tree.Content[i+1])
		}
	}
	tree.Content = kept
}

// maxNodes bounds how many values aliases may add to a file.
const maxNodes = 1_000_000

// resolver copies a tree and puts what they stand for in the place of aliases and merge keys.
type resolver struct {
	src     *diag.Source
	errs    diag.List
	open    []*yaml.Node
	aliases int // how many are being followed, one inside the other
	nodes   int // below aliases
}

func (r *resolver) fail(n *yaml.Node, path, next, format string, args ...any) {
	r.errs = append(r.errs, r.src.At(n.Line, n.Column, path, fmt.Sprintf(format, args...), next))
}

func (r *resolver) resolve(n *yaml.Node, path string) *yaml.Node {
	if r.aliases > 0 {
		r.nodes++
	}
	if r.nodes > maxNodes {
		if r.nodes == maxNodes+1 {
			r.fail(n, path, "use fewer aliases", "aliases make the file grow by more than %d values", maxNodes)
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: n.Line, Column: n.Column}
	}
	if n.Kind == yaml.AliasNode {
		if slices.Contains(r.open, n.Alias) {
			r.fail(n, path, "", "the anchor %q contains itself", n.Value)
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: n.Line, Column: n.Column}
		}
		r.aliases++
		defer func() { r.aliases-- }()
		return r.resolve(n.Alias, path)
	}
	r.open = append(r.open, n)
	defer func() { r.open = r.open[:len(r.open)-1] }()
	out := *n
	out.Anchor, out.Content = "", make([]*yaml.Node, 0, len(n.Content))
	if n.Kind == yaml.MappingNode {
		r.mapping(n, &out, path)
		return &out
	}
	for i, c := range n.Content {
		out.Content = append(out.Content, r.resolve(c, ynode.Join(path, i)))
	}
	return &out
}

func (r *resolver) mapping(n, out *yaml.Node, path string) {
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = r.resolve(key, path)
		}
		if key.Kind != yaml.ScalarNode {
			r.fail(key, path, "", "a field's name must be a single word")
			continue
		}
		if key.ShortTag() == "!!merge" {
			merges = append(merges, value)
			continue
		}
		if first := ynode.Key(out, key.Value); first != nil {
			r.fail(key, path, "remove one of them", "field %q is already set in line %d", key.Value, first.Line)
			continue
		}
		k := *key
		k.Anchor = ""
		out.Content = append(out.Content, &k, r.resolve(value, ynode.Join(path, key.Value)))
	}
	for _, m := range merges {
		r.merge(m, out, path)
	}
}

// merge adds the fields of what << names, where they are not set already.
func (r *resolver) merge(n, out *yaml.Node, path string) {
	from := r.resolve(n, path)
	switch from.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(from.Content); i += 2 {
			if ynode.Get(out, from.Content[i].Value) == nil {
				out.Content = append(out.Content, from.Content[i], from.Content[i+1])
			}
		}
	case yaml.SequenceNode:
		for _, item := range from.Content {
			r.merge(item, out, path)
		}
	default:
		r.fail(n, path, "write <<: *anchor", "<< must name a mapping, or a list of them")
	}
}
