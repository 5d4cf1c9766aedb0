package kustomize

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/davit-dev/davit/internal/command"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/manifest"
)

// byCommand renders with the kustomize command, or with kubectl's, for flags that the library does not have.
func (o Options) byCommand(ctx context.Context, why error, sink event.Sink) ([]manifest.Object, error) {
	args := o.commandLine()
	if args == nil {
		return nil, fmt.Errorf("kustomize.buildArgs of %s: %w: install kustomize so that davit can run it, or remove the flag", o.Path, why)
	}
	var said []string
	cmd := command.Command{Args: args, Dir: o.Dir, Environ: o.Environ, Line: func(line string) {
		said = append(said, line)
		sink.Emit(event.Debug{Message: "kustomize: " + line})
	}}
	sink.Emit(event.Debug{Message: "running " + strings.Join(args, " ")})
	out, err := cmd.Output(ctx)
	if _, failed := errors.AsType[*exec.ExitError](err); failed {
		return nil, fmt.Errorf("kustomization %s: %s: %s", o.Path, strings.Join(args, " "), strings.Join(said, "\n"))
	}
	if err != nil {
		return nil, fmt.Errorf("kustomization %s: running %s: %w", o.Path, args[0], err)
	}
	return manifest.ParseMade(o.Path, out)
}

func (o Options) commandLine() []string {
	if o.LookPath == nil {
		return nil
	}
	for _, line := range [][]string{{"kustomize", "build"}, {"kubectl", "kustomize"}} {
		if path, err := o.LookPath(line[0]); err == nil {
			return append(append([]string{path, line[1]}, words(o.Args)...), o.root())
		}
	}
	return nil
}
