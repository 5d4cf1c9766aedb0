package tag

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"time"
)

// CustomTemplate is the policy customTemplate: a template of the tags that other policies make.
type CustomTemplate struct {
	template   *template.Template
	components map[string]Policy
}

// Component is a policy by the name that the template knows it by.
type Component struct {
	Name   string
	Policy Policy
}

// NewCustomTemplate parses a template. Its variables are the components, and where there is none of the name, GIT, DATE, SHA and INPUT_DIGEST.
func NewCustomTemplate(text string, components []Component, git *Git, now func() time.Time) (*CustomTemplate, error) {
	t, err := template.New("customTemplate").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parsing the tag template: %w", err)
	}
	given := map[string]Policy{}
	for _, c := range components {
		if _, twice := given[c.Name]; twice {
			return nil, fmt.Errorf("the tag template has two components named %s", c.Name)
		}
		if _, nested := c.Policy.(*CustomTemplate); nested {
			return nil, fmt.Errorf("the component %s of the tag template is a customTemplate itself, which is not allowed", c.Name)
		}
		given[c.Name] = c.Policy
	}
	used := map[string]Policy{}
	for _, name := range fields(t.Root) {
		policy, ok := given[name]
		if !ok {
			policy, ok = map[string]Policy{
				"GIT": GitCommit{Git: git}, "DATE": DateTime{Now: now}, "SHA": SHA256{}, "INPUT_DIGEST": InputDigest{},
			}[name]
		}
		if !ok {
			return nil, fmt.Errorf("the tag template uses .%s, which is none of its components", name)
		}
		used[name] = policy
	}
	return &CustomTemplate{template: t, components: used}, nil
}

// Tag makes the tag.
func (p *CustomTemplate) Tag(ctx context.Context, a Artifact) (string, error) {
	values := map[string]string{}
	for name, policy := range p.components {
		value, err := policy.Tag(ctx, a)
		if err != nil {
			return "", fmt.Errorf("component %s of the tag template: %w", name, err)
		}
		values[name] = value
	}
	var b strings.Builder
	if err := p.template.Execute(&b, values); err != nil {
		return "", fmt.Errorf("executing the tag template: %w", err)
	}
	return b.String(), nil
}

// fields are the names after a dot in a template.
func fields(node parse.Node) []string {
	switch n := node.(type) {
	case *parse.FieldNode:
		return n.Ident
	case *parse.ActionNode:
		return fields(n.Pipe)
	case *parse.TemplateNode:
		return pipeFields(n.Pipe)
	case *parse.PipeNode:
		return pipeFields(n)
	case *parse.CommandNode:
		return eachField(n.Args)
	case *parse.ListNode:
		if n != nil {
			return eachField(n.Nodes)
		}
	case *parse.IfNode:
		return branchFields(n.BranchNode)
	case *parse.RangeNode:
		return branchFields(n.BranchNode)
	case *parse.WithNode:
		return branchFields(n.BranchNode)
	}
	return nil
}

func branchFields(n parse.BranchNode) []string {
	return slices.Concat(pipeFields(n.Pipe), fields(n.List), fields(n.ElseList))
}

func pipeFields(n *parse.PipeNode) []string {
	if n == nil {
		return nil
	}
	return eachField(n.Cmds)
}

func eachField[N parse.Node](nodes []N) []string {
	var names []string
	for _, n := range nodes {
		names = append(names, fields(n)...)
	}
	return names
}
