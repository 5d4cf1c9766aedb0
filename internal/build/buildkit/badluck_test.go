//go:build linux

package buildkit_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/buildkit"
	"github.com/davit-dev/davit/internal/build/buildtest"
	"github.com/davit-dev/davit/internal/build/carried"
)

// dropping breaks the first upload of a layer in the middle of its body.
func dropping(next http.Handler) http.Handler {
	var n atomic.Int32
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/uploads/") && (r.Method == http.MethodPatch || r.Method == http.MethodPut) && n.Add(1) == 1 {
			_, _ = io.CopyN(io.Discard, r.Body, 10)
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
}

func TestEnginePushSurvivesARegistryInTrouble(t *testing.T) {
	where := buildkit.Where{Kind: buildkit.Engine, Docker: buildkit.Endpoint{Host: startEngine(t)}}
	for name, trouble := range map[string]func(http.Handler) http.Handler{
		"429":                   failing(func(w http.ResponseWriter) { http.Error(w, "slow down", http.StatusTooManyRequests) }),
		"500":                   failing(func(w http.ResponseWriter) { http.Error(w, "oops", http.StatusInternalServerError) }),
		"dropped":               failing(func(http.ResponseWriter) { panic(http.ErrAbortHandler) }),
		"dropped in mid-upload": dropping,
	} {
		t.Run(name, func(t *testing.T) {
			host := serveRegistry(t, trouble)
			r := request(t, minimal(t), func(r *build.Request, _ *build.Docker) { r.Ref = host + "/app:v1" })
			result, _ := mustBuild(t, at(where)(t, os.Getenv), r)
			pushed(t, r, result)
		})
	}
}

func TestPushDroppedInMidUpload(t *testing.T) {
	t.Parallel()
	host := serveRegistry(t, dropping)
	r := request(t, minimal(t), func(r *build.Request, _ *build.Docker) { r.Ref = host + "/app:v1" })
	result, _ := mustBuild(t, newCarried(shared.carried), r)
	pushed(t, r, result)
}

// The daemon loses the client: it ends the step, and the client says what happened.
func TestConnectionBreaksInMidStep(t *testing.T) {
	t.Parallel()
	daemon, err := carried.Use(t.Context(), shared.carried)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = daemon.Release() }()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var (
		mu    sync.Mutex
		conns []net.Conn
	)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, client)
			mu.Unlock()
			go relay(client, daemon)
		}
	}()
	where := buildkit.Where{Kind: buildkit.Daemon, Address: "unix://" + listener.Addr().String()}
	failed := make(chan error, 1)
	r := request(t, withShell(t, "FROM shell\nRUN sleep 1000.125\n", nil))
	go func() {
		_, err := at(where)(t, os.Getenv).Build(t.Context(), r, &lines{})
		failed <- err
	}()
	waitFor(t, func() bool { return stepRuns("1000.125") })
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	for _, c := range conns {
		_ = c.Close()
	}
	mu.Unlock()
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "went away during the build") {
		t.Errorf("error %v", err)
	}
	waitFor(t, func() bool { return !stepRuns("1000.125") })
}

func TestFullDisk(t *testing.T) {
	o := ownDaemon(t)
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", o.Dir, "tmpfs", 0, "size=24m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stopDaemon(o.Dir)
		if err := syscall.Unmount(o.Dir, syscall.MNT_DETACH); err != nil { // the daemon's namespace goes away a moment after it
			t.Error(err)
		}
	})
	big := strings.Repeat("0123456789abcdef", 1<<20)
	for name, dockerfile := range map[string]string{
		"context": "FROM scratch\nCOPY big /a\nCOPY big /b\nCOPY big /c\n",
		"step":    "FROM shell\nRUN dd if=/dev/zero of=/big bs=1M count=64\n",
	} {
		dir := withShell(t, dockerfile, nil)
		if name == "context" {
			buildtest.Write(t, dir, map[string]string{"Dockerfile": dockerfile, "big": big})
		}
		_, err := newCarried(o).Build(t.Context(), request(t, dir), &lines{})
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), "no space left") || !strings.Contains(err.Error(), "davit builder prune") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// And it goes on once there is space.
	if err := syscall.Mount("tmpfs", o.Dir, "tmpfs", syscall.MS_REMOUNT, "size=128m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	mustBuild(t, newCarried(o), request(t, withShell(t, "FROM shell\nRUN true\n", nil)))
}

func TestContextsThatAreNoFolders(t *testing.T) {
	b := newCarried(shared.carried)
	file := filepath.Join(minimal(t), "Dockerfile")
	for name, change := range map[string]func(*build.Docker){
		"none":       func(d *build.Docker) { d.Context = "/none" },
		"file":       func(d *build.Docker) { d.Context = file },
		"dockerfile": func(d *build.Docker) { d.Dockerfile = "/none/Dockerfile" },
	} {
		r := request(t, minimal(t), func(_ *build.Request, d *build.Docker) { change(d) })
		_, err := b.Build(t.Context(), r, &lines{})
		if err == nil || !strings.Contains(err.Error(), "none") && !strings.Contains(err.Error(), file) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	// A context elsewhere is one like any other.
	mustBuild(t, b, request(t, t.TempDir(), func(_ *build.Request, d *build.Docker) {
		d.Context = minimal(t)
		d.Dockerfile = filepath.Join(d.Context, "Dockerfile")
	}))
	if _, err := os.Stat("/none"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
