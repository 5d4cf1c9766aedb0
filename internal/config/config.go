// Package config is a skaffold.yaml as the rest of davit sees it: the model, and where each of its
// values stands in the file.
package config

import (
	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/config/ynode"
)

// Config is one document of a configuration: upgraded, profiles applied, defaults filled in.
type Config struct {
	// File is the absolute path it was read from, a URL, or "-".
	File string
	// Dir is the absolute folder that relative paths of the model start from: the working folder for
	// the file that was named, the file's own folder for those it requires.
	Dir string
	// Index counts the documents of File, from 0.
	Index int
	// Name is metadata.name; may be empty.
	Name string
	// APIVersion is as written, such as skaffold/v2beta10.
	APIVersion string
	// Required is set for a config that another one requires, from another file.
	Required bool
	// Requires are the configs that it requires, in order.
	Requires []*Config
	// Remote is set for a config that was fetched from a repository or a bucket.
	Remote bool
	// Commit is the git commit of a config that came from a repository.
	Commit string
	// Model is what the file says.
	Model *model.Config
	// Annotations are metadata.annotations.
	Annotations map[string]string
	// Profiles are the profiles that were applied, in order.
	Profiles []string
	// Warnings are worth saying and stop nothing.
	Warnings diag.List

	source *diag.Source
	tree   *yaml.Node
}

// SetSource attaches the text and the effective tree that positions are read from.
func (c *Config) SetSource(src *diag.Source, tree *yaml.Node) {
	c.source, c.tree = src, tree
}

// Pos tells where a value stands, by its path in the newest schema: c.Pos("build", "artifacts", 0, "docker").
// A value that is a default gives the position of what it belongs to.
func (c *Config) Pos(path ...any) diag.Position {
	at := c.node(path)
	p := diag.Position{File: c.File}
	if at != nil {
		p.Line, p.Column = at.Line, at.Column
	}
	return p
}

// Written says whether the value at path stands in the file, rather than being a default.
func (c *Config) Written(path ...any) bool {
	n := c.tree
	for _, step := range path {
		switch s := step.(type) {
		case string:
			n = ynode.Get(n, s)
		case int:
			items := ynode.Items(n)
			if s < 0 || s >= len(items) {
				return false
			}
			n = items[s]
		}
	}
	return n != nil && n.Line > 0
}

// Error makes an error about the value at path: where it stands, the line, the cause and the next step.
func (c *Config) Error(cause, next string, path ...any) *diag.Error {
	name := ""
	for _, step := range path {
		name = ynode.Join(name, step)
	}
	line, column := 0, 0
	if at := c.node(path); at != nil {
		line, column = at.Line, at.Column
	}
	src := c.source
	if src == nil {
		src = &diag.Source{File: c.File}
	}
	return src.At(line, column, name, cause, next)
}

// node follows path as far as the tree goes.
func (c *Config) node(path []any) *yaml.Node {
	at, n := c.tree, c.tree
	for _, step := range path {
		switch s := step.(type) {
		case string:
			n = ynode.Get(n, s)
		case int:
			items := ynode.Items(n)
			if s < 0 || s >= len(items) {
				return at
			}
			n = items[s]
		}
		if n == nil {
			return at
		}
		if n.Line > 0 {
			at = n
		}
	}
	return at
}
