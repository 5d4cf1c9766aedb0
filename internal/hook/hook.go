// Package hook runs the commands that a config puts before and after a stage.
package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"github.com/davit-dev/davit/internal/command"
	"github.com/davit-dev/davit/internal/event"
)

// Host is one command on this machine.
type Host struct {
	Command []string
	OS      []string // GOOS names it is for; empty: all
	Dir     string   // absolute
	Stdin   []byte   // what it gets to read; nil: nothing
}

// Env is what a hook sees beside the environment of davit: Skaffold's variables, by name without the prefix SKAFFOLD_.
type Env map[string]string

// Run runs the hooks in order and stops at the first that fails. What they print goes to sink as log lines of image.
// environ is the environment to start from. Cancelling ctx interrupts the command and, [command.Grace] later, kills it.
func Run(ctx context.Context, hooks []Host, image string, env Env, environ []string, sink event.Sink) error {
	for _, h := range hooks {
		if !h.here(sink) {
			continue
		}
		var said tail
		c, err := h.command(image, env, environ, &said, sink)
		if err == nil {
			err = h.explain(ctx, c.Run(ctx), said)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Output runs a hook as Run does and gives what it prints to stdout. ran is false for one that is not for this system.
func Output(ctx context.Context, h Host, image string, env Env, environ []string, sink event.Sink) (out []byte, ran bool, err error) {
	if !h.here(sink) {
		return nil, false, nil
	}
	var said tail
	c, err := h.command(image, env, environ, &said, sink)
	if err != nil {
		return nil, false, err
	}
	out, err = c.Output(ctx)
	return out, true, h.explain(ctx, err, said)
}

// here says whether the hook is for this system.
func (h Host) here(sink event.Sink) bool {
	if len(h.OS) == 0 || slices.Contains(h.OS, runtime.GOOS) {
		return true
	}
	sink.Emit(event.Debug{Message: fmt.Sprintf("hook %q is not for %s", strings.Join(h.Command, " "), runtime.GOOS)})
	return false
}

func (h Host) command(image string, env Env, environ []string, said *tail, sink event.Sink) (command.Command, error) {
	if len(h.Command) == 0 {
		return command.Command{}, errors.New("a hook has no command: give one in skaffold.yaml")
	}
	c := command.Command{
		Args: h.Command, Dir: h.Dir, Environ: slices.Clone(environ),
		Line: func(line string) {
			said.add(line)
			sink.Emit(event.ArtifactLog{Image: image, Line: line})
		},
	}
	if h.Stdin != nil {
		c.Stdin = bytes.NewReader(h.Stdin)
	}
	for name, value := range env {
		c.Environ = append(c.Environ, "SKAFFOLD_"+name+"="+value)
	}
	return c, nil
}

// tail is the end of what a hook printed: not every output shows its lines as they come.
type tail []string

func (t *tail) add(line string) {
	const most = 10
	if *t = append(*t, line); len(*t) > most {
		*t = (*t)[1:]
	}
}

// explain words the error of a command that was run.
func (h Host) explain(ctx context.Context, err error, said tail) error {
	if ctx.Err() != nil {
		return ctx.Err() // not its cause: an interrupted hook is no failure of its own
	}
	if err == nil {
		return nil
	}
	next := ": mend it and run again; it printed nothing"
	switch {
	case errors.Is(err, exec.ErrNotFound):
		next = ": install it or mend the hook in skaffold.yaml"
	case len(said) > 0:
		next = ": mend it and run again; it printed\n" + strings.Join(said, "\n")
	}
	return fmt.Errorf("hook %q in %s: %w%s", strings.Join(h.Command, " "), h.Dir, err, next)
}
