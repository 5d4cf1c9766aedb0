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

// RuleID numbers a rule.
type RuleID int

// The rules. 3 is taken in Skaffold, and used nowhere.
const (
	OldAPIVersion   RuleID = 1
	NoStaticPort    RuleID = 2
	CopyOfManyFiles RuleID = 4
	CopyOfGit       RuleID = 5
	ManagedByLabel  RuleID = 6
)

const (
	manyFiles      = 1000
	managedBy      = "app.kubernetes.io/managed-by"
	firstLocalPort = 32581
	warning        = 2 // as the Language Server Protocol counts severities
)

// String gives the number as it is shown: ID000004.
func (r RuleID) String() string { return fmt.Sprintf("ID%06d", int(r)) }

// RuleType says what a rule looks at.
type RuleType int

// The types of rules.
const (
	YAMLRule RuleType = iota
	DockerfileRule
)

// String gives Skaffold's name of the type.
func (t RuleType) String() string {
	if t == DockerfileRule {
		return "DockerfileCommandLintRule"
	}
	return "YamlFieldLintRule"
}

// Rule is what a result is an instance of.
type Rule struct {
	RuleID   RuleID
	RuleType RuleType
	// Severity is one of the Language Server Protocol's; 2 is a warning.
	Severity int
}

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

// add notes a finding from a line to endLine, which is not part of it.
func (l *linter) add(rule Rule, src *diag.Source, line, column, endLine int, explanation string) {
	rel, err := filepath.Rel(l.dir, src.File)
	if err != nil {
		rel = src.File
	}
	rule.Severity = warning
	l.results = append(l.results, Result{Rule: rule, AbsFilePath: src.File, RelFilePath: rel, Explanation: explanation,
		StartLine: line, StartColumn: column, EndLine: endLine, source: src.Line(line)})
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
	if newest := schema.Prefix + schema.Newest; c.APIVersion != newest {
		at := c.Pos("apiVersion")
		l.add(Rule{RuleID: OldAPIVersion}, src, at.Line, at.Column, at.Line+1,
			fmt.Sprintf("apiVersion is not the newest, %s: `davit fix --overwrite` brings the file to it, comments included", newest))
	}
	if len(c.Model.PortForward) > 0 {
		return nil
	}
	ports, err := l.ports(c)
	if err != nil || len(ports) == 0 {
		return err
	}
	end := bytes.Count(src.Text, []byte("\n")) + 1
	l.add(Rule{RuleID: NoStaticPort}, src, end, 1, end+1,
		"local ports change from session to session unless they are set; to keep them, add at the end:\nportForward:\n"+strings.Join(ports, "\n"))
	return nil
}

// ports suggests an entry of portForward for each port of the manifests' pods.
func (l *linter) ports(c *config.Config) ([]string, error) {
	var entries []string
	err := eachManifest(c, func(_ *diag.Source, objects []*yaml.Node) {
		for _, object := range objects {
			entries = append(entries, staticPorts(object, firstLocalPort+len(entries))...)
		}
	})
	return entries, err
}

// staticPorts suggests entries for the ports of a pod or a deployment.
func staticPorts(object *yaml.Node, localPort int) (entries []string) {
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
				entries = append(entries, fmt.Sprintf("- resourceType: %s\n  resourceName: %s\n  port: %s\n  localPort: %d",
					strings.ToLower(kind.Value), name.Value, port.Value, localPort+len(entries)))
			}
		}
	}
	return entries
}

// manifests looks at the raw manifests of a config.
func (l *linter) manifests(c *config.Config) error {
	return eachManifest(c, func(src *diag.Source, objects []*yaml.Node) {
		if l.seen[src.File] {
			return
		}
		l.seen[src.File] = true
		for _, object := range objects {
			if label := ynode.Key(ynode.Path(object, "metadata", "labels"), managedBy); label != nil {
				l.add(Rule{RuleID: ManagedByLabel}, src, label.Line, label.Column, label.Line+1,
					fmt.Sprintf("the label %s is set here, but Skaffold replaces it with its own name: remove it", managedBy))
			}
		}
	})
}

// eachManifest visits the raw manifests that are files here, with the objects in them up to the first that is broken: what is not YAML is
// left to those who render it.
func eachManifest(c *config.Config, visit func(src *diag.Source, objects []*yaml.Node)) error {
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
			visit(src, documents(src.Text))
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
