package profile

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/config/ynode"
)

// Apply changes a document of the newest version by its active profiles, in order. It gives the changed
// tree, whose values keep the positions they have in the config or in the profile.
func Apply(src *diag.Source, doc *yaml.Node, profiles []model.Profile, active []string) (*yaml.Node, diag.List) {
	nodes := ynode.Items(ynode.Get(doc, "profiles"))
	for _, name := range active {
		// Of two profiles with one name the later counts, as it does for the reference.
		index := -1
		for i, p := range profiles {
			if p.Name == name {
				index = i
			}
		}
		if index < 0 || index >= len(nodes) {
			continue
		}
		overlay(doc, nodes[index], reflect.TypeFor[model.Pipeline]())
		if len(profiles[index].Patches) == 0 {
			continue
		}
		var errs diag.List
		if doc, errs = applyPatches(src, doc, profiles[index], nodes[index]); len(errs) > 0 {
			return doc, errs
		}
	}
	return doc, nil
}

// applyPatches works on the tree as the model writes it, so that a path means what it means for the
// reference: what is unset does not exist.
func applyPatches(src *diag.Source, doc *yaml.Node, p model.Profile, node *yaml.Node) (*yaml.Node, diag.List) {
	var c model.Config
	if errs, _ := model.Decode(src, doc, &c); len(errs) > 0 {
		return doc, errs
	}
	tree := model.Encode(c)
	model.Graft(tree, doc)
	for i, op := range p.Patches {
		if err := patch(tree, op); err != nil {
			at := ynode.Items(ynode.Get(node, "patches"))[i]
			if path := ynode.Get(at, "path"); path != nil {
				at = path
			}
			cause := fmt.Sprintf("profile %q, patch %d: invalid path: %v", p.Name, i+1, err)
			return tree, diag.List{src.At(at.Line, at.Column, "profiles", cause, hint(tree, op))}
		}
	}
	return tree, nil
}

// hint names what exists where a patch found nothing.
func hint(tree *yaml.Node, op model.Patch) string {
	path := op.Path
	if op.Op == "move" || op.Op == "copy" {
		path = op.From
	}
	at, n := "", tree
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		next := get(n, decodeKey(part))
		if next == nil || next.Kind == yaml.ScalarNode {
			break
		}
		at, n = at+"/"+part, next
	}
	switch n.Kind {
	case yaml.SequenceNode:
		return fmt.Sprintf("%s is a list of %d", at, len(n.Content))
	case yaml.MappingNode:
		var keys []string
		for i := 0; i+1 < len(n.Content); i += 2 {
			keys = append(keys, n.Content[i].Value)
		}
		if op.Op == "" || op.Op == "replace" {
			return fmt.Sprintf("%s has: %s; use op: add for what is not there yet", at+"/", strings.Join(keys, ", "))
		}
		return fmt.Sprintf("%s has: %s", at+"/", strings.Join(keys, ", "))
	}
	return ""
}
