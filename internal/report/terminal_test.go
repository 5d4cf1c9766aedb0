package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"

	"github.com/davit-dev/davit/internal/event"
)

// screen is a terminal as a person sees it: a pseudo-terminal, and an emulator that reads what is written to it.
type screen struct {
	t        *testing.T
	tty, own *os.File
	vt       vt10x.Terminal
	mu       sync.Mutex
	raw      strings.Builder
	now      time.Time
}

func newScreen(t *testing.T, columns, rows int) *screen {
	t.Helper()
	own, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = own.Close(), tty.Close() })
	s := &screen{t: t, tty: tty, own: own, vt: vt10x.New(vt10x.WithSize(columns, rows)), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	s.resize(columns, rows)
	go s.read()
	return s
}

func (s *screen) read() {
	buf := make([]byte, 4096)
	for {
		n, err := s.own.Read(buf)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.raw.Write(buf[:n])
		_, _ = s.vt.Write(buf[:n])
		s.mu.Unlock()
	}
}

func (s *screen) resize(columns, rows int) {
	s.t.Helper()
	if err := pty.Setsize(s.own, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)}); err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.vt.Resize(columns, rows)
}

func (s *screen) size() (columns, rows int) {
	rows, columns, err := pty.Getsize(s.tty)
	if err != nil {
		s.t.Error(err)
	}
	return columns, rows
}

// clock moves on only when the test says so.
func (s *screen) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *screen) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func (s *screen) options() Options {
	return Options{Out: s.tty, Err: s.tty, Screen: s.size, Now: s.clock}
}

// text is what stands on the screen, without the empty rows below.
func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := strings.Split(s.vt.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

func (s *screen) escapes() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.raw.String()
}

// shows waits until the screen is exactly this.
func (s *screen) shows(want string) {
	s.t.Helper()
	want = strings.Trim(want, "\n")
	for range 10000 {
		if s.text() == want {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.t.Errorf("the screen shows\n%s\nand not\n%s", s.text(), want)
}

func emit(r Report, events ...event.Event) {
	for _, e := range events {
		r.Emit(e)
	}
}

func began(image string, step int, name string) event.BuildStep {
	return event.BuildStep{Image: image, Step: step, Name: name, State: event.StepStarted}
}

func ended(image string, step int, name string, state event.StepState) event.BuildStep {
	return event.BuildStep{Image: image, Step: step, Name: name, State: state, Took: 2 * time.Second}
}

func TestBuildsAreShownInPlace(t *testing.T) {
	s := newScreen(t, 60, 16)
	r := New(s.options())
	emit(r, event.StageStarted{Stage: event.StageBuild},
		event.ArtifactStarted{Image: "example.com/web", Where: "Docker Engine"},
		event.ArtifactStarted{Image: "api", Where: "Docker Engine"},
		began("example.com/web", 1, "[internal] load build definition"),
		ended("example.com/web", 1, "[internal] load build definition", event.StepDone),
		ended("example.com/web", 2, "[1/3] FROM base", event.StepCached),
		began("example.com/web", 3, "[2/3] RUN make"))
	s.pass(1500 * time.Millisecond)
	emit(r, event.ArtifactLog{Image: "example.com/web", Step: 3, Line: "\x1b[32mcc\x1b[0m -c\tx.c"},
		began("api", 1, "[1/2] RUN a command that is too long for a line of this terminal"),
		event.StepTransfer{Image: "api", Step: 1, What: "sha256:1", Current: 5e6, Total: 1e7})
	s.shows(`
Starting build...
Building                                               1.5s
[web]                                                  1.5s
 => CACHED [1/3] FROM base
 => [2/3] RUN make                                     1.5s
    cc -c    x.c
[api]                                                  1.5s
 => [1/2] RUN a command that is too long for a line... 0.0s`)
	emit(r, event.Warning{Message: "something to know"},
		event.ArtifactBuilt{Image: "api", Ref: "r/api:1", Digest: "sha256:ab", Pushed: true, Took: 1500 * time.Millisecond})
	s.shows(`
Starting build...
warning: something to know
Build [api] succeeded in 1.5s -> r/api:1, pushed as sha256:a
b
Building                                               1.5s
[web]                                                  1.5s
 => CACHED [1/3] FROM base
 => [2/3] RUN make                                     1.5s
    cc -c    x.c`)
	emit(r, ended("example.com/web", 3, "[2/3] RUN make", event.StepDone),
		event.ArtifactBuilt{Image: "example.com/web", Ref: "r/web:1", Took: 2 * time.Second}, event.StageDone{Stage: event.StageBuild})
	r.Close(nil)
	s.shows(`
Starting build...
warning: something to know
Build [api] succeeded in 1.5s -> r/api:1, pushed as sha256:a
b
Build [example.com/web] succeeded in 2.0s (1 of 2 steps cach
ed) -> r/web:1`)
}

func TestANarrowOrLowTerminalStaysReadable(t *testing.T) {
	s := newScreen(t, 30, 5)
	r := New(s.options())
	emit(r, event.StageStarted{Stage: event.StageBuild})
	for i := range 6 {
		image := fmt.Sprint("web", i)
		emit(r, event.ArtifactStarted{Image: image}, began(image, 1, "[1/2] RUN something long"))
	}
	s.shows(`
Building                 0.0s
[web0] [1/2] RUN some... 0.0s
[web1] [1/2] RUN some... 0.0s
and 4 more builds`)
	s.resize(12, 4)
	s.pass(time.Second)
	s.shows(`
Building
[web0] [...
and 5 mo...`)
	s.resize(60, 20)
	emit(r, event.StageDone{Stage: event.StageBuild})
	r.Close(nil)
}

func TestAFailedBuildScrollsUpWhatTheErrorLeavesOut(t *testing.T) {
	s := newScreen(t, 60, 40)
	r := New(s.options())
	emit(r, event.StageStarted{Stage: event.StageBuild}, event.ArtifactStarted{Image: "web"},
		event.ArtifactLog{Image: "web", Line: "hook"}, began("web", 1, "[1/2] RUN fine"), event.ArtifactLog{Image: "web", Step: 1, Line: "not of interest"},
		ended("web", 1, "[1/2] RUN fine", event.StepDone), began("web", 2, "[2/2] RUN make"))
	for i := range 5 {
		emit(r, event.ArtifactLog{Image: "web", Step: 2, Line: fmt.Sprint("line ", i)})
	}
	emit(r, ended("web", 2, "[2/2] RUN make", event.StepFailed),
		event.ArtifactFailed{Image: "web", Error: "last lines:\n  line 3\n  line 4", Took: 3 * time.Second})
	r.Close(errors.New("told elsewhere"))
	s.shows(`
Starting build...
[web] hook
[web] #2 [2/2] RUN make
[web] #2 line 0
[web] #2 line 1
[web] #2 line 2
Build [web] failed after 3.0s`)
}

func TestABuilderWithoutStepsIsShownInPlace(t *testing.T) {
	s := newScreen(t, 40, 12)
	r := New(s.options())
	emit(r, event.StageStarted{Stage: event.StageBuild}, event.ArtifactStarted{Image: "web", Where: "a command"})
	for i := range 5 {
		emit(r, event.ArtifactLog{Image: "web", Line: fmt.Sprint("line ", i)})
	}
	s.shows(`
Starting build...
Building                           0.0s
[web] with a command               0.0s
    line 2
    line 3
    line 4`)
	emit(r, event.ArtifactBuilt{Image: "web", Ref: "web:1", Took: time.Second}, event.ArtifactLog{Image: "web", Line: "a hook, after it"})
	r.Close(nil)
	s.shows(`
Starting build...
Build [web] succeeded in 1.0s -> web:1
[web] a hook, after it`)
}

func TestWorkloadsAreShownInPlace(t *testing.T) {
	s := newScreen(t, 70, 10)
	r := New(s.options())
	emit(r, event.StageStarted{Stage: event.StageWait},
		event.RolloutProgress{Resource: "deployment.apps/web", Namespace: "x", Message: "0 of 2 pods are ready"},
		event.RolloutProgress{Resource: "deployment.apps/api", Namespace: "x", Message: "0 of 1 pods are ready"})
	s.pass(70 * time.Second)
	emit(r, event.RolloutProgress{Resource: "deployment.apps/web", Namespace: "x", Pod: "web-1", Message: "pod/web-1: pulling the image"})
	s.shows(`
Waiting for deployments to stabilize...
Waiting                                                       1m10.0s
 - deployment.apps/web: pod/web-1: pulling the image          1m10.0s
 - deployment.apps/api: 0 of 1 pods are ready                 1m10.0s`)
	emit(r, event.WorkloadReady{Resource: "deployment.apps/web", Namespace: "x", Left: 1})
	s.shows(`
Waiting for deployments to stabilize...
 - deployment.apps/web is ready. [1 deployment(s) still pending]
Waiting                                                       1m10.0s
 - deployment.apps/api: 0 of 1 pods are ready                 1m10.0s`)
	emit(r, event.WorkloadReady{Resource: "deployment.apps/api", Namespace: "x"}, event.StageDone{Stage: event.StageWait, Took: 71 * time.Second})
	r.Close(nil)
	s.shows(`
Waiting for deployments to stabilize...
 - deployment.apps/web is ready. [1 deployment(s) still pending]
 - deployment.apps/api is ready.
Deployments stabilized in 1m11s`)
}

func TestWhatADeletionWaitsForIsShown(t *testing.T) {
	s := newScreen(t, 60, 10)
	r := New(s.options())
	emit(r, event.StageStarted{Stage: event.StageDelete}, event.RolloutProgress{Resource: "namespace/shop", Message: "waiting until it is gone"})
	s.pass(3 * time.Second)
	s.shows(`
Cleaning up...
Deleting                                               3.0s
 - namespace/shop: waiting until it is gone            3.0s`)
	emit(r, event.ObjectApplied{Resource: "namespace/shop", Verb: "deleted"}, event.StageDone{Stage: event.StageDelete})
	r.Close(nil)
	s.shows("Cleaning up...\n - namespace/shop deleted")
}

func TestColour(t *testing.T) {
	for _, colour := range []bool{true, false} {
		s := newScreen(t, 60, 10)
		o := s.options()
		o.Colour, o.Heading = colour, "34"
		r := New(o)
		emit(r, event.StageStarted{Stage: event.StageBuild}, event.ArtifactStarted{Image: "web"}, began("web", 1, "[1/1] RUN make"))
		s.shows(`
Starting build...
Building                                               0.0s
[web]                                                  0.0s
 => [1/1] RUN make                                     0.0s`)
		r.Close(nil)
		if got := strings.Contains(s.escapes(), "\x1b[34m"); got != colour {
			t.Errorf("colour %v: %q", colour, s.escapes())
		}
	}
}

// TestNothingIsRedrawnInAPipe holds that no escape sequence gets into a file.
func TestNothingIsRedrawnInAPipe(t *testing.T) {
	var out strings.Builder
	r := New(Options{Out: &out, Err: io.Discard, Now: time.Now})
	emit(r, event.StageStarted{Stage: event.StageBuild}, event.ArtifactStarted{Image: "web", Where: "Docker Engine"},
		began("web", 1, "[1/2] RUN make"), event.ArtifactLog{Image: "web", Step: 1, Line: "cc"}, ended("web", 1, "[1/2] RUN make", event.StepDone),
		ended("web", 2, "[2/2] COPY a b", event.StepCached),
		event.ArtifactBuilt{Image: "web", Ref: "r/web:1", Took: time.Second})
	r.Close(nil)
	want := `Starting build...
Building [web] with Docker Engine...
[web] #1 [1/2] RUN make
[web] #1 cc
[web] #1 DONE 2.0s
[web] #2 CACHED [2/2] COPY a b
Successfully built and tagged r/web:1
Build [web] succeeded in 1.0s
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}
