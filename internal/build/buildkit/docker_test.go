//go:build linux

package buildkit_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	docker "github.com/moby/moby/client"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/buildkit"
)

// startEngine runs a Docker Engine of the test's own, which touches neither the machine's bridge nor its firewall, and
// returns its address.
func startEngine(t *testing.T) string {
	dockerd, err := exec.LookPath("dockerd")
	if err != nil {
		t.Fatalf("this test needs a Docker Engine (apt-get install docker.io): %v", err)
	}
	dir, err := os.MkdirTemp("", "davit-docker") // a short path, for its sockets
	if err != nil {
		t.Fatal(err)
	}
	host := "unix://" + filepath.Join(dir, "docker.sock")
	var log bytes.Buffer
	cmd := exec.Command(dockerd, "--host", host, "--data-root", dir+"/data", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid",
		"--config-file", dir+"/daemon.json", "--iptables=false", "--ip6tables=false", "--bridge=none", "--ip-forward=false", "--ip-masq=false")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := os.WriteFile(dir+"/daemon.json", []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the Docker Engine ended badly: %v\n%s", err, log.String())
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	engine, err := docker.New(docker.WithHost(host))
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		if _, err := engine.Ping(ctx, docker.PingOptions{}); err == nil {
			return host
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the Docker Engine does not answer:\n%s", log.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func TestDockerEngine(t *testing.T) {
	t.Parallel()
	host := startEngine(t)
	env := map[string]string{"DOCKER_HOST": host, "DOCKER_CONFIG": t.TempDir()}
	facts, err := buildkit.Look(timeout(t), buildkit.Machine{Getenv: func(k string) string { return env[k] }, GOOS: "linux", Carried: shared.carried})
	if err != nil {
		t.Fatal(err)
	}
	where, err := buildkit.Choose(facts)
	if err != nil {
		t.Fatal(err)
	}
	if where.Kind != buildkit.Engine {
		t.Fatalf("builds in %v, want the Engine", where)
	}
	var refused atomic.Int32
	private := serveRegistry(t, basicAuth("ann", "secret", &refused))
	b := buildkit.New(where, buildkit.Options{Getenv: os.Getenv, DockerConfig: dockerConfig(t, private, "secret")})
	hostNetwork := func(_ *build.Request, d *build.Docker) { d.Network = "host" }

	t.Run("push", func(t *testing.T) {
		r := request(t, withShell(t, "FROM shell\nRUN echo hello > /greeting\n", nil), hostNetwork)
		result, _ := mustBuild(t, b, r)
		if _, files := pushed(t, r, result); files["greeting"] != "hello\n" {
			t.Errorf("greeting %q", files["greeting"])
		}
		if again, _ := mustBuild(t, b, r); again != result {
			t.Errorf("again %v, first %v", again, result)
		}
	})
	t.Run("push with credentials", func(t *testing.T) {
		r := request(t, minimal(t), func(r *build.Request, _ *build.Docker) { r.Ref = private + "/team/app:v1" })
		mustBuild(t, b, r)
		stranger := buildkit.New(where, buildkit.Options{Getenv: os.Getenv, DockerConfig: t.TempDir()})
		_, err := stranger.Build(timeout(t), r, &lines{})
		if err == nil || !strings.Contains(err.Error(), "docker login "+private) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("load", func(t *testing.T) {
		r := request(t, minimal(t), func(r *build.Request, _ *build.Docker) { r.Push = false })
		result, _ := mustBuild(t, b, r)
		assertInEngine(t, host, r.Ref, result)
	})
	t.Run("load what another BuildKit built", func(t *testing.T) {
		r := request(t, minimal(t), func(r *build.Request, _ *build.Docker) { r.Push = false })
		elsewhere := buildkit.New(buildkit.Where{Kind: buildkit.Carried, Docker: where.Docker},
			buildkit.Options{Getenv: os.Getenv, DockerConfig: shared.noLogin, Carried: shared.carried})
		result, _ := mustBuild(t, elsewhere, r)
		assertInEngine(t, host, r.Ref, result)
	})
	t.Run("failed step", func(t *testing.T) {
		_, err := b.Build(timeout(t), request(t, withShell(t, "FROM shell\nRUN echo why; exit 3\n", nil), hostNetwork), &lines{})
		if err == nil || !strings.Contains(err.Error(), "  why\n") || !strings.Contains(err.Error(), ">>>   5 | RUN echo why; exit 3") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("missing file", func(t *testing.T) {
		_, err := b.Build(timeout(t), request(t, project(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY none /\n"})), &lines{})
		if err == nil || !strings.Contains(err.Error(), `"none" is not in the build context`) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("syntax", func(t *testing.T) {
		mustBuild(t, b, request(t, project(t, map[string]string{"Dockerfile": "# syntax=docker/dockerfile:1\nFROM scratch\nCOPY Dockerfile /\n"})))
	})
	t.Run("cancel", func(t *testing.T) {
		ctx, cancel := context.WithCancel(timeout(t))
		ended := make(chan error, 1)
		r := request(t, withShell(t, "FROM shell\nRUN sleep 1000.75\n", nil), hostNetwork)
		go func() {
			_, err := b.Build(ctx, r, &lines{})
			ended <- err
		}()
		waitFor(t, func() bool { return stepRuns("1000.75") })
		cancel()
		if err := <-ended; err == nil {
			t.Error("a cancelled build succeeded")
		}
		waitFor(t, func() bool { return !stepRuns("1000.75") })
	})
}

func assertInEngine(t *testing.T, host, ref string, result build.Result) {
	t.Helper()
	engine, err := docker.New(docker.WithHost(host))
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	image, err := engine.ImageInspect(timeout(t), ref)
	if err != nil {
		t.Fatal(err)
	}
	if image.ID != result.ImageID || result.Digest != result.ImageID {
		t.Errorf("the Engine has %s, the build says %v", image.ID, result)
	}
}
