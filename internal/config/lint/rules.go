package lint

import (
	"bytes"
	"fmt"
	"text/template"

	"github.com/davit-dev/davit/internal/config/schema"
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
	// ExplanationTemplate is a Go template over FieldMap, what is special to a result.
	ExplanationTemplate string
	// Severity is one of the Language Server Protocol's; 2 is a warning.
	Severity int
	// Filter says what the rule looks for.
	Filter any
}

// yamlFilter is the Filter of a rule about fields, dockerfileFilter that of a rule about instructions.
type yamlFilter struct {
	Filter      any
	FieldMatch  string
	InvertMatch bool
}

type dockerfileFilter struct{ DockerCommand, DockerCopyDestRegExp, DockerCopySourceRegExp string }

// fieldFilter finds a field at the top, pathFilter one further down.
type fieldFilter struct {
	Kind, Name                    string
	Value                         *string
	StringValue, StringRegexValue string
	Create                        *string
}

type pathFilter struct {
	Kind          string
	Path          []string
	Create, Style int
}

const (
	manyFiles      = 1000
	managedBy      = "app.kubernetes.io/managed-by"
	firstLocalPort = 32581
	warning        = 2 // as the Language Server Protocol counts severities
)

func ruleOf(id RuleID) Rule {
	r := Rule{RuleID: id, Severity: warning}
	switch id {
	case OldAPIVersion:
		newest := schema.Prefix + schema.Newest
		r.Filter = yamlFilter{Filter: fieldFilter{Name: "apiVersion", StringRegexValue: "[^" + newest + "]"}}
		r.ExplanationTemplate = "apiVersion is not the newest, " + newest + ": `davit fix --overwrite` brings the file to it, comments included"
	case NoStaticPort:
		r.Filter = yamlFilter{Filter: fieldFilter{Name: "portForward"}, InvertMatch: true}
		r.ExplanationTemplate = "local ports change from session to session unless they are set; to keep them, add at the end:\nportForward:" +
			"{{range .FieldMap.ports}}\n- resourceType: {{.ResourceType}}\n  resourceName: {{.ResourceName}}\n  port: {{.Port}}\n  localPort: {{.LocalPort}}{{end}}"
	case CopyOfManyFiles:
		r.ExplanationTemplate = fmt.Sprintf("{{.FieldMap.command}} copies %q, which is more than %d files: a change of any builds the image anew. "+
			"Copy only what the image needs, or name the rest in .dockerignore", "{{.FieldMap.src}}", manyFiles)
	case CopyOfGit:
		r.ExplanationTemplate = fmt.Sprintf("{{.FieldMap.command}} copies %q, which has a .git folder, {{.FieldMap.gitDirectoryAbsPath}}: "+
			"every git command that writes there builds the image anew. Add .git to .dockerignore", "{{.FieldMap.src}}")
	case ManagedByLabel:
		r.Filter = yamlFilter{Filter: pathFilter{Path: []string{"metadata", "labels"}}, FieldMatch: managedBy}
		r.ExplanationTemplate = "the label " + managedBy + " is set here, but Skaffold replaces it with its own name: remove it"
	}
	if id == CopyOfManyFiles || id == CopyOfGit {
		r.RuleType, r.Filter = DockerfileRule, dockerfileFilter{DockerCommand: "copy", DockerCopySourceRegExp: ".*"}
	}
	return r
}

// explain fills the rule's template.
func (r Rule) explain(fields map[string]any) (string, error) {
	t, err := template.New(r.RuleID.String()).Parse(r.ExplanationTemplate)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = t.Execute(&out, map[string]any{"FieldMap": fields})
	return out.String(), err
}
