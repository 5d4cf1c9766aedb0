//go:build linux

package dockercli_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/dockercli"
	"github.com/davit-dev/davit/internal/engine/enginetest"
	"github.com/davit-dev/davit/internal/event"
)

func TestArgs(t *testing.T) {
	got := dockercli.Args(build.Request{Ref: "app:v1", Platforms: []string{"linux/arm64"}}, build.Docker{
		Context: "/src", Dockerfile: "/src/Dockerfile", Target: "prod", BuildArgs: map[string]string{"B": "2", "A": "1"}, Network: "Host",
		AddHosts: []string{"h:1.2.3.4"}, CacheFrom: []string{"old"}, CacheTo: []string{"type=inline"}, NoCache: true, Pull: true, Squash: true, SSH: "default",
		Secrets: []build.Secret{{ID: "f", Source: "/s"}, {ID: "e", Env: "E"}}, Labels: map[string]string{"l": "v"},
		Contexts: map[string]string{"other": "/other"}, CLIFlags: []string{"--isolation", "process"},
	})
	want := strings.Fields(`build /src --file /src/Dockerfile -t app:v1 --build-arg A=1 --build-arg B=2 --add-host h:1.2.3.4 --cache-from old
		--cache-to type=inline --label l=v --build-context other=/other --isolation process --target prod --network host --no-cache --squash --pull
		--secret id=f,src=/s --secret id=e,env=E --ssh default --platform linux/arm64`)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// told collects what a build prints.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (h *told) Emit(e event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l, ok := e.(event.ArtifactLog); ok {
		h.lines = append(h.lines, l.Line)
	}
}

func (h *told) String() string { return strings.Join(h.lines, "\n") }

func TestDockerCommand(t *testing.T) {
	t.Parallel()
	docker := enginetest.Start(t)
	host := enginetest.Registry(t)
	options := dockercli.Options{
		Docker: docker, DockerConfig: t.TempDir(), Environ: append(os.Environ(), "DOCKER_HOST="+docker.Host, "DOCKER_CONFIG="+t.TempDir()),
		// Debian's, which has BuildKit in itself; others need buildx beside them.
		LookPath: func(name string) (string, error) { return exec.LookPath("/usr/bin/" + name) }, Why: "build.local.useDockerCLI is true",
	}
	run := func(t *testing.T, o dockercli.Options, dockerfile, ref string, push bool) (build.Result, *told, error) {
		dir := enginetest.Project(t, map[string]string{"Dockerfile": dockerfile, "busybox": "busybox"})
		out := &told{}
		result, err := dockercli.New(o).Build(t.Context(), build.Request{Image: "app", Ref: ref, Push: push, Spec: build.Docker{
			Context: dir, Dockerfile: filepath.Join(dir, "Dockerfile"), Network: "host", CLIFlags: []string{"--label=by=davit"},
		}}, out)
		return result, out, err
	}

	t.Run("not pushed", func(t *testing.T) {
		classic := options
		classic.UseBuildkit = new(false)
		result, out, err := run(t, classic, enginetest.Shell, "app:v1", false)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "Step 3/4 : RUN") {
			t.Errorf("not the Engine's own builder:\n%s", out)
		}
		image, err := enginetest.Open(t, docker).ImageInspect(t.Context(), "app:v1")
		if err != nil || image.ID != result.ImageID || result.Digest != result.ImageID || image.Config.Labels["by"] != "davit" {
			t.Errorf("the Engine has %v (%v), the build says %v", image.InspectResponse, err, result)
		}
	})
	t.Run("BuildKit, pushed", func(t *testing.T) {
		bk := options
		bk.UseBuildkit = new(true)
		result, out, err := run(t, bk, "FROM scratch\nCOPY Dockerfile /\n", host+"/app:v1", true)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if strings.Contains(out.String(), "Step 1/") || !strings.Contains(out.String(), "#1 ") {
			t.Errorf("not BuildKit:\n%s", out)
		}
		ref, err := name.ParseReference(host + "/app:v1")
		if err != nil {
			t.Fatal(err)
		}
		if found, err := remote.Head(ref); err != nil || found.Digest.String() != result.Digest {
			t.Errorf("the registry has %v (%v), the build says %v", found, err, result)
		}
	})
	t.Run("failed step", func(t *testing.T) {
		_, _, err := run(t, options, enginetest.Shell+"RUN echo why; exit 3\n", "app:v2", false)
		var step *build.StepError
		if !errors.As(err, &step) || step.ExitCode == 0 || !strings.Contains(err.Error(), "docker build failed with exit code") || !strings.Contains(err.Error(), "why") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("no docker command", func(t *testing.T) {
		without := options
		without.LookPath = func(string) (string, error) { return "", exec.ErrNotFound }
		_, _, err := run(t, without, "FROM scratch\n", "app:v1", false)
		want := "building app: the docker command is to build, because build.local.useDockerCLI is true, and it is not there: executable file not found in $PATH; install it, or change that in skaffold.yaml"
		if err == nil || err.Error() != want {
			t.Errorf("error %v\nwant %s", err, want)
		}
	})
	t.Run("an image that is elsewhere", func(t *testing.T) {
		// As when buildx leaves it in a container of its own.
		other := options
		other.LookPath = func(string) (string, error) { return exec.LookPath("true") }
		_, _, err := run(t, other, "FROM scratch\n", "app:v3", false)
		if err == nil || !strings.Contains(err.Error(), "the Docker Engine at "+docker.Host+" has no image app:v3") {
			t.Errorf("error %v", err)
		}
	})
}
