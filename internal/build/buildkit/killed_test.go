//go:build linux

package buildkit_test

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/buildkit"
	"github.com/davit-dev/davit/internal/engine/enginetest"
)

// mortal is a BuildKit that dies in the middle of a build and is started again.
type mortal struct {
	where       buildkit.Where
	kill, start func()
}

func mortalEngine(t *testing.T) mortal {
	m := enginetest.StartMortal(t)
	return mortal{
		where: buildkit.Where{Kind: buildkit.Engine, Docker: m.Endpoint},
		kill:  func() { m.Kill(t) }, start: func() { m.Start(t) },
	}
}

// mortalDaemon is a buildkitd that somebody started, behind a socket.
func mortalDaemon(t *testing.T) mortal {
	dir, err := os.MkdirTemp("", "davit-mortal") // a short path, for its socket
	if err != nil {
		t.Fatal(err)
	}
	address, root := "unix://"+filepath.Join(dir, "s"), filepath.Join(dir, "root")
	var cmd *exec.Cmd
	start := func() {
		cmd = exec.Command(shared.carried.Command[0], serveCommand, "daemon", "--addr", address, "--root", root)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool {
			conn, err := net.Dial("unix", filepath.Join(dir, "s"))
			if err == nil {
				err = conn.Close()
			}
			return err == nil
		})
	}
	end := func(signal os.Signal) {
		if err := cmd.Process.Signal(signal); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait()
	}
	start()
	t.Cleanup(func() {
		end(syscall.SIGTERM)
		unmount(t, dir)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return mortal{buildkit.Where{Kind: buildkit.Daemon, Address: address}, func() { end(syscall.SIGKILL) }, start}
}

// unmount takes away what a daemon that was killed left below a folder.
func unmount(t *testing.T, dir string) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if at := strings.Fields(line)[1]; strings.HasPrefix(at, dir) {
			_ = syscall.Unmount(at, syscall.MNT_DETACH)
		}
	}
}

// endStep ends what a step of a killed daemon left running.
func endStep(arg string) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		if pid, args := commandLine(e.Name()); slices.Contains(args, arg) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func TestKilledInMidStep(t *testing.T) {
	for name, begin := range map[string]func(*testing.T) mortal{"Docker Engine": mortalEngine, "buildkitd": mortalDaemon} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := begin(t)
			length := "1000.0" + strconv.Itoa(len(name))
			t.Cleanup(func() { endStep(length) })
			r := request(t, withShell(t, "FROM shell\nRUN sleep "+length+"\n", nil), func(_ *build.Request, d *build.Docker) { d.Network = "host" })
			failed := go1(func() error { _, err := at(m.where)(t, os.Getenv).Build(t.Context(), r, &lines{}); return err })
			waitFor(t, func() bool { return stepRuns(length) || len(failed) > 0 })
			m.kill()
			err := <-failed
			for _, want := range []string{m.where.String() + " went away during the build", "start it again"} {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %q", err, want)
				}
			}
			endStep(length)
			_, err = at(m.where)(t, os.Getenv).Build(t.Context(), request(t, minimal(t)), &lines{})
			if err == nil {
				t.Error("built by what is dead")
			}
			m.start()
			mustBuild(t, at(m.where)(t, os.Getenv), request(t, minimal(t)))
		})
	}
}

func TestEngineKilledInMidPush(t *testing.T) {
	m := mortalEngine(t)
	kill := sync.OnceFunc(m.kill)
	host := serveRegistry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPatch {
				kill()
			}
			next.ServeHTTP(w, r)
		})
	})
	r := request(t, minimal(t), func(r *build.Request, _ *build.Docker) { r.Ref = host + "/app:v1" })
	_, err := at(m.where)(t, os.Getenv).Build(t.Context(), r, &lines{})
	if err == nil || !strings.Contains(err.Error(), "the "+m.where.String()+" went away") || !strings.Contains(err.Error(), "start it again") {
		t.Errorf("error %v", err)
	}
	kill() // waits until it is done
	m.start()
	result, _ := mustBuild(t, at(m.where)(t, os.Getenv), r)
	pushed(t, r, result)
}

// go1 runs something beside the test.
func go1(do func() error) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- do() }()
	return ended
}
