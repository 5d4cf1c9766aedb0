//go:build linux

package imagetest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/engine/enginetest"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/imagetest"
	"github.com/davit-dev/davit/internal/inputs"
)

// told collects what tests print, by image.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (h *told) Emit(e event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch e := e.(type) {
	case event.ArtifactLog:
		if e.Stage == event.StageTest {
			h.lines = append(h.lines, e.Image+": "+e.Line)
		}
	case event.Warning:
		h.lines = append(h.lines, "warning: "+e.Message)
	}
}

func options(t *testing.T) imagetest.Options {
	return imagetest.Options{
		Environ: append(os.Environ(), "IMAGE=from outside"), LookPath: exec.LookPath, Inputs: inputs.NewReader(inputs.Options{Index: inputs.OpenIndex("", t.TempDir(), time.Now, event.SinkFunc(func(event.Event) {}))}),
		Passed: imagetest.NewPassed(t.TempDir(), time.Now), Workers: 2,
	}
}

func run(t *testing.T, o imagetest.Options, cases ...imagetest.Case) ([]string, error) {
	t.Helper()
	out := &told{}
	err := imagetest.Run(t.Context(), cases, o, out)
	return out.lines, err
}

func TestCustom(t *testing.T) {
	dir := enginetest.Project(t, map[string]string{"file": "1"})
	lines, err := run(t, options(t),
		imagetest.Case{Image: "app", Ref: "app:v1@sha256:1", Digest: "sha256:1", Dir: dir, Custom: []imagetest.Custom{
			{Command: `echo "$IMAGE in $TEST_CONTEXT with $(cat file)"`}, {Command: "echo second"},
		}},
		imagetest.Case{Image: "app", Ref: "app:v1@sha256:1", Digest: "sha256:1", Dir: dir, Custom: []imagetest.Custom{{Command: "echo third"}}})
	want := []string{
		`app: running the command "echo \"$IMAGE in $TEST_CONTEXT with $(cat file)\""`, "app: app:v1@sha256:1 in " + dir + " with 1",
		`app: running the command "echo second"`, "app: second", `app: running the command "echo third"`, "app: third",
	}
	if err != nil || !slices.Equal(lines, want) {
		t.Errorf("error %v, lines\n%s\nwant\n%s", err, strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

// TestFailure ends the tests of an image with the first that fails; those of others go on.
func TestFailure(t *testing.T) {
	dir := t.TempDir()
	lines, err := run(t, options(t),
		imagetest.Case{Image: "bad", Dir: dir, Custom: []imagetest.Custom{{Command: "echo why; exit 3"}, {Command: "echo never"}}},
		imagetest.Case{Image: "slow", Dir: dir, Custom: []imagetest.Custom{{Command: "sleep 1000", Timeout: 100 * time.Millisecond}}},
		imagetest.Case{Image: "good", Dir: dir, Custom: []imagetest.Custom{{Command: "echo fine"}}})
	var failed *imagetest.Error
	if !errors.As(err, &failed) || failed.Image != "bad" || !slices.Equal(failed.Log, []string{"why"}) {
		t.Errorf("error %v", err)
	}
	for _, want := range []string{
		"testing bad: the command \"echo why; exit 3\" failed with exit code 3\nthe test's last lines:\n  why",
		`testing slow: the command "sleep 1000" did not end within 100ms: mend it, or raise its timeoutSeconds`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v\nwant %s", err, want)
		}
	}
	if slices.Contains(lines, "bad: never") || !slices.Contains(lines, "good: fine") {
		t.Errorf("lines %q", lines)
	}
	_, err = run(t, options(t), imagetest.Case{Image: "none", Dir: dir, Custom: []imagetest.Custom{{}}})
	if err == nil || !strings.Contains(err.Error(), "a custom test has no command") {
		t.Errorf("error %v", err)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := imagetest.Run(ctx, []imagetest.Case{{Image: "app", Dir: t.TempDir(), Custom: []imagetest.Custom{{Command: "sleep 1000"}}}}, options(t),
		event.SinkFunc(func(event.Event) { cancel() }))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestPassed says which tests run again.
func TestPassed(t *testing.T) {
	dir := enginetest.Project(t, map[string]string{"tests/a": "1", "tests/ignored": "1", "other": "1"})
	o := options(t)
	c := imagetest.Case{Image: "app", Ref: "app:v1", Digest: "sha256:1", Dir: dir, Custom: []imagetest.Custom{
		{Command: "echo $(date +%N) > ran-always"},
		{Command: "echo ran paths", Dependencies: &imagetest.Dependencies{Paths: []string{"tests"}, Ignore: []string{"tests/ignored"}}},
		{Command: "echo ran listed", Dependencies: &imagetest.Dependencies{Command: `echo '["other"]'`}},
	}}
	write := func(file, content string) func() {
		return func() {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	nothing := func() {}
	for _, step := range []struct {
		name        string
		change      func()
		paths, list bool
	}{
		{"the first time", nothing, true, true},
		{"again", nothing, false, false},
		{"an ignored file changed", write("tests/ignored", "2"), false, false},
		{"a file changed", write("tests/a", "2"), true, false},
		{"a listed file changed", write("other", "2"), false, true},
		{"the image changed", func() { c.Digest = "sha256:2" }, true, true},
		{"the image is as before", func() { c.Digest = "sha256:1" }, false, false},
		{"the command changed", func() { c.Custom[2].Command += " too" }, false, true},
		{"asked for all", func() { o.Passed = nil }, true, true},
	} {
		step.change()
		if err := os.RemoveAll(filepath.Join(dir, "ran-always")); err != nil {
			t.Fatal(err)
		}
		lines, err := run(t, o, c)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(lines, "\n") + "\n"
		if got := strings.Contains(text, "app: ran paths\n"); got != step.paths {
			t.Errorf("%s: the test with paths ran: %t\n%s", step.name, got, text)
		}
		if got := strings.Contains(text, "app: ran listed"); got != step.list {
			t.Errorf("%s: the test with a list ran: %t\n%s", step.name, got, text)
		}
		if _, err := os.Stat(filepath.Join(dir, "ran-always")); err != nil {
			t.Errorf("%s: the test without dependencies did not run", step.name)
		}
		if !step.paths && !strings.Contains(text, `"echo ran paths" passed before: neither the image nor what the test depends on changed`) {
			t.Errorf("%s: does not say why it ran nothing:\n%s", step.name, text)
		}
	}
}

// TestFailedRunsAgain runs a test again that failed, whatever else stays the same.
func TestFailedRunsAgain(t *testing.T) {
	o, dir := options(t), t.TempDir()
	c := imagetest.Case{Image: "app", Digest: "sha256:1", Dir: dir, Custom: []imagetest.Custom{
		{Command: "test -e mended", Dependencies: &imagetest.Dependencies{Command: "echo '[]'"}},
	}}
	if _, err := run(t, o, c); err == nil {
		t.Fatal("passed")
	}
	if err := os.WriteFile(filepath.Join(dir, "mended"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if lines, err := run(t, o, c); err != nil || len(lines) != 1 {
		t.Errorf("lines %q, error %v", lines, err)
	}
}

// TestOldResults forgets what passed long ago.
func TestOldResults(t *testing.T) {
	o, folder := options(t), t.TempDir()
	o.Passed = imagetest.NewPassed(folder, time.Now)
	c := imagetest.Case{Image: "app", Digest: "sha256:1", Dir: t.TempDir(), Custom: []imagetest.Custom{
		{Command: "echo ran", Dependencies: &imagetest.Dependencies{Command: "echo '[]'"}},
	}}
	if _, err := run(t, o, c); err != nil {
		t.Fatal(err)
	}
	o.Passed = imagetest.NewPassed(folder, func() time.Time { return time.Now().Add(31 * 24 * time.Hour) })
	if lines, err := run(t, o, c); err != nil || !slices.Contains(lines, "app: ran") {
		t.Errorf("lines %q, error %v", lines, err)
	}
}
