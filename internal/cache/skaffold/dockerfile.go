package skaffold

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/command"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// dockerfile is a Dockerfile as Skaffold reads it for a list of its files: instruction by instruction, whichever stages a target needs.
type dockerfile struct{ nodes []*parser.Node }

func parseDockerfile(file string) (*dockerfile, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the Dockerfile: %w", err)
	}
	parsed, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("reading the Dockerfile %s: %w", file, err)
	}
	return &dockerfile{parsed.AST.Children}, nil
}

func is(n *parser.Node, instruction string) bool { return strings.EqualFold(n.Value, instruction) }

// declared is what an ARG instruction declares first, up to a second equals sign.
func declared(n *parser.Node) (name, value string) {
	if n.Next == nil {
		return "", ""
	}
	name, value, _ = strings.Cut(n.Next.Value, "=")
	value, _, _ = strings.Cut(value, "=")
	return name, value
}

func (d *dockerfile) asksFor(arg string) bool {
	return slices.ContainsFunc(d.nodes, func(n *parser.Node) bool {
		if !is(n, command.Arg) {
			return false
		}
		name, _ := declared(n)
		return name == arg
	})
}

// copies gives the sources of each COPY and ADD from the build context.
func (d *dockerfile) copies(ctx context.Context, args map[string]string, onBuild func(context.Context, string) ([]string, error)) ([][]string, error) {
	d.expand(args)
	nodes, err := d.withOnBuild(ctx, onBuild)
	if err != nil {
		return nil, err
	}
	var all [][]string
	var env []string
	words := shell.NewLex('\\')
	for _, n := range nodes {
		switch {
		case is(n, command.Env):
			for v := n.Next; v != nil && v.Next != nil && v.Next.Next != nil; v = v.Next.Next.Next {
				env = append(env, v.Value+"="+unquote(v.Next.Value))
			}
		case is(n, command.Copy), is(n, command.Add):
			if slices.ContainsFunc(n.Flags, func(f string) bool { return strings.HasPrefix(f, "--from=") }) {
				continue
			}
			var paths []string
			for word := n.Next; word != nil && !strings.HasPrefix(word.Value, "#"); word = word.Next {
				path, _, err := words.ProcessWord(word.Value, shell.EnvsFromSlice(env))
				if err != nil {
					return nil, fmt.Errorf("%s: %w", n.Original, err)
				}
				paths = append(paths, path)
			}
			if len(paths) == 0 {
				return nil, fmt.Errorf("%s: there is nothing to copy", n.Original)
			}
			sources := slices.DeleteFunc(paths[:len(paths)-1], elsewhere)
			if len(sources) > 0 {
				all = append(all, sources)
			}
		}
	}
	return all, nil
}

// elsewhere says that a source of COPY is not in the build context.
func elsewhere(source string) bool {
	return strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://") || strings.HasPrefix(source, "<<")
}

// expand puts build arguments in place of their names, from where they are declared to where they are declared anew.
func (d *dockerfile) expand(args map[string]string) {
	for i, n := range d.nodes {
		if !is(n, command.Arg) {
			continue
		}
		name, value := declared(n)
		if given, ok := args[name]; ok {
			value = given
		}
		for _, later := range d.nodes[i+1:] {
			if is(later, command.Arg) {
				if again, _ := declared(later); again == name {
					break
				}
			}
			for word := later; word != nil; word = word.Next {
				word.Value = replace(word.Value, name, value)
			}
		}
	}
}

// replace puts a value in place of ${name}, and of $name where the name ends there.
func replace(text, name, value string) string {
	text = strings.ReplaceAll(text, "${"+name+"}", value)
	return regexp.MustCompile(`\$`+regexp.QuoteMeta(name)+`\b`).ReplaceAllLiteralString(text, value)
}

// withOnBuild puts the ONBUILD instructions of base images behind the FROM instructions that name them. A second FROM of an image or a stage brings
// the whole Dockerfile once more.
func (d *dockerfile) withOnBuild(ctx context.Context, onBuild func(context.Context, string) ([]string, error)) ([]*parser.Node, error) {
	known := map[string][]*parser.Node{"scratch": nil}
	var all []*parser.Node
	for _, n := range d.nodes {
		all = append(all, n)
		if !is(n, command.From) || n.Next == nil {
			continue
		}
		base, stage := unquote(n.Next.Value), ""
		if as := n.Next.Next; as != nil && strings.EqualFold(as.Value, "as") && as.Next != nil {
			stage = strings.ToLower(as.Next.Value)
		}
		more, seen := known[strings.ToLower(base)]
		if !seen && base != "" { // empty is an artifact that is not built yet
			instructions, err := onBuild(ctx, base)
			if err != nil {
				return nil, fmt.Errorf("reading the ONBUILD instructions of %s: %w", base, err)
			}
			if len(instructions) > 0 {
				parsed, err := parser.Parse(strings.NewReader(strings.Join(instructions, "\n")))
				if err != nil {
					return nil, fmt.Errorf("reading the ONBUILD instructions of %s: %w", base, err)
				}
				more = parsed.AST.Children
			}
		}
		all = append(all, more...)
		known[stage], known[strings.ToLower(base)] = d.nodes, d.nodes
	}
	return all, nil
}

// unquote removes double quotes, or single ones where there are no double ones.
func unquote(text string) string {
	if without := strings.ReplaceAll(text, `"`, ""); without != text {
		return without
	}
	return strings.ReplaceAll(text, "'", "")
}
