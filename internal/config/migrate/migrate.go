// Package migrate brings a document of any released apiVersion to the newest one, on yaml nodes, so that
// every value keeps the line and column it was written at.
//
// Steps() is the whole history: one row per version, saying what changes on the way to the next. A
// row without steps is a version whose successor only added or dropped fields; dropped ones fall to the
// last pass, which removes what the newest version does not have.
package migrate

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/schema"
	"github.com/davit-dev/davit/internal/config/ynode"
)

// Pass is one document on its way up.
type Pass struct {
	Table *schema.Table
	Src   *diag.Source
	// Doc is the document's mapping.
	Doc *yaml.Node
	// Errs are what cannot be migrated; Warnings what changes its meaning or is lost.
	Errs, Warnings diag.List
	// version is the index of the version that the running row migrates to.
	version int
}

// Row is what changes from one version to the next.
type Row struct {
	From string
	// Pipeline steps run for the document itself and for each of its profiles.
	Pipeline []func(p *Pass, pipeline *yaml.Node)
	// Document runs once, after them.
	Document func(p *Pass)
}

// Up migrates p.Doc from the version at index from to the one at index to, and sets apiVersion.
func (p *Pass) Up(from, to int) {
	versions := p.Table.Versions()
	for _, row := range Steps() {
		p.version = p.Table.Index(row.From) + 1
		if p.version <= from || p.version > to {
			continue
		}
		for _, step := range row.Pipeline {
			step(p, p.Doc)
			for _, profile := range ynode.Items(ynode.Get(p.Doc, "profiles")) {
				step(p, profile)
			}
		}
		if row.Document != nil {
			row.Document(p)
		}
	}
	if v := ynode.Get(p.Doc, "apiVersion"); v != nil {
		newest := ynode.String(schema.Prefix+versions[to], v)
		newest.HeadComment, newest.LineComment, newest.FootComment = v.HeadComment, v.LineComment, v.FootComment
		*v = *newest
	}
	if from != to {
		prune(p.Table, p.Doc, p.Table.Type(schema.Root), to)
	}
}

// prune removes the fields that a version does not have.
func prune(t *schema.Table, n *yaml.Node, typ *schema.Type, version int) {
	if n == nil || n.Kind != yaml.MappingNode || typ == nil {
		return
	}
	kept := n.Content[:0]
	for i := 0; i+1 < len(n.Content); i += 2 {
		f := typ.Field(n.Content[i].Value, version)
		if f == nil {
			continue
		}
		kept = append(kept, n.Content[i], n.Content[i+1])
		if inner := t.Type(f.Kind.Of); inner != nil && !f.Kind.Map {
			pruneItems(t, n.Content[i+1], inner, version, f.Kind.Lists)
		}
	}
	n.Content = kept
}

func pruneItems(t *schema.Table, n *yaml.Node, typ *schema.Type, version, lists int) {
	if lists == 0 {
		prune(t, n, typ, version)
		return
	}
	for _, item := range ynode.Items(n) {
		pruneItems(t, item, typ, version, lists-1)
	}
}

func (p *Pass) fail(n *yaml.Node, path, next, format string, args ...any) {
	p.Errs = append(p.Errs, p.Src.At(n.Line, n.Column, path, fmt.Sprintf(format, args...), next))
}

func (p *Pass) warn(n *yaml.Node, path, next, format string, args ...any) {
	p.Warnings = append(p.Warnings, p.Src.At(n.Line, n.Column, path, fmt.Sprintf(format, args...), next))
}

// artifacts gives the artifacts of a pipeline.
func artifacts(pipeline *yaml.Node) []*yaml.Node {
	return ynode.Items(ynode.Path(pipeline, "build", "artifacts"))
}

// releases gives the helm releases of a pipeline of the first major series.
func releases(pipeline *yaml.Node) []*yaml.Node {
	return ynode.Items(ynode.Path(pipeline, "deploy", "helm", "releases"))
}

// fields copies those entries of n that the type has in the version being migrated to.
func (p *Pass) fields(n *yaml.Node, typeName string) *yaml.Node {
	typ := p.Table.Type(typeName)
	out := ynode.Mapping(n)
	if n.Kind != yaml.MappingNode {
		return out
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if typ.Field(n.Content[i].Value, p.version) != nil {
			out.Content = append(out.Content, ynode.Clone(n.Content[i]), ynode.Clone(n.Content[i+1]))
		}
	}
	return out
}
