//go:build linux

package buildkit_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/carried"
)

// mustBuild builds and fails the test when that fails.
func mustBuild(t *testing.T, b build.Builder, r build.Request) (build.Result, string) {
	t.Helper()
	log := &lines{}
	result, err := b.Build(t.Context(), r, log)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	return result, log.String()
}

func TestDaemonIsSharedByDavitsAtOnce(t *testing.T) {
	t.Parallel()
	o := ownDaemon(t)
	dir := project(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			r := request(t, dir)
			r.Ref += string(rune('a' + i))
			if _, err := newCarried(o).Build(t.Context(), r, &lines{}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	// The daemon and the first process of its namespace.
	if pids := daemonPIDs(o.Dir); len(pids) != 2 {
		t.Errorf("%d processes serve the folder, want one daemon", len(pids))
	}
	assertMode(t, o.Dir, 0o700)
	assertMode(t, carried.SocketPath(o.Dir), 0o600)
	assertMode(t, carried.LogPath(o.Dir), 0o600)
}

func assertMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != want {
		t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
	}
}

func TestDaemonKilledInMidStep(t *testing.T) {
	t.Parallel()
	o := ownDaemon(t)
	dir := withShell(t, "FROM shell\nRUN sleep 1000.25\n", nil)
	failed := make(chan error, 1)
	go func() {
		_, err := newCarried(o).Build(t.Context(), request(t, dir), &lines{})
		failed <- err
	}()
	waitFor(t, func() bool { return stepRuns("1000.25") })
	for _, pid := range daemonPIDs(o.Dir) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "the BuildKit carried by davit went away during the build") ||
		!strings.Contains(err.Error(), carried.LogPath(o.Dir)) {
		t.Errorf("error %v, want one that says what happened and where the log is", err)
	}
	waitFor(t, func() bool { return !stepRuns("1000.25") })
	steps, err := filepath.Glob("/run/runc/*/state.json") // those of Engines of other tests, too
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range steps {
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), o.Dir) {
			t.Errorf("runc still knows a step: %s", file)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), o.Dir) {
		t.Errorf("mounts are left:\n%s", mounts)
	}
	mustBuild(t, newCarried(o), request(t, withShell(t, "FROM shell\nRUN true\n", nil)))
	stopDaemon(o.Dir)
	cgroup := fmt.Sprintf("davit-buildkit-%x", sha256.Sum256([]byte(o.Dir)))[:24]
	if left, err := filepath.Glob("/sys/fs/cgroup/*/" + cgroup); err != nil || len(left) > 0 {
		t.Errorf("cgroups are left: %v (%v)", left, err)
	}
}

func TestDaemonStopsWhenIdle(t *testing.T) {
	t.Parallel()
	o := ownDaemon(t)
	o.Idle = 300 * time.Millisecond
	dir := withShell(t, "FROM shell\nRUN sleep 1\n", nil)
	mustBuild(t, newCarried(o), request(t, dir))
	waitFor(t, func() bool { return len(daemonPIDs(o.Dir)) == 0 })
	_, log := mustBuild(t, newCarried(o), request(t, dir))
	if !strings.Contains(log, "CACHED") {
		t.Errorf("the second daemon forgot the first one's work:\n%s", log)
	}
}

func TestDaemonOfAnotherVersionIsReplaced(t *testing.T) {
	t.Parallel()
	o := ownDaemon(t)
	r := request(t, withShell(t, "FROM shell\nRUN true\n", nil))
	mustBuild(t, newCarried(o), r)
	before := daemonPIDs(o.Dir)

	inUse, err := carried.Use(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	o.Version = "newer"
	mustBuild(t, newCarried(o), r)
	if after := daemonPIDs(o.Dir); after[0] != before[0] {
		t.Error("a daemon was replaced while somebody used it")
	}
	if err := inUse.Release(); err != nil {
		t.Fatal(err)
	}
	mustBuild(t, newCarried(o), r)
	waitFor(t, func() bool {
		after := daemonPIDs(o.Dir)
		return len(after) == 2 && !slices.Contains(after, before[0]) && !slices.Contains(after, before[1])
	})
}

func TestStaleSocketAndLongPath(t *testing.T) {
	t.Parallel()
	o := ownDaemon(t)
	o.Dir = filepath.Join(o.Dir, strings.Repeat("long/", 30)+"folder")
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{carried.SocketPath(o.Dir), carried.StateLockPath(o.Dir), carried.UseLockPath(o.Dir)} {
		if err := os.WriteFile(path, []byte("left behind"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { stopDaemon(o.Dir) })
	mustBuild(t, newCarried(o), request(t, project(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})))
}

func TestCancelEndsTheStep(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	r := request(t, withShell(t, "FROM shell\nRUN sleep 1000.5\n", nil))
	go func() {
		_, err := newCarried(shared.carried).Build(ctx, r, &lines{})
		failed <- err
	}()
	waitFor(t, func() bool { return stepRuns("1000.5") })
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	waitFor(t, func() bool { return !stepRuns("1000.5") })
}

func TestDaemonCannotStart(t *testing.T) {
	o := ownDaemon(t)
	o.Command = []string{"/bin/echo", "not the daemon:"}
	_, err := newCarried(o).Build(t.Context(), request(t, project(t, map[string]string{"Dockerfile": "FROM scratch\n"})), &lines{})
	var unavailable *carried.UnavailableError
	if !errors.As(err, &unavailable) {
		t.Fatalf("error %v, want *carried.UnavailableError", err)
	}
	for _, want := range []string{"it died", "BUILDKIT_HOST", "Docker Engine", carried.LogPath(o.Dir), "not the daemon: --dir"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %s:\n%v", want, err)
		}
	}
}

func TestBuildsLeaveNoGoroutines(t *testing.T) {
	b := newCarried(shared.carried)
	good := request(t, minimal(t))
	bad := request(t, project(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY none /\n"}))
	mustBuild(t, b, good)
	before := runtime.NumGoroutine()
	const builds = 20
	for range builds / 2 {
		mustBuild(t, b, good)
		if _, err := b.Build(t.Context(), bad, &lines{}); err == nil {
			t.Fatal("it built")
		}
	}
	waitFor(t, func() bool { return runtime.NumGoroutine() < before+builds/2 })
}
