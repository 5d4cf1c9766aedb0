package supervise

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// supervise runs the components until the test ends and returns how to see their states.
func supervise(t *testing.T, components ...Component) (states func() map[string]State, stop func()) {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	s := New(components, []string{"PATH=/usr/bin:/bin"}, dir, filepath.Join(dir, "status"), slog.New(slog.DiscardHandler))
	go func() { ended <- s.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		ended <- nil
	}
	t.Cleanup(stop)
	return func() map[string]State {
		states := map[string]State{}
		if status, err := Read(filepath.Join(dir, "status")); err == nil {
			for _, c := range status.Components {
				states[c.Name] = c
			}
		}
		return states
	}, stop
}

func shell(name, script string) Component {
	return Component{Name: name, Path: "/bin/sh", Args: []string{"sh", "-c", script}}
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for range 15000 {
		if condition() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("waited in vain: %s", what)
}

func TestWhatEndsIsStartedAgainAndSaidSo(t *testing.T) {
	states, _ := supervise(t, shell("brittle", "exit 3"))
	await(t, "brittle is started again", func() bool { return states()["brittle"].Restarts >= 2 })
	if got := states()["brittle"].LastExit; got != "exit status 3" {
		t.Errorf("the last end is %q, want exit status 3", got)
	}
}

func TestAComponentWaitsForThoseItNeeds(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	first := shell("first", "exec sleep 1000")
	first.Ready = func(context.Context) error { _, err := os.Stat(mark); return err }
	second := shell("second", "exec sleep 1000")
	second.After = []string{"first"}
	states, _ := supervise(t, first, second)
	await(t, "first runs", func() bool { return states()["first"].Phase == Running })
	if phase := states()["second"].Phase; phase != Waiting {
		t.Errorf("second is %s before first is ready", phase)
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, "second runs", func() bool { return states()["second"].Phase == Running })
}

func TestStoppingEndsAlsoWhatWillNotHear(t *testing.T) {
	states, stop := supervise(t, shell("deaf", "trap '' TERM; while :; do sleep 0.1; done"))
	await(t, "deaf runs", func() bool { return states()["deaf"].Phase == Running })
	pid := states()["deaf"].PID
	stop()
	if syscall.Kill(pid, 0) == nil {
		t.Errorf("process %d still runs", pid)
	}
	if phase := states()["deaf"].Phase; phase != Stopped {
		t.Errorf("after the stop deaf is %s", phase)
	}
}

func TestALongLogIsCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	if err := os.WriteFile(path, []byte("old lines"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := cut(path); err != nil {
		t.Fatal(err)
	}
	now, _ := os.ReadFile(path)
	before, _ := os.ReadFile(path + ".old")
	if len(now) != 0 || !strings.Contains(string(before), "old lines") {
		t.Errorf("the log holds %q and the old one %q", now, before)
	}
}
