//go:build linux

package classic_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/classic"
	"github.com/davit-dev/davit/internal/engine/enginetest"
	"github.com/davit-dev/davit/internal/event"
)

// heard collects what a build tells.
type heard struct {
	mu    sync.Mutex
	lines []string
	warns []string
}

func (h *heard) Emit(e event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch e := e.(type) {
	case event.ArtifactLog:
		h.lines = append(h.lines, e.Line)
	case event.Warning:
		h.warns = append(h.warns, e.Message)
	}
}

func TestClassic(t *testing.T) {
	t.Parallel()
	docker := enginetest.StartMortal(t)
	b := classic.New(classic.Options{Docker: docker.Endpoint, DockerConfig: t.TempDir()})
	host := enginetest.Registry(t)

	// try builds a project and pushes it.
	try := func(t *testing.T, dir string, change func(*build.Request, *build.Docker)) (build.Request, build.Result, *heard, error) {
		spec := build.Docker{Context: dir, Dockerfile: filepath.Join(dir, "Dockerfile"), Network: "host"}
		r := build.Request{Image: "app", Push: true, Ref: host + "/" + strings.ToLower(strings.NewReplacer("/", "-", "_", "-", "'", "").Replace(t.Name())) + ":v1"}
		if change != nil {
			change(&r, &spec)
		}
		r.Spec = spec
		told := &heard{}
		result, err := b.Build(t.Context(), r, told)
		return r, result, told, err
	}
	must := func(t *testing.T, dir string, change func(*build.Request, *build.Docker)) (build.Request, build.Result, *heard) {
		t.Helper()
		r, result, told, err := try(t, dir, change)
		if err != nil {
			t.Fatal(err)
		}
		return r, result, told
	}

	t.Run("push", func(t *testing.T) {
		dir := enginetest.Project(t, map[string]string{
			"busybox": "busybox", "Dockerfile": enginetest.Shell + "FROM scratch AS other\nCOPY none /\n",
			"web/Dockerfile": "ARG NAME=x\n" + strings.Replace(enginetest.Shell, "FROM scratch", "FROM scratch AS made", 1) + "ARG WHO\nRUN echo hello $WHO > /greeting\nFROM made\nCOPY none /\n",
		})
		r, result, told := must(t, dir, func(_ *build.Request, d *build.Docker) {
			d.Dockerfile = filepath.Join(dir, "web", "Dockerfile")
			d.Target, d.BuildArgs, d.Labels = "made", map[string]string{"WHO": "you"}, map[string]string{"by": "davit"}
		})
		files, labels := pulled(t, r.Ref, result.Digest)
		if files["greeting"] != "hello you\n" || labels["by"] != "davit" {
			t.Errorf("files %v, labels %v", files["greeting"], labels)
		}
		if text := strings.Join(told.lines, "\n"); !strings.Contains(text, "RUN echo hello $WHO > /greeting") {
			t.Errorf("told:\n%s", text)
		}
		if _, again, _ := must(t, dir, func(_ *build.Request, d *build.Docker) {
			d.Dockerfile = filepath.Join(dir, "web", "Dockerfile")
			d.Target, d.BuildArgs, d.Labels = "made", map[string]string{"WHO": "you"}, map[string]string{"by": "davit"}
		}); again != result {
			t.Errorf("again %v, first %v", again, result)
		}
	})
	for _, c := range []struct {
		name  string
		files map[string]string
		want  map[string]string
	}{
		{"ignored by the context's file", map[string]string{".dockerignore": "*\n!kept\n"}, map[string]string{"kept": "k"}},
		{"ignored by the Dockerfile's file", map[string]string{"Dockerfile.dockerignore": "out\nDocker*\n", ".dockerignore": "kept\n"}, map[string]string{"kept": "k"}},
		{"nothing ignored", nil, map[string]string{"kept": "k", "out/secret": "s", "Dockerfile": "FROM scratch\nCOPY . /\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{"Dockerfile": "FROM scratch\nCOPY . /\n", "kept": "k", "out/secret": "s"}
			for name, content := range c.files {
				files[name] = content
			}
			r, result, _ := must(t, enginetest.Project(t, files), nil)
			if got, _ := pulled(t, r.Ref, result.Digest); !reflect.DeepEqual(got, c.want) {
				t.Errorf("the image has %v, want %v", got, c.want)
			}
		})
	}
	t.Run("Dockerfile outside of the context", func(t *testing.T) {
		dir := enginetest.Project(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY . /\n", "in/kept": "k", "in/out": "o", "in/.dockerignore": "out\n"})
		r, result, _ := must(t, dir, func(_ *build.Request, d *build.Docker) { d.Context = filepath.Join(dir, "in") })
		if got, _ := pulled(t, r.Ref, result.Digest); !reflect.DeepEqual(got, map[string]string{"kept": "k"}) {
			t.Errorf("the image has %v", got)
		}
	})
	t.Run("not pushed", func(t *testing.T) {
		archive := &archive{}
		r, result, told := must(t, enginetest.Project(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}), func(r *build.Request, d *build.Docker) {
			r.Push, d.Squash = false, true
			r.Archive = func() (io.WriteCloser, error) { return archive, nil }
		})
		image, err := enginetest.Open(t, docker.Endpoint).ImageInspect(t.Context(), r.Ref)
		if err != nil || image.ID != result.ImageID || result.Digest != result.ImageID {
			t.Errorf("the Engine has %s (%v), the build says %v", image.ID, err, result)
		}
		if !archive.closed || !bytes.Contains(archive.Bytes(), []byte("manifest.json")) {
			t.Errorf("the archive has %d bytes, closed: %t", archive.Len(), archive.closed)
		}
		if len(told.warns) != 1 || !strings.Contains(told.warns[0], "has no experimental features") {
			t.Errorf("warnings %q", told.warns)
		}
	})
	t.Run("failures", func(t *testing.T) {
		for _, c := range []struct {
			name, dockerfile string
			change           func(*build.Request, *build.Docker)
			want             []string
		}{
			{"step", enginetest.Shell + "ENV A=b\nRUN echo why; exit 3\n", nil, []string{"Dockerfile:5: RUN echo why; exit 3 failed with exit code 3", "\n  why\n", ">>>   5 | RUN echo why; exit 3"}},
			{"missing file", "FROM scratch\nCOPY none /\n", nil, []string{"Dockerfile:2: ", `"none" is not in the build context `, ">>>   2 | COPY none /"}},
			{"hidden file", "FROM scratch\nCOPY hidden /\n", nil, []string{"Dockerfile:2: ", `"hidden" is in the build context `, "but hidden by "}},
			{"bad line", "FROM scratch\nCOPPY x /\n", nil, []string{"Dockerfile:2: ", "unknown instruction: COPPY", ">>>   2 | COPPY x /"}},
			{"base image", "FROM " + host + "/none:v1\n", nil, []string{"Dockerfile:1: pulling " + host + "/none: it has no repository none"}},
			{"secrets", "FROM scratch\n", func(_ *build.Request, d *build.Docker) { d.Secrets = []build.Secret{{ID: "a"}} }, []string{"docker.secrets needs BuildKit"}},
			{"platforms", "FROM scratch\n", func(r *build.Request, _ *build.Docker) { r.Platforms = []string{"linux/amd64", "linux/arm64"} }, []string{"several platforms needs BuildKit"}},
			{"refused push", "FROM scratch\nCOPY Dockerfile /\n", func(r *build.Request, _ *build.Docker) { r.Ref = "127.0.0.1:1/app:v1" }, []string{"pushing 127.0.0.1:1/app: it cannot be reached"}},
		} {
			t.Run(c.name, func(t *testing.T) {
				dir := enginetest.Project(t, map[string]string{"Dockerfile": c.dockerfile, "busybox": "busybox", "hidden": "", ".dockerignore": "hidden\n"})
				_, _, _, err := try(t, dir, c.change)
				for _, want := range c.want {
					if err == nil || !strings.Contains(err.Error(), want) {
						t.Errorf("error %v\nwant %s", err, want)
					}
				}
			})
		}
	})
	t.Run("cancel", func(t *testing.T) {
		dir := enginetest.Project(t, map[string]string{"busybox": "busybox", "Dockerfile": enginetest.Shell + "RUN echo started; sleep 1000\n"})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		sink := event.SinkFunc(func(e event.Event) {
			if l, ok := e.(event.ArtifactLog); ok && strings.Contains(l.Line, "sleep 1000") {
				cancel()
			}
		})
		_, err := b.Build(ctx, build.Request{Image: "app", Ref: "app:v1", Spec: build.Docker{Context: dir, Dockerfile: filepath.Join(dir, "Dockerfile"), Network: "host"}}, sink)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("registry that does not answer", func(t *testing.T) {
		mute, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer mute.Close()
		dir := enginetest.Project(t, map[string]string{"Dockerfile": "FROM " + mute.Addr().String() + "/base:v1\n"})
		impatient := classic.New(classic.Options{Docker: docker.Endpoint, DockerConfig: t.TempDir(), Patience: time.Second})
		_, err = impatient.Build(t.Context(), request(dir), &heard{})
		if err == nil || !strings.Contains(err.Error(), "Dockerfile:1: pulling "+mute.Addr().String()+"/base: it does not answer") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("killed in mid-step", func(t *testing.T) {
		dir := enginetest.Project(t, map[string]string{"busybox": "busybox", "Dockerfile": enginetest.Shell + "RUN echo started; sleep 1000.375\n"})
		killed := sync.OnceFunc(func() { docker.Kill(t) })
		sink := event.SinkFunc(func(e event.Event) {
			if l, ok := e.(event.ArtifactLog); ok && l.Line == "started" {
				killed()
			}
		})
		_, err := b.Build(t.Context(), request(dir), sink)
		if err == nil || !strings.Contains(err.Error(), "the Docker Engine at "+docker.Host+" went away") || !strings.Contains(err.Error(), "start it again") {
			t.Errorf("error %v", err)
		}
		docker.Start(t)
		must(t, enginetest.Project(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /again\n"}), nil)
	})
	t.Run("no Engine", func(t *testing.T) {
		dir := enginetest.Project(t, map[string]string{"Dockerfile": "FROM scratch\n"})
		gone := docker.Endpoint
		gone.Host += "x"
		_, err := classic.New(classic.Options{Docker: gone}).Build(t.Context(),
			build.Request{Image: "app", Ref: "app:v1", Spec: build.Docker{Context: dir, Dockerfile: filepath.Join(dir, "Dockerfile")}}, &heard{})
		if err == nil || !strings.Contains(err.Error(), "no Docker Engine answers at "+gone.Host) {
			t.Errorf("error %v", err)
		}
	})
}

// request is a build that is not pushed.
func request(dir string) build.Request {
	return build.Request{Image: "app", Ref: "app:v1", Spec: build.Docker{Context: dir, Dockerfile: filepath.Join(dir, "Dockerfile"), Network: "host"}}
}

type archive struct {
	bytes.Buffer
	closed bool
}

func (a *archive) Close() error { a.closed = true; return nil }

// pulled reads an image back: the regular files that are no part of busybox, and the labels.
func pulled(t *testing.T, ref, digest string) (files, labels map[string]string) {
	t.Helper()
	parsed, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(parsed)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := image.Digest(); err != nil || d.String() != digest {
		t.Errorf("the registry has %s (%v), the build says %s", d, err, digest)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	content := mutate.Extract(image)
	defer content.Close()
	files = map[string]string{}
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, config.Config.Labels
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg || strings.HasPrefix(h.Name, "bin/") {
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 {
			t.Errorf("%s belongs to %d:%d", h.Name, h.Uid, h.Gid)
		}
		files[h.Name] = string(data)
	}
}
