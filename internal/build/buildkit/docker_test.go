//go:build linux

package buildkit_test

import (
	"context"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	docker "github.com/moby/moby/client"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/buildkit"
	"github.com/davit-dev/davit/internal/engine/enginetest"
)

// startEngine runs a Docker Engine of the test's own and returns its address.
func startEngine(t *testing.T) string { return enginetest.Start(t).Host }

func TestDockerEngine(t *testing.T) {
	t.Parallel()
	host := startEngine(t)
	env := map[string]string{"DOCKER_HOST": host, "DOCKER_CONFIG": t.TempDir()}
	facts, err := buildkit.Look(t.Context(), buildkit.Machine{Getenv: func(k string) string { return env[k] }, GOOS: "linux", Carried: shared.carried})
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
		_, err := stranger.Build(t.Context(), r, &lines{})
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
		_, err := b.Build(t.Context(), request(t, withShell(t, "FROM shell\nRUN echo why; exit 3\n", nil), hostNetwork), &lines{})
		if err == nil || !strings.Contains(err.Error(), "  why\n") || !strings.Contains(err.Error(), ">>>   5 | RUN echo why; exit 3") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("missing file", func(t *testing.T) {
		_, err := b.Build(t.Context(), request(t, project(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY none /\n"})), &lines{})
		if err == nil || !strings.Contains(err.Error(), `"none" is not in the build context`) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("syntax", func(t *testing.T) {
		mustBuild(t, b, request(t, project(t, map[string]string{"Dockerfile": "# syntax=docker/dockerfile:1\nFROM scratch\nCOPY Dockerfile /\n"})))
	})
	t.Run("cancel", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
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
	image, err := engine.ImageInspect(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if image.ID != result.ImageID || result.Digest != result.ImageID {
		t.Errorf("the Engine has %s, the build says %v", image.ID, result)
	}
}
