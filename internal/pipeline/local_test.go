package pipeline

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/cache"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/plan"
)

// dockerEngine stands in for one: it keeps ids by name, and builds images whose id is the digest of what they are made of.
type dockerEngine struct {
	mu    sync.Mutex
	names map[string]string
	built []build.Request
}

func (e *dockerEngine) ImageID(_ context.Context, ref string) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, id := range e.names {
		if name == ref || id == ref {
			return id, nil
		}
	}
	return "", nil
}

func (e *dockerEngine) Tag(_ context.Context, id, ref string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.names[ref] = id
	return nil
}

func (e *dockerEngine) Pull(context.Context, string) error { return errors.New("there is no registry") }

func (e *dockerEngine) Build(_ context.Context, r build.Request, _ event.Sink) (build.Result, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	spec := r.Spec.(build.Docker)
	text, err := os.ReadFile(filepath.Join(spec.Context, "file"))
	if err != nil {
		return build.Result{}, err
	}
	base := spec.BuildArgs["BASE"]
	if _, there := e.names[base]; base != "" && !there {
		return build.Result{}, errors.New("there is no image " + base)
	}
	id := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(string(text)+base)))
	e.names[r.Ref], e.built = id, append(e.built, r)
	return build.Result{Digest: id, ImageID: id}, nil
}

// TestBaseInTheDockerEngine: what stands on an image that only the Docker Engine has is built on exactly that image, and again when it changes, although
// the base's tag stays the same.
func TestBaseInTheDockerEngine(t *testing.T) {
	w := newWorld(t)
	base := w.artifact("base", copies)
	web := w.artifact("web", "ARG BASE\nFROM ${BASE}\nCOPY file /file\n", "base")
	base.Push, web.Push = false, false
	engine := &dockerEngine{names: map[string]string{}}
	for _, step := range []struct {
		name   string
		change func()
		want   []string
	}{
		{"the first time", func() {}, []string{"base", "web"}},
		{"again", func() {}, nil},
		{"the base changed", func() { w.write("base/file", "second") }, []string{"base", "web"}},
		{"the other changed", func() { w.write("web/file", "second") }, []string{"web"}},
		{"again", func() {}, nil},
	} {
		step.change()
		engine.built = nil
		p := w.pipeline()
		p.Cache = cache.New(cache.Options{Folder: filepath.Join(w.cacheDir, "images"), Now: time.Now, Sink: w, Engine: engine, Timeout: patient})
		p.Builder = func(context.Context, plan.Artifact) (build.Builder, string, error) { return engine, "a test", nil }
		artifacts, err := p.Prepare(t.Context(), []plan.Draft{base, web})
		if err != nil {
			t.Fatal(err)
		}
		images, err := p.Build(t.Context(), artifacts)
		if err != nil {
			t.Fatal(err)
		}
		var built []string
		for _, r := range engine.built {
			built = append(built, r.Image)
		}
		if !slices.Equal(built, step.want) {
			t.Errorf("%s: built %v, want %v", step.name, built, step.want)
		}
		for _, r := range engine.built {
			if r.Image != "web" {
				continue
			}
			if got := r.Spec.(build.Docker).BuildArgs["BASE"]; got != images[0].Ref || engine.names[got] != images[0].Digest {
				t.Errorf("%s: web was built on %s, and the base is %+v", step.name, got, images[0])
			}
		}
		if want := w.registry + "/base:" + strings.TrimPrefix(images[0].Digest, "sha256:"); images[0].Ref != want {
			t.Errorf("%s: the base is %s, want %s", step.name, images[0].Ref, want)
		}
	}
}
