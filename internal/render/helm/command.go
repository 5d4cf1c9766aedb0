package helm

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"

	"github.com/davit-dev/davit/internal/command"
	"github.com/davit-dev/davit/internal/event"
)

// Command is the helm command line that does the same, quoted for a shell. Overrides have no flag: they stand as the file that Skaffold
// makes of them.
func Command(r Release) string { return CommandTo("template", r) }

// CommandTo is Command for another verb: install, upgrade.
func CommandTo(verb string, r Release) string {
	return quoted(r.arguments(verb, "skaffold-overrides.yaml"))
}

func quoted(args []string) string {
	words := []string{"helm"}
	for _, arg := range args {
		if regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`).MatchString(arg) {
			words = append(words, arg)
			continue
		}
		words = append(words, "'"+strings.ReplaceAll(arg, "'", `'\''`)+"'")
	}
	return strings.Join(words, " ")
}

// arguments are those of the helm command for template, install or upgrade.
func (r Release) arguments(verb, overrides string) []string {
	var args []string
	if r.Secrets {
		args = append(args, "secrets")
	}
	args = append(args, verb, r.Name, r.Chart)
	args = append(args, r.Flags...)
	for _, s := range r.Set {
		if s.Literal {
			args = append(args, "--set-literal", s.Key+"="+s.Value)
		} else {
			args = append(args, "--set", s.argument())
		}
	}
	for _, s := range r.SetFiles {
		args = append(args, "--set-file", s.Key+"="+s.Value)
	}
	for _, file := range r.ValuesFiles {
		args = append(args, "-f", file)
	}
	if len(r.Overrides) > 0 {
		args = append(args, "-f", overrides)
	}
	for _, pair := range [][2]string{{"--version", r.Version}, {"--namespace", r.Namespace}, {"--repo", r.Repo}} {
		if pair[1] != "" {
			args = append(args, pair[0], pair[1])
		}
	}
	if r.SkipTests && verb == "template" {
		args = append(args, "--skip-tests")
	}
	return append(args, r.Global...)
}

// byCommand renders with the helm command, which why says the reason for.
func byCommand(ctx context.Context, r Release, o Options, why string, sink event.Sink) (*Rendered, error) {
	b, err := newBinary(o, why, sink)
	if err != nil {
		return nil, err
	}
	defer b.close()
	overrides, err := b.overrides(r)
	if err != nil {
		return nil, err
	}
	if err := b.complete(ctx, r, nil); err != nil {
		return nil, err
	}
	out, err := b.run(ctx, r.arguments("template", overrides)...)
	if err != nil {
		return nil, err
	}
	rendered := &Rendered{Release: r, noHooks: true}
	for _, text := range separator.Split(string(out), -1) {
		source := "helm template"
		if m := regexp.MustCompile(`(?m)^# Source: (.+)$`).FindStringSubmatch(text); m != nil {
			source = m[1]
		}
		objects, err := rendered.Parse(source, text)
		if err != nil {
			return nil, err
		}
		rendered.Objects = append(rendered.Objects, objects...)
	}
	return rendered, nil
}

// postRender sends objects through the command of --post-renderer.
func (f flags) postRender(ctx context.Context, documents []document, o Options, sink event.Sink) ([]document, error) {
	var in strings.Builder
	for _, d := range documents {
		fmt.Fprintf(&in, "---\n# Source: %s\n%s\n", d.path, d.text)
	}
	var said []string
	cmd := command.Command{
		Args: append([]string{f.postRenderer}, f.postRendererArgs...), Dir: o.Dir, Environ: o.Environ, Stdin: strings.NewReader(in.String()),
		Line: func(line string) {
			said = append(said, line)
			sink.Emit(event.Debug{Message: f.postRenderer + ": " + line})
		},
	}
	out, err := cmd.Output(ctx)
	if _, failed := errors.AsType[*exec.ExitError](err); failed {
		return nil, fmt.Errorf("post-renderer %s: %w: %s", f.postRenderer, err, strings.Join(said, "\n"))
	}
	if err != nil {
		return nil, fmt.Errorf("post-renderer %s: %w", f.postRenderer, err)
	}
	rendered, _, err := split(map[string]string{"post-renderer": string(out)}, func(string) {})
	return rendered, err
}
