//go:build linux

package custom_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/custom"
	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/engine/enginetest"
	"github.com/davit-dev/davit/internal/event"
)

func TestEnviron(t *testing.T) {
	got := custom.Environ([]string{"HOME=/home/me", "IMAGE=from outside"}, custom.Variables{
		Name: "gcr.io/p/app", Tag: "v1", Push: true, Context: "/src/app", Platforms: []string{"linux/amd64", "linux/arm64"}, SkipTests: true,
		Required: map[string]string{"BASE": "base:v1@sha256:1"}, Docker: []string{"DOCKER_HOST=tcp://1.2.3.4:2376"},
		Cluster: &custom.Cluster{KubeContext: "there", Namespace: "ns", PullSecret: "secret", Timeout: "20m", DockerConfigSecret: "login"},
	})
	cmd := exec.Command("sh", "-c", "env")
	cmd.Env = got
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	have := strings.Split(string(out), "\n")
	for _, want := range []string{
		"HOME=/home/me", "IMAGE=gcr.io/p/app:v1", "IMAGE_REPO=gcr.io/p/app", "IMAGE_TAG=v1", "PUSH_IMAGE=true", "BUILD_CONTEXT=/src/app",
		"PLATFORMS=linux/amd64,linux/arm64", "SKIP_TEST=true", "BASE=base:v1@sha256:1", "DOCKER_HOST=tcp://1.2.3.4:2376", "KUBE_CONTEXT=there",
		"NAMESPACE=ns", "PULL_SECRET_NAME=secret", "TIMEOUT=20m", "DOCKER_CONFIG_SECRET_NAME=login",
	} {
		if !slices.Contains(have, want) {
			t.Errorf("%s is not in %q", want, have)
		}
	}
}

// request is a build by a command; the registry is asked when it is pushed.
func request(t *testing.T, ref string, push bool, command string) build.Request {
	dir := enginetest.Project(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
	repository, tag, _ := strings.Cut(ref, ":v")
	return build.Request{Image: "app", Ref: ref, Push: push, Spec: build.Custom{
		Context: dir, Command: command,
		Environ: custom.Environ(os.Environ(), custom.Variables{Name: repository, Tag: "v" + tag, Push: push, Context: dir}),
	}}
}

func TestPushed(t *testing.T) {
	t.Parallel()
	host := enginetest.Registry(t)
	image, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	there, err := name.ParseReference(host + "/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(there, image); err != nil { // what a command would push
		t.Fatal(err)
	}
	want, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	b := custom.New(custom.Options{})
	var lines []string
	sink := event.SinkFunc(func(e event.Event) {
		if l, ok := e.(event.ArtifactLog); ok {
			lines = append(lines, l.Line)
		}
	})
	result, err := b.Build(t.Context(), request(t, host+"/app:v1", true, `echo "pushing $IMAGE from $(basename "$PWD"): $PUSH_IMAGE" >&2`), sink)
	if err != nil || result.Digest != want.String() {
		t.Errorf("result %v, error %v", result, err)
	}
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "pushing "+host+"/app:v1 from ") || !strings.HasSuffix(lines[0], ": true") {
		t.Errorf("lines %q", lines)
	}

	_, err = b.Build(t.Context(), request(t, host+"/other:v1", true, "true"), sink)
	if err == nil || !strings.Contains(err.Error(), "the build command succeeded but pushed no image "+host+"/other:v1: as $PUSH_IMAGE is true, it must push the image that $IMAGE names") {
		t.Errorf("error %v", err)
	}
	_, err = b.Build(t.Context(), request(t, "127.0.0.1:1/app:v1", true, "true"), sink)
	var refused *build.RegistryError
	if !errors.As(err, &refused) || !strings.HasPrefix(refused.Cause, "it cannot be reached") {
		t.Errorf("error %v", err)
	}
	_, err = b.Build(t.Context(), request(t, host+"/app:v1", true, "echo why; exit 3"), sink)
	var failed *build.StepError
	if !errors.As(err, &failed) || failed.ExitCode != 3 || len(failed.Log) != 1 || failed.Log[0] != "why" || !strings.Contains(err.Error(), `the build command "echo why; exit 3" in `) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = b.Build(ctx, request(t, host+"/app:v1", true, "echo started; sleep 1000"), event.SinkFunc(func(event.Event) { cancel() }))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestNotPushed(t *testing.T) {
	t.Parallel()
	docker := enginetest.Start(t)
	b := custom.New(custom.Options{Docker: docker})
	ctx := t.Context()
	r := request(t, "app:v1", false, `DOCKER_BUILDKIT=0 DOCKER_HOST=`+docker.Host+` docker build -t "$IMAGE" "$BUILD_CONTEXT"`)
	result, err := b.Build(ctx, r, event.SinkFunc(func(event.Event) {}))
	if err != nil {
		t.Fatal(err)
	}
	id, err := engine.ImageID(ctx, enginetest.Open(t, docker), "app:v1")
	if err != nil || id == "" || result.ImageID != id || result.Digest != id {
		t.Errorf("the Engine has %q (%v), the build says %v", id, err, result)
	}
	_, err = b.Build(ctx, request(t, "other:v1", false, "true"), event.SinkFunc(func(event.Event) {}))
	if err == nil || !strings.Contains(err.Error(), "the build command succeeded but made no image other:v1 in the Docker Engine at "+docker.Host) {
		t.Errorf("error %v", err)
	}
	gone := engine.Endpoint{Host: "unix://" + filepath.Join(t.TempDir(), "gone.sock")}
	_, err = custom.New(custom.Options{Docker: gone}).Build(ctx, r, event.SinkFunc(func(event.Event) {}))
	if err == nil || !strings.Contains(err.Error(), "it is looked for in the Docker Engine at "+gone.Host) {
		t.Errorf("error %v", err)
	}
}
