//go:build linux

package command_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/command"
)

func TestRun(t *testing.T) {
	var lines []string
	c := command.Command{
		Args: command.Shell(`echo "$A"; printf 'one\r\ntwo\rthree\nno newline'; exit 3`), Dir: t.TempDir(), Environ: []string{"A=1", "A=2"},
		Line: func(l string) { lines = append(lines, l) },
	}
	err := c.Run(t.Context())
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("error %v", err)
	}
	if want := []string{"2", "one", "three", "no newline"}; !reflect.DeepEqual(lines, want) {
		t.Errorf("lines %q, want %q", lines, want)
	}
}

func TestOutput(t *testing.T) {
	var lines []string
	c := command.Command{Args: command.Shell(`echo out; echo err >&2`), Line: func(l string) { lines = append(lines, l) }}
	out, err := c.Output(t.Context())
	if err != nil || string(out) != "out\n" || !reflect.DeepEqual(lines, []string{"err"}) {
		t.Errorf("output %q, lines %q, error %v", out, lines, err)
	}
}

// TestCancel ends a command that cleans up when it is interrupted, and its background job that does not listen.
func TestCancel(t *testing.T) {
	// As davit does: where interrupts are ignored from the start, as in a script's background, they would stay so in what is run.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("enough")
	c := command.Command{
		Args: command.Shell(`trap 'echo cleaned > cleaned; exit 1' INT; sleep 1000 >/dev/null 2>&1 & echo $! > pid; echo ready; wait`), Dir: dir,
		Environ: os.Environ(), Line: func(string) { cancel(stop) }, Grace: 5 * time.Minute,
	}
	if err := c.Run(ctx); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "cleaned")); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for range 10000 {
		// A killed process stays as a zombie where nobody waits for it.
		if state, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat")); err != nil || strings.Contains(string(state), ") Z ") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("the background job still runs: %v", syscall.Kill(pid, syscall.SIGKILL))
}
