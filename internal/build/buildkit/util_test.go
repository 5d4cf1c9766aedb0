package buildkit_test

import (
	"errors"
	"io"
	"log"
	"os"
	"strconv"
	"strings"
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
		for _, arg := range args {
			if arg == dir {
				pids = append(pids, pid)
			}
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
	for range 500 {
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
