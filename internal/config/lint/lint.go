// Package lint finds what is allowed in a configuration and its files, and likely not meant. The rules, their numbers
// and the JSON shape of a result are those of Skaffold's `lint`.
package lint

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/schema"
	"github.com/davit-dev/davit/internal/config/ynode"
)

// Result is one finding. Lines and columns count from 1; the end is not part of it.
type Result struct {
	Rule        Rule
	AbsFilePath string
	RelFilePath string
	Explanation string
	StartLine   int
	EndLine     int
	StartColumn int
	EndColumn   int

	source string
}

// String shows where, which rule, why, and the line with a caret.
func (r Result) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s: %s\n%s\n%s^", r.RelFilePath, r.StartLine, r.StartColumn, r.Rule.RuleID, r.Rule.RuleType, r.Explanation,
		r.source, strings.Repeat(" ", max(0, r.StartColumn-1)))
}

// linter gathers results.
type linter struct {
	dir     string // what RelFilePath is relative to
	results []Result
	seen    map[string]bool // files that were looked at
}

// Run looks at configs, their Dockerfiles and their manifests. Paths in results are relative to dir as well as absolute.
func Run(ctx context.Context, configs []*config.Config, dir string) ([]Result, error) {
	l := &linter{dir: dir, results: []Result{}, seen: map[string]bool{}}
	for _, c := range configs {
		if err := l.config(c); err != nil {
			return nil, err
		}
	}
	for _, c := range configs {
		for i, a := range c.Model.Build.Artifacts {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := l.artifact(c, i, a); err != nil {
				return nil, err
			}
		}
	}
	for _, c := range configs {
		if err := l.manifests(c); err != nil {
			return nil, err
		}
	}
	return l.results, nil
}

// add notes a finding from a line to endLine, which is not part of it. Fields are what the rule's explanation wants to know.
func (l *linter) add(id RuleID, src *diag.Source, line, column, endLine int, fields map[string]any) error {
	rel, err := filepath.Rel(l.dir, src.File)
	if err != nil {
		rel = src.File
	}
	rule := ruleOf(id)
	explanation, err := rule.explain(fields)
	if err != nil {
		return fmt.Errorf("explaining a finding in %s: %w", rel, err)
	}
	l.results = append(l.results, Result{Rule: rule, AbsFilePath: src.File, RelFilePath: rel, Explanation: explanation,
		StartLine: line, StartColumn: column, EndLine: endLine, source: src.Line(line)})
	return nil
}

// config looks at the config itself, unless it is no file here.
func (l *linter) config(c *config.Config) error {
	if !filepath.IsAbs(c.File) {
		return nil
	}
	src, err := read(c.File)
	if err != nil {
		return err
	}
	if c.APIVersion != schema.Prefix+schema.Newest {
		at := c.Pos("apiVersion")
		if err := l.add(OldAPIVersion, src, at.Line, at.Column, at.Line+1, nil); err != nil {
			return err
		}
	}
	if len(c.Model.PortForward) > 0 {
		return nil
	}
	ports, err := l.ports(c)
	if err != nil || len(ports) == 0 {
		return err
	}
	end := bytes.Count(src.Text, []byte("\n")) + 1
	return l.add(NoStaticPort, src, end, 1, end+1, map[string]any{"ports": ports})
}

// staticPort is an entry of portForward to suggest.
type staticPort struct {
	ResourceType, ResourceName, Port string
	LocalPort                        int
}

// ports suggests an entry for each port of the manifests' pods.
func (l *linter) ports(c *config.Config) ([]staticPort, error) {
	var entries []staticPort
	err := eachManifest(c, func(_ *diag.Source, objects []*yaml.Node) error {
		for _, object := range objects {
			entries = append(entries, staticPorts(object, firstLocalPort+len(entries))...)
		}
		return nil
	})
	return entries, err
}

// staticPorts suggests entries for the ports of a pod or a deployment.
func staticPorts(object *yaml.Node, localPort int) (entries []staticPort) {
	kind, name, pod := ynode.Get(object, "kind"), ynode.Path(object, "metadata", "name"), ynode.Get(object, "spec")
	if kind == nil || name == nil {
		return nil
	}
	switch kind.Value {
	case "Pod":
	case "Deployment":
		pod = ynode.Path(pod, "template", "spec")
	default:
		return nil
	}
	for _, container := range ynode.Items(ynode.Get(pod, "containers")) {
		for _, p := range ynode.Items(ynode.Get(container, "ports")) {
			if port := ynode.Get(p, "containerPort"); port != nil {
				entries = append(entries, staticPort{strings.ToLower(kind.Value), name.Value, port.Value, localPort + len(entries)})
			}
		}
	}
	return entries
}

// manifests looks at the raw manifests of a config.
func (l *linter) manifests(c *config.Config) error {
	return eachManifest(c, func(src *diag.Source, objects []*yaml.Node) error {
		if l.seen[src.File] {
			return nil
		}
		l.seen[src.File] = true
		for _, object := range objects {
			if label := ynode.Key(ynode.Path(object, "metadata", "labels"), managedBy); label != nil {
				if err := l.add(ManagedByLabel, src, label.Line, label.Column, label.Line+1, nil); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// eachManifest visits the raw manifests that are files here, with the objects in them up to the first that is broken: what is not YAML is
// left to those who render it.
func eachManifest(c *config.Config, visit func(src *diag.Source, objects []*yaml.Node) error) error {
	for _, pattern := range c.Model.Manifests.RawYAML {
		if strings.Contains(pattern, "://") {
			continue
		}
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(c.Dir, pattern)
		}
		files, err := filepath.Glob(pattern)
		if err != nil {
			return fmt.Errorf("looking for manifests %s: %w", pattern, err)
		}
		for _, file := range files {
			if info, err := os.Stat(file); err != nil || info.IsDir() {
				continue
			}
			src, err := read(file)
			if err != nil {
				return err
			}
			if err := visit(src, documents(src.Text)); err != nil {
				return err
			}
		}
	}
	return nil
}

func documents(text []byte) (docs []*yaml.Node) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc yaml.Node
		if err := decoder.Decode(&doc); err != nil {
			return docs
		}
		if len(doc.Content) == 1 {
			docs = append(docs, doc.Content[0])
		}
	}
}

func read(file string) (*diag.Source, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading what is to be linted: %w", err)
	}
	return &diag.Source{File: file, Text: text}, nil
}
