package load

import (
	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/config/profile"
	"github.com/davit-dev/davit/internal/config/ynode"
)

// at makes an error about a value of the document.
func (d *Document) at(cause, next string, path ...any) *diag.Error {
	var c config.Config
	c.SetSource(d.Source, d.Tree)
	return c.Error(cause, next, path...)
}

// copy gives a tree and a model that can be changed: the document may be needed again with other profiles.
func (l *loader) copy(d *Document) (*yaml.Node, *model.Config) {
	var m model.Config
	// The same tree was decoded without errors before.
	_, _ = l.shapes.Decode(d.Source, d.Tree, &m)
	return ynode.Clone(d.Tree), &m
}

// overlay applies profiles and decodes the result.
func (l *loader) overlay(d *Document, c *config.Config, tree *yaml.Node, active []string) (*yaml.Node, *model.Config, error) {
	tree, errs := profile.Apply(d.Source, tree, d.Model.Profiles, active)
	if len(errs) > 0 {
		for _, e := range errs {
			e.Code = diag.CodeApplyProfiles
		}
		return nil, nil, errs
	}
	var m model.Config
	errs, unknown := l.shapes.Decode(d.Source, tree, &m)
	if len(errs) > 0 {
		return nil, nil, errs
	}
	c.Warnings = append(c.Warnings, unknown...)
	return tree, &m, nil
}
