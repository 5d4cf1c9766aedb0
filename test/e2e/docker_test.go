//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDockerEngine takes the example through a real Docker Engine: it builds by the Engine's BuildKit and pushes by the Engine.
func TestDockerEngine(t *testing.T) {
	socket := startDocker(t)
	p := newProject(t)
	p.env = []string{"DOCKER_HOST=unix://" + socket}
	p.davit("run").ok().says("with Docker Engine at unix://"+socket, "Successfully built and tagged", "deployment.apps/my-web-app created", "as built")
	digest := p.running()
	p.davit("run").ok().says("Found Remotely", "unchanged", digest).saysNot("Starting build")
	if page := p.page(); !strings.Contains(page, "Hello from my-web-app") {
		t.Errorf("the service answers %q", page)
	}
}

func TestDockerEngineThatIsGone(t *testing.T) {
	p := newProject(t)
	p.env = []string{"DOCKER_HOST=unix:///nowhere/docker.sock"}
	p.davit("run").fails(1).complains("DOCKER_HOST", "unix:///nowhere/docker.sock")
	p.nothingDeployed()
}

// startDocker runs a Docker Engine of the test's own, which leaves the machine's network alone.
func startDocker(t *testing.T) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "davit-docker") // not t.TempDir: a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "docker.sock")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dockerd", "--host", "unix://"+socket, "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"), "--iptables=false", "--ip6tables=false", "--bridge=none")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting dockerd (apt-get install docker.io): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Logf("dockerd: %v", err)
		}
		_ = os.RemoveAll(dir)
	})
	for range 300 {
		if _, err := os.Stat(socket); err == nil {
			ping := exec.Command("docker", "version")
			ping.Env = append(os.Environ(), "DOCKER_HOST=unix://"+socket)
			if ping.Run() == nil {
				return socket
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
	out, _ := os.ReadFile(log.Name())
	t.Fatalf("dockerd does not answer:\n%s", out)
	return ""
}
