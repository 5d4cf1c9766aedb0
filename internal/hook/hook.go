// Package hook runs the commands that a config puts before and after a stage.
package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/davit-dev/davit/internal/event"
)

// Host is one command on this machine.
type Host struct {
	Command []string
	OS      []string // GOOS names it is for; empty: all
	Dir     string   // absolute
}

// Env is what a hook sees beside the environment of davit: Skaffold's variables, by name without the prefix SKAFFOLD_.
type Env map[string]string

// Run runs the hooks in order and stops at the first that fails. What they print goes to sink as log lines of image.
// environ is the environment to start from. Cancelling ctx interrupts the command and, ten seconds later, kills it.
func Run(ctx context.Context, hooks []Host, image string, env Env, environ []string, sink event.Sink) error {
	for _, h := range hooks {
		if len(h.OS) > 0 && !slices.Contains(h.OS, runtime.GOOS) {
			sink.Emit(event.Debug{Message: fmt.Sprintf("hook %q is not for %s", strings.Join(h.Command, " "), runtime.GOOS)})
			continue
		}
		if err := run(ctx, h, image, env, environ, sink); err != nil {
			return err
		}
	}
	return nil
}

func run(ctx context.Context, h Host, image string, env Env, environ []string, sink event.Sink) error {
	if len(h.Command) == 0 {
		return errors.New("a hook has no command: give one in skaffold.yaml")
	}
	cmd := exec.CommandContext(ctx, h.Command[0], h.Command[1:]...)
	cmd.Dir = h.Dir
	cmd.Env = slices.Clone(environ)
	for name, value := range env {
		cmd.Env = append(cmd.Env, "SKAFFOLD_"+name+"="+value)
	}
	endGracefully(cmd)
	cmd.WaitDelay = 10 * time.Second
	out := &lines{emit: func(line string) { sink.Emit(event.ArtifactLog{Image: image, Line: line}) }}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	out.flush()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("hook %q in %s: %w%s", strings.Join(h.Command, " "), h.Dir, err, next(err))
	}
	return nil
}

func next(err error) string {
	if errors.Is(err, exec.ErrNotFound) {
		return ": install it or mend the hook in skaffold.yaml"
	}
	return ": its output is above; mend it and run again"
}

var _ io.Writer = (*lines)(nil)

// lines cuts what is written into lines. Commands write to it from one goroutine each for stdout and stderr.
type lines struct {
	mu   sync.Mutex
	rest []byte
	emit func(string)
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			return len(p), nil
		}
		l.emit(strings.TrimRight(string(l.rest[:i]), "\r"))
		l.rest = l.rest[i+1:]
	}
}

func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rest) > 0 {
		l.emit(string(l.rest))
		l.rest = nil
	}
}
