//go:build linux

// Package enginetest runs real Docker Engines for tests.
package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	docker "github.com/moby/moby/client"

	"github.com/davit-dev/davit/internal/engine"
)

// Start runs a Docker Engine of the test's own, which touches neither the machine's bridge nor its firewall, until the test ends. Further arguments
// are dockerd's.
func Start(t testing.TB, args ...string) engine.Endpoint {
	t.Helper()
	return StartMortal(t, args...).Endpoint
}

// Mortal is an Engine that a test may kill and start again.
type Mortal struct {
	engine.Endpoint
	dir    string
	args   []string
	cmd    *exec.Cmd // nil while it is dead
	ended  chan error
	prints *bytes.Buffer
}

// StartMortal is Start for tests that kill.
func StartMortal(t testing.TB, args ...string) *Mortal {
	t.Helper()
	dockerd, err := exec.LookPath("dockerd")
	if err != nil {
		t.Fatalf("this test needs a Docker Engine (apt-get install docker.io): %v", err)
	}
	dir, err := os.MkdirTemp("", "davit-engine") // a short path, for its sockets
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "daemon.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	host := "unix://" + filepath.Join(dir, "docker.sock")
	m := &Mortal{Endpoint: engine.Endpoint{Host: host}, dir: dir, args: append([]string{dockerd,
		"--host", host, "--data-root", dir + "/data", "--exec-root", dir + "/exec", "--pidfile", dir + "/pid", "--config-file", dir + "/daemon.json",
		"--iptables=false", "--ip6tables=false", "--bridge=none", "--ip-forward=false", "--ip-masq=false",
	}, args...)}
	t.Cleanup(func() {
		m.stop(t)
		// dockerd leaves the network of containers that have the machine's.
		if err := syscall.Unmount(filepath.Join(dir, "exec/netns/default"), 0); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	m.Start(t)
	return m
}

// Start runs the Engine, again after a Kill, and waits until it answers.
func (m *Mortal) Start(t testing.TB) {
	t.Helper()
	m.prints = &bytes.Buffer{}
	m.cmd = exec.Command(m.args[0], m.args[1:]...)
	m.cmd.Stdout, m.cmd.Stderr = m.prints, m.prints
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.ended = make(chan error, 1)
	go func(cmd *exec.Cmd) { m.ended <- cmd.Wait() }(m.cmd)
	client := Open(t, m.Endpoint)
	for {
		if _, err := engine.Ping(t.Context(), client); err == nil {
			return
		}
		select {
		case err := <-m.ended:
			m.cmd = nil
			t.Fatalf("the Docker Engine did not start: %v\n%s", err, m.prints.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Kill ends the Engine as the kernel does when memory is short, with all processes and mounts that are its own.
func (m *Mortal) Kill(t testing.TB) {
	t.Helper()
	if err := m.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-m.ended; err == nil {
		t.Error("the Docker Engine ended before it was killed")
	}
	m.cmd = nil
	left, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var doomed []int
	for _, p := range left { // its containerd, the shims of that, and what runs in containers
		if pid, err := strconv.Atoi(p.Name()); err == nil && m.owns(pid) {
			doomed = append(doomed, pid)
		}
	}
	for _, pid := range doomed {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	for _, pid := range doomed {
		for len(commandLine(pid)) > 0 { // a dead one has none, also before anybody waited for it
			time.Sleep(10 * time.Millisecond)
		}
	}
	// A new Engine must not take a dead containerd that nobody has waited for yet for one that runs.
	if err := os.RemoveAll(filepath.Join(m.dir, "exec/containerd")); err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if at := strings.Fields(line)[1]; strings.HasPrefix(at, m.dir) {
			_ = syscall.Unmount(at, syscall.MNT_DETACH)
		}
	}
}

// owns says whether a process or one above it names the Engine's folder, as all of an Engine's do but those in containers.
func (m *Mortal) owns(pid int) bool {
	for pid > 1 {
		if strings.Contains(commandLine(pid), m.dir) {
			return true
		}
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, after, _ := strings.Cut(string(stat), ") ") // its own name is in parentheses
		var state string
		if _, err := fmt.Sscan(after, &state, &pid); err != nil {
			return false // it is gone
		}
	}
	return false
}

func commandLine(pid int) string {
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // none when it is gone
	return string(line)
}

func (m *Mortal) stop(t testing.TB) {
	if m.cmd == nil {
		return
	}
	if err := m.clear(context.WithoutCancel(t.Context())); err != nil {
		t.Log(err) // the test may have broken it
	}
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := <-m.ended; err != nil {
		t.Errorf("the Docker Engine ended badly: %v\n%s", err, m.prints.String())
	}
}

// clear removes the Engine's networks, which are bridges of this machine and would outlive it, with the containers in them.
func (m *Mortal) clear(ctx context.Context) error {
	client, err := engine.Open(m.Endpoint)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	all, err := client.ContainerList(ctx, docker.ContainerListOptions{All: true})
	if err != nil {
		return err
	}
	for _, c := range all.Items {
		if _, err := client.ContainerRemove(ctx, c.ID, docker.ContainerRemoveOptions{Force: true}); err != nil {
			return err
		}
	}
	_, err = client.NetworkPrune(ctx, docker.NetworkPruneOptions{})
	return err
}

// Open connects to an Engine until the test ends.
func Open(t testing.TB, e engine.Endpoint) *docker.Client {
	t.Helper()
	client, err := engine.Open(e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

// Project writes a folder of files: names to contents. Scripts and programs are executable; the content "busybox" stands for this machine's.
func Project(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path, mode := filepath.Join(dir, name), os.FileMode(0o644)
		if content == "busybox" {
			content = busybox(t)
		}
		if strings.HasPrefix(content, "#!") || strings.HasPrefix(content, "\x7fELF") {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Shell is the beginning of a Dockerfile whose image has a shell, for contexts with this machine's busybox.
const Shell = "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n"

func busybox(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("this test needs a static busybox (apt-get install busybox-static): %v", err)
	}
	return string(data)
}

// Registry serves an empty registry until the test ends, and returns its host and port.
func Registry(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}
