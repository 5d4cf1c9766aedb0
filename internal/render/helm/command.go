package helm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/internal/command"
	"github.com/davit-dev/davit/internal/event"
)

// Command is the helm command line that does the same, quoted for a shell. Overrides have no flag: they stand as the file that Skaffold
// makes of them.
func Command(r Release) string {
	words := []string{"helm"}
	for _, arg := range r.arguments("skaffold-overrides.yaml") {
		if regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`).MatchString(arg) {
			words = append(words, arg)
			continue
		}
		words = append(words, "'"+strings.ReplaceAll(arg, "'", `'\''`)+"'")
	}
	return strings.Join(words, " ")
}

// arguments are those of the helm command.
func (r Release) arguments(overrides string) []string {
	var args []string
	if r.Secrets {
		args = append(args, "secrets")
	}
	args = append(args, "template", r.Name, r.Chart)
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
	if r.SkipTests {
		args = append(args, "--skip-tests")
	}
	return append(args, r.Global...)
}

// byCommand renders with the helm command, which why says the reason for.
func byCommand(ctx context.Context, r Release, o Options, why string, sink event.Sink) (*Rendered, error) {
	if o.LookPath == nil {
		return nil, fmt.Errorf("%s, and commands cannot be run here", why)
	}
	helm, err := o.LookPath("helm")
	if err != nil {
		return nil, fmt.Errorf("%s: install helm so that davit can run it (%w)", why, err)
	}
	overrides := ""
	if len(r.Overrides) > 0 {
		dir, err := os.MkdirTemp("", "davit-helm-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		overrides = filepath.Join(dir, "overrides.yaml")
		text, err := yaml.Marshal(r.Overrides)
		if err == nil {
			err = os.WriteFile(overrides, text, 0o600)
		}
		if err != nil {
			return nil, fmt.Errorf("writing the overrides: %w", err)
		}
	}
	var said []string
	run := command.Command{Dir: o.Dir, Environ: o.Environ, Line: func(line string) {
		said = append(said, line)
		sink.Emit(event.Debug{Message: "helm: " + line})
	}}
	steps := [][]string{{"dependency", "build", r.Chart}, r.arguments(overrides)}
	if r.Remote || r.SkipDependencies {
		steps = steps[1:]
	}
	var out []byte
	for _, args := range steps {
		said = nil
		run.Args = append([]string{helm}, args...)
		out, err = run.Output(ctx)
		if _, failed := errors.AsType[*exec.ExitError](err); failed {
			return nil, fmt.Errorf("helm %s failed: %s", strings.Join(args[:2], " "), strings.Join(said, "\n"))
		}
		if err != nil {
			return nil, fmt.Errorf("running helm: %w", err)
		}
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
