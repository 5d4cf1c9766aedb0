package load

import (
	"bytes"
	"fmt"
	"runtime"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/migrate"
	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/config/schema"
	"github.com/davit-dev/davit/internal/config/ynode"
)

// Fixed is a file brought to another apiVersion.
type Fixed struct {
	Text []byte
	// Changed is false where every document had the version already; Text is then the file as it is.
	Changed  bool
	Warnings diag.List
}

// Fix upgrades a file to a version (empty means the newest), for people to keep: comments and the order of
// fields stay, anchors and aliases are written out.
func Fix(src *diag.Source, version string) (*Fixed, error) {
	table := schema.New()
	to := len(table.Versions()) - 1
	if version != "" {
		if to = table.Index(version); to < 0 {
			return nil, &diag.Error{Cause: fmt.Sprintf("unknown apiVersion %q", version), Next: "see schema list"}
		}
	}
	trees, err := documents(src)
	if err != nil {
		return nil, err
	}
	out := &Fixed{Text: src.Text}
	var errs diag.List
	for _, tree := range trees {
		from, e := apiVersion(table, src, tree)
		if e != nil {
			errs = append(errs, e)
			continue
		}
		if from > to {
			v := ynode.Get(tree, "apiVersion")
			errs = append(errs, src.At(v.Line, v.Column, "apiVersion", fmt.Sprintf("%s is newer than %s%s", v.Value, schema.Prefix, table.Versions()[to]), "choose a newer version"))
			continue
		}
		wrong, warnings := table.Check(src, tree, from)
		pass := migrate.Pass{Table: table, Src: src, Doc: tree}
		if len(wrong) == 0 {
			pass.Up(from, to)
		}
		out.Changed = out.Changed || from != to
		out.Warnings = append(append(out.Warnings, warnings...), pass.Warnings...)
		errs = append(append(errs, wrong...), pass.Errs...)
	}
	if len(errs) > 0 || !out.Changed {
		return out, errs.Err()
	}
	out.Text, err = encode(trees)
	return out, err
}

// Edit changes documents of a file that was loaded before, at the newest version, and gives the new text. Comments
// and order stay.
func Edit(src *diag.Source, change func(index int, doc *yaml.Node)) ([]byte, error) {
	fixed, err := Fix(src, "")
	if err != nil {
		return nil, err
	}
	trees, err := documents(&diag.Source{File: src.File, Text: fixed.Text})
	if err != nil {
		return nil, err
	}
	for i, tree := range trees {
		change(i, tree)
	}
	return encode(trees)
}

// Effective writes configs as they were understood: newest version, profiles applied, defaults filled in,
// paths absolute. The configs are changed by it.
func Effective(configs []*config.Config) ([]byte, error) {
	for _, c := range configs {
		c.Model.Profiles = nil
	}
	return Joined(configs)
}

// Joined is like Effective, with all profiles kept.
func Joined(configs []*config.Config) ([]byte, error) {
	return encodeEach(len(configs), func(i int) *yaml.Node {
		c := configs[i]
		c.Model.MakeAbsolute(c.Dir)
		c.Model.Requires = nil
		return model.Encode(c.Model)
	})
}

// encode writes documents, indented by two, with --- between them.
func encode(trees []*yaml.Node) ([]byte, error) {
	return encodeEach(len(trees), func(i int) *yaml.Node { return trees[i] })
}

// encodeEach writes n documents, in parts side by side: the encoder is the slowest step where there are many.
func encodeEach(n int, tree func(i int) *yaml.Node) ([]byte, error) {
	workers := min(runtime.GOMAXPROCS(0), n/16+1)
	parts := make([][]byte, workers)
	var group errgroup.Group
	for w := range workers {
		group.Go(func() (err error) {
			parts[w], err = encodeSome(n*w/workers, n*(w+1)/workers, tree)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	return bytes.TrimLeft(bytes.Join(parts, []byte("---\n")), "\n"), nil
}

// encodeSome writes the documents from first up to end, which is not part of it.
func encodeSome(first, end int, tree func(i int) *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	for i := first; i < end; i++ {
		t := tree(i)
		spellNulls(t, false)
		if err := e.Encode(t); err != nil {
			return nil, err
		}
	}
	err := e.Close()
	return b.Bytes(), err
}

// spellNulls writes empty values between braces as null: the encoder would write them as empty text.
func spellNulls(n *yaml.Node, inBraces bool) {
	if inBraces && n.Kind == yaml.ScalarNode && n.Value == "" && ynode.IsNull(n) {
		n.Value = "null"
	}
	for _, c := range n.Content {
		spellNulls(c, inBraces || n.Style&yaml.FlowStyle != 0)
	}
}
