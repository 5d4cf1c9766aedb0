// Package command runs commands of the user's: each in a process group of its own, which ends as a whole, with its output as lines.
package command

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Grace is how long a command that was interrupted has to end by itself.
const Grace = 5 * time.Second

// Command is one command on this machine.
type Command struct {
	Args    []string
	Dir     string
	Environ []string  // "NAME=value", all that it sees; of names that are there twice the last counts
	Stdin   io.Reader // nil: nothing
	// Line gets each line of stdout and stderr without its newline, one at a time.
	Line  func(string)
	Grace time.Duration // how long it has to end by itself when it is interrupted; [Grace] when 0
}

// Shell makes arguments that run text in the shell of the system: sh, or cmd.exe on Windows.
func Shell(text string) []string {
	if runtime.GOOS == "windows" {
		return []string{"cmd.exe", "/C", text}
	}
	return []string{"sh", "-c", text}
}

// Run runs the command. When ctx ends, its process group is interrupted and, after [Grace], killed; the error is the context's cause
// then. A command that failed gives an [*exec.ExitError].
func (c Command) Run(ctx context.Context) error {
	out := NewLines(c.Line)
	err := c.run(ctx, func(cmd *exec.Cmd) { cmd.Stdout, cmd.Stderr = out, out })
	out.Flush()
	return err
}

// Output runs the command as Run does and gives its stdout; Line gets stderr.
func (c Command) Output(ctx context.Context) ([]byte, error) {
	var stdout bytes.Buffer
	stderr := NewLines(c.Line)
	err := c.run(ctx, func(cmd *exec.Cmd) { cmd.Stdout, cmd.Stderr = &stdout, stderr })
	stderr.Flush()
	return stdout.Bytes(), err
}

func (c Command) run(ctx context.Context, connect func(*exec.Cmd)) error {
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin = c.Dir, c.Environ, c.Stdin
	connect(cmd)
	interruptGroup(cmd)
	cmd.WaitDelay = cmp.Or(c.Grace, Grace)
	err := cmd.Run()
	if ctx.Err() != nil {
		killGroup(cmd)
		return context.Cause(ctx)
	}
	return err
}

// Lines cuts what is written into lines. Commands write to it from one goroutine each for stdout and stderr.
type Lines struct {
	mu   sync.Mutex
	rest []byte
	emit func(string)
}

var _ io.Writer = (*Lines)(nil)

// NewLines makes Lines that give each line, without its newline, to emit.
func NewLines(emit func(string)) *Lines { return &Lines{emit: emit} }

func (l *Lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			return len(p), nil
		}
		l.print(l.rest[:i])
		l.rest = l.rest[i+1:]
	}
}

// print shows a line as a terminal would: what stands before a carriage return is overwritten.
func (l *Lines) print(line []byte) {
	text := strings.TrimRight(string(line), "\r")
	l.emit(text[strings.LastIndexByte(text, '\r')+1:])
}

// Flush gives what was written after the last newline.
func (l *Lines) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rest) > 0 {
		l.print(l.rest)
		l.rest = nil
	}
}
