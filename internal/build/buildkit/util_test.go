//go:build linux

package buildkit_test

import (
	"errors"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/davit-dev/davit/internal/build/carried"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// daemonPIDs returns the processes that run the daemon of dir, found by their command lines.
func daemonPIDs(dir string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		panic(err)
	}
	var pids []int
	for _, e := range entries {
		pid, args := commandLine(e.Name())
		if slices.Contains(args, dir) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stopDaemon ends the daemon of dir and waits until it is gone.
func stopDaemon(dir string) {
	for _, pid := range daemonPIDs(dir) {
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Signal(os.Interrupt)
		}
	}
	l := flock.New(carried.StateLockPath(dir))
	defer l.Close()
	for range 30000 {
		if ok, err := l.TryLock(); ok || errors.Is(err, os.ErrNotExist) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func commandLine(name string) (int, []string) {
	pid, err := strconv.Atoi(name)
	if err != nil {
		return 0, nil
	}
	b, err := os.ReadFile("/proc/" + name + "/cmdline")
	if err != nil {
		return 0, nil
	}
	return pid, strings.Split(string(b), "\x00")
}

// ownDaemon is a carried daemon that only this test uses.
func ownDaemon(t *testing.T) carried.Options {
	o := carriedOptions(filepath.Join(t.TempDir(), "carried"))
	t.Cleanup(func() { stopDaemon(o.Dir) })
	return o
}

// stepRuns says whether a process with this argument runs on the machine.
func stepRuns(arg string) bool {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		panic(err)
	}
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		_, args := commandLine(e.Name())
		return slices.Contains(args, arg)
	})
}

// waitFor waits until something happened.
func waitFor(t *testing.T, happened func() bool) {
	t.Helper()
	for range 30000 {
		if happened() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it did not happen")
}
