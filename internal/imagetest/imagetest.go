// Package imagetest tests built images: by commands of the user's and by container-structure-test.
//
// The tests of one image run one after another, its structure tests first; those of different images run side by side. A test that says what it
// depends on and passed before for the same image and the same files need not run again, see [Passed].
package imagetest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/davit-dev/davit/internal/command"
	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/inputs"
)

// Case is what is tested about one image.
type Case struct {
	Image  string // the artifact's name, as in the config
	Ref    string // of the built image, as commands get it
	Digest string // "sha256:..." of the built image: what passed for it counts for it only
	Local  bool   // the Docker Engine has it
	Dir    string // absolute folder, where commands run

	Structure Structure
	Custom    []Custom
}

// Structure are tests by container-structure-test; there are none without Files.
type Structure struct {
	Files []string // patterns of its configurations, relative to the case's folder or absolute
	Args  []string // further ones
}

// Custom is a test by a command in a shell.
type Custom struct {
	Command string        // with its templates expanded
	Timeout time.Duration // 0: none
	// Dependencies are nil when the config does not say what the test depends on: then it runs always.
	Dependencies *Dependencies
}

// Dependencies are the files that a test depends on: those that a command prints as a JSON array, or Paths without Ignore.
type Dependencies struct {
	Command       string
	Paths, Ignore []string
}

// Options is what tests need of the machine.
type Options struct {
	Environ      []string                     // of commands: "NAME=value"
	Docker       engine.Endpoint              // where structure tests run
	DockerConfig string                       // folder of the docker command's configuration
	LookPath     func(string) (string, error) // finds container-structure-test
	Inputs       *inputs.Reader
	Passed       *Passed // nil: every test runs
	Workers      int     // images tested at a time
}

// Error is a test that failed.
type Error struct {
	Image, Test string // Test: what ran, for people
	Cause       string
	Log         []string // the last lines that it printed
	Err         error
}

func (e *Error) Error() string {
	s := fmt.Sprintf("testing %s: %s %s", e.Image, e.Test, e.Cause)
	if len(e.Log) > 0 {
		s += "\nthe test's last lines:\n  " + strings.Join(e.Log, "\n  ")
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Run runs the tests. An image's tests end with its first that fails, an [*Error]; those of other images go on, and the errors of all are joined.
func Run(ctx context.Context, cases []Case, o Options, sink event.Sink) error {
	var images []string
	byImage := map[string][]Case{}
	for _, c := range cases {
		if _, known := byImage[c.Image]; !known {
			images = append(images, c.Image)
		}
		byImage[c.Image] = append(byImage[c.Image], c)
	}
	errs := make([]error, len(images))
	slots := make(chan struct{}, max(1, o.Workers))
	var wait sync.WaitGroup
	for i, image := range images {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			for _, c := range byImage[image] {
				r := &runner{Options: o, Case: c, sink: sink}
				if errs[i] = r.run(ctx); errs[i] != nil {
					return
				}
			}
		})
	}
	wait.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(errs...)
}

// runner runs one case.
type runner struct {
	Options
	Case
	sink event.Sink
}

func (r *runner) run(ctx context.Context) error {
	if len(r.Structure.Files) > 0 {
		if err := r.structure(ctx); err != nil {
			return err
		}
	}
	for _, t := range r.Custom {
		if err := r.custom(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) custom(ctx context.Context, t Custom) error {
	name := fmt.Sprintf("the command %q", t.Command)
	if t.Command == "" {
		return &Error{Image: r.Image, Test: "a custom test", Cause: "has no command: give one in skaffold.yaml"}
	}
	var key inputs.Key
	if d := t.Dependencies; d != nil && r.Passed != nil {
		var err error
		if key, err = r.key(ctx, inputs.Custom{BuildCommand: t.Command, List: d.Command, Paths: d.Paths, Ignore: d.Ignore, Run: r.list}); err != nil {
			return fmt.Errorf("testing %s: the dependencies of %s: %w", r.Image, name, err)
		}
	}
	return r.unlessPassed(key, name, func() error {
		return r.command(ctx, name, command.Command{
			Args: command.Shell(t.Command), Dir: r.Dir,
			Environ: append(slices.Clone(r.Environ), "IMAGE="+r.Ref, "TEST_CONTEXT="+r.Dir),
		}, t.Timeout)
	})
}

// list runs a command that lists files.
func (r *runner) list(ctx context.Context, text, dir string) ([]byte, error) {
	return command.Command{Args: command.Shell(text), Dir: dir, Environ: r.Environ, Line: r.log}.Output(ctx)
}

func (r *runner) log(line string) {
	r.sink.Emit(event.ArtifactLog{Image: r.Image, Line: line, Stage: event.StageTest})
}

// key names a test, what it depends on, and the image.
func (r *runner) key(ctx context.Context, c inputs.Custom) (inputs.Key, error) {
	c.Context = r.Dir
	m, err := r.Inputs.Custom(ctx, c)
	if err != nil {
		return "", err
	}
	m.Set("test of image", r.Image+"@"+r.Digest)
	return m.Key(), nil
}

// unlessPassed runs a test unless it passed before under key, which is empty when it must run.
func (r *runner) unlessPassed(key inputs.Key, name string, test func() error) error {
	if key != "" && r.Passed.has(key) {
		r.log(name + " passed before: neither the image nor what the test depends on changed")
		return nil
	}
	r.log("running " + name)
	if err := test(); err != nil {
		return err
	}
	if key == "" {
		return nil
	}
	if err := r.Passed.add(key); err != nil {
		r.sink.Emit(event.Warning{Message: "the next run repeats a test of " + r.Image + ": " + err.Error()})
	}
	return nil
}

// keptLines is how many of the last lines an error repeats.
const keptLines = 20

// errTimeout ends a test that takes too long.
var errTimeout = errors.New("timed out")

func (r *runner) command(ctx context.Context, name string, c command.Command, timeout time.Duration) error {
	limited := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeoutCause(ctx, timeout, errTimeout)
		defer cancel()
	}
	var tail []string
	c.Line = func(line string) {
		tail = append(tail, line)
		tail = tail[max(0, len(tail)-keptLines):]
		r.log(line)
	}
	err := c.Run(limited)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, errTimeout):
		err = &Error{r.Image, name, fmt.Sprintf("did not end within %s: mend it, or raise its timeoutSeconds", timeout), tail, err}
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		err = &Error{r.Image, name, fmt.Sprintf("failed with exit code %d", exit.ExitCode()), tail, err}
	default:
		err = &Error{r.Image, name, "failed: " + err.Error(), tail, err}
	}
	return err
}
