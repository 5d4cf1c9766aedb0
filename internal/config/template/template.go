// Package template expands the Go templates that a skaffold.yaml may hold, with the functions of sprig
// and the variables of the environment and of built images.
//
// What Go's templates cannot say is allowed: a variable of an image may be named as the image is,
// {{.IMAGE_REPO_my-app}} as well as {{.IMAGE_REPO_my_app}}. A variable that is not set is an error that
// names it, unless a function such as default takes care of it.
package template

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/Masterminds/sprig/v3"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/diag"
)

// Environment is what templates may ask for.
type Environment struct {
	// Environ are "NAME=value" pairs, skaffold.env included.
	Environ []string
	// Run runs a command for the function cmd and gives what it prints; nil makes cmd an error.
	Run func(name string, args ...string) (string, error)
	// Now is the clock of the function now; nil means time.Now.
	Now func() time.Time
}

// Expander expands templates over one environment. It is safe for concurrent use.
type Expander struct {
	vars  map[string]string
	funcs func() template.FuncMap
}

// New makes an Expander.
func New(env Environment) *Expander {
	x := &Expander{vars: make(map[string]string, len(env.Environ))}
	for _, kv := range env.Environ {
		name, value, _ := strings.Cut(kv, "=")
		x.vars[name] = value
	}
	x.funcs = func() template.FuncMap {
		f := sprig.TxtFuncMap()
		f["env"] = func(name string) string { return x.vars[name] }
		f["expandenv"] = func(s string) string { return os.Expand(s, func(name string) string { return x.vars[name] }) }
		if env.Now != nil {
			f["now"] = env.Now
		}
		f["cmd"] = func(name string, args ...string) (string, error) {
			if env.Run == nil {
				return "", fmt.Errorf("cmd %s: commands cannot be run here", name)
			}
			out, err := env.Run(name, args...)
			return strings.TrimSpace(out), err
		}
		return f
	}
	return x
}

// MissingError names variables that a template uses and nobody sets.
type MissingError struct{ Names []string }

func (e *MissingError) Error() string {
	if len(e.Names) == 1 {
		return fmt.Sprintf("variable %s is not set", e.Names[0])
	}
	return fmt.Sprintf("variables %s are not set", strings.Join(e.Names, ", "))
}

// noValue is what text/template prints for a variable that is not there.
const noValue = "<no value>"

// Expand gives text with its templates expanded; more has variables that win over the environment's.
// A variable that is missing gives a *MissingError.
func (x *Expander) Expand(text string, more map[string]string) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	t, err := template.New("").Funcs(x.funcs()).Parse(plainNames(text))
	if err != nil {
		return "", fmt.Errorf("this is not a valid template: %s", reason(err))
	}
	vars := x.vars
	if len(more) > 0 {
		vars = maps.Clone(x.vars)
		maps.Copy(vars, more)
	}
	var b strings.Builder
	if err := t.Execute(&b, vars); err != nil {
		return "", fmt.Errorf("the template cannot be evaluated: %s", reason(err))
	}
	if strings.Contains(b.String(), noValue) {
		if names := missing(t, vars); len(names) > 0 {
			return "", &MissingError{Names: names}
		}
	}
	return b.String(), nil
}

// Field expands a value of a config; an error points at the value, which stands at path.
func (x *Expander) Field(c *config.Config, text string, more map[string]string, path ...any) (string, error) {
	out, err := x.Expand(text, more)
	if err == nil {
		return out, nil
	}
	next := "templates are Go's, with the functions of sprig"
	if m, ok := errors.AsType[*MissingError](err); ok {
		next = fmt.Sprintf("set %s, or give a default: {{default \"value\" .%s}}", m.Names[0], m.Names[0])
		if near := diag.Nearest(m.Names[0], slices.Collect(maps.Keys(more))); near != "" {
			next = fmt.Sprintf("did you mean %s?", near)
		}
	}
	e := c.Error(err.Error(), next, path...)
	e.Err = err
	return "", e
}

// reason leaves out text/template's own prefix.
func reason(err error) string {
	text := strings.TrimPrefix(err.Error(), "template: ")
	if _, rest, found := strings.Cut(text, ": "); found && strings.HasPrefix(text, ":") {
		return rest
	}
	return text
}

// plainNames rewrites the names of image variables inside actions to what Go's templates can hold.
func plainNames(text string) string {
	if !strings.Contains(text, ".IMAGE_") {
		return text
	}
	action := regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	name := regexp.MustCompile(`\.IMAGE_[A-Z_]+_[A-Za-z0-9_]+(?:[-./:]+[A-Za-z0-9_]+)+`)
	return action.ReplaceAllStringFunc(text, func(a string) string {
		return name.ReplaceAllStringFunc(a, func(v string) string { return "." + Sanitize(v[1:]) })
	})
}

// Sanitize replaces what a template variable's name cannot hold: the variables of image gcr.io/a-b end in
// _gcr_io_a_b.
func Sanitize(image string) string {
	return strings.NewReplacer(".", "_", "-", "_", "/", "_", ":", "_").Replace(image)
}

// missing lists the top-level variables that a template names and vars does not have.
func missing(t *template.Template, vars map[string]string) []string {
	var names []string
	walk(t.Root, func(f *parse.FieldNode) {
		if _, ok := vars[f.Ident[0]]; !ok && !slices.Contains(names, f.Ident[0]) {
			names = append(names, f.Ident[0])
		}
	})
	return names
}

// walk visits the fields of a template's tree.
func walk(n parse.Node, visit func(*parse.FieldNode)) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, c := range n.Nodes {
				walk(c, visit)
			}
		}
	case *parse.ActionNode:
		walk(n.Pipe, visit)
	case *parse.PipeNode:
		if n != nil {
			for _, c := range n.Cmds {
				walk(c, visit)
			}
		}
	case *parse.CommandNode:
		for _, c := range n.Args {
			walk(c, visit)
		}
	case *parse.IfNode:
		branch(&n.BranchNode, visit)
	case *parse.RangeNode:
		branch(&n.BranchNode, visit)
	case *parse.WithNode:
		branch(&n.BranchNode, visit)
	case *parse.FieldNode:
		visit(n)
	}
}

func branch(n *parse.BranchNode, visit func(*parse.FieldNode)) {
	walk(n.Pipe, visit)
	walk(n.List, visit)
	walk(n.ElseList, visit)
}
