package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/cache"
	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/hook"
	"github.com/davit-dev/davit/internal/image"
	"github.com/davit-dev/davit/internal/inputs"
	"github.com/davit-dev/davit/internal/plan"
)

// patient is a time-out that no registry runs into which answers, however busy the machine is.
const patient = 10 * time.Minute

// builder stands in for BuildKit: it pushes an image whose content is the request, to a real registry over HTTP.
type builder struct {
	mu    sync.Mutex
	built []build.Request
	fail  map[string]error
}

func (b *builder) Build(_ context.Context, r build.Request, _ event.Sink) (build.Result, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.fail[r.Image]; err != nil {
		return build.Result{}, err
	}
	b.built = append(b.built, r)
	spec := r.Spec.(build.Docker)
	text, err := os.ReadFile(filepath.Join(spec.Context, "file"))
	if err != nil {
		return build.Result{}, err
	}
	annotated := map[string]string{"content": string(text), "args": fmt.Sprint(spec.BuildArgs)}
	img := mutate.Annotations(empty.Image, annotated).(v1.Image)
	ref, err := name.NewTag(r.Ref)
	if err != nil {
		return build.Result{}, err
	}
	if err := remote.Write(ref, img); err != nil {
		return build.Result{}, err
	}
	digest, err := img.Digest()
	return build.Result{Digest: digest.String()}, err
}

func (b *builder) names() []string {
	var names []string
	for _, r := range b.built {
		names = append(names, r.Image)
	}
	return names
}

// world is a folder with sources, a registry, and pipelines over one cache.
type world struct {
	t        *testing.T
	dir      string
	cacheDir string
	registry string
	builder  *builder
	events   []event.Event
	mu       sync.Mutex
}

func newWorld(t *testing.T) *world {
	server := httptest.NewServer(registry.New())
	t.Cleanup(server.Close)
	return &world{t: t, dir: t.TempDir(), cacheDir: t.TempDir(), registry: strings.TrimPrefix(server.URL, "http://"), builder: &builder{fail: map[string]error{}}}
}

func (w *world) Emit(e event.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// pipeline is a new process: nothing but the folders is shared with earlier ones.
func (w *world) pipeline() *Pipeline {
	index := inputs.OpenIndex(filepath.Join(w.cacheDir, "index"), w.dir, time.Now, w)
	return &Pipeline{
		Sink: w, Now: time.Now, Environ: os.Environ(), HookEnv: hook.Env{"WORK_DIR": "/started/here"}, Workers: 2,
		Inputs:  inputs.NewReader(inputs.Options{Index: index}),
		Cache:   cache.New(cache.Options{Folder: filepath.Join(w.cacheDir, "images"), Now: time.Now, Sink: w, Timeout: patient}),
		Builder: func(context.Context, plan.Artifact) (build.Builder, string, error) { return w.builder, "a test", nil },
	}
}

// artifact writes sources and makes a draft of them.
func (w *world) artifact(img, dockerfile string, requires ...string) plan.Draft {
	w.t.Helper()
	dir := filepath.Join(w.dir, img)
	w.write(img+"/Dockerfile", dockerfile)
	w.write(img+"/file", "first")
	d := plan.Draft{
		Image: img, Name: image.Reference{Name: w.registry + "/" + img}, Policy: &model.Sha256{}, Push: true, Context: dir,
		Spec: build.Docker{Context: dir, Dockerfile: filepath.Join(dir, "Dockerfile"), BuildArgs: map[string]string{}},
	}
	for _, r := range requires {
		d.Requires = append(d.Requires, plan.Requirement{Image: r, Alias: strings.ToUpper(r)})
	}
	return d
}

func (w *world) write(path, text string) {
	w.t.Helper()
	path = filepath.Join(w.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// run prepares and builds in a new pipeline, and returns the names that were built.
func (w *world) run(drafts ...plan.Draft) ([]Image, []string, error) {
	w.t.Helper()
	w.builder.built, w.events = nil, nil
	p := w.pipeline()
	artifacts, err := p.Prepare(w.t.Context(), slices.Clone(drafts))
	if err != nil {
		return nil, nil, err
	}
	images, err := p.Build(w.t.Context(), artifacts)
	return images, w.builder.names(), err
}

const copies = "FROM scratch\nCOPY file /file\n"

func TestNothingIsBuiltTwice(t *testing.T) {
	w := newWorld(t)
	base := w.artifact("base", copies)
	web := w.artifact("web", "ARG BASE\nFROM ${BASE}\nCOPY file /file\n", "base")
	lone := w.artifact("lone", copies)

	images, built, err := w.run(web, base, lone)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(built, "web") || slices.Index(built, "base") > slices.Index(built, "web") || len(built) != 3 {
		t.Fatalf("built %v", built)
	}
	if images[0].Name != "web" || images[1].Name != "base" || images[2].Name != "lone" {
		t.Errorf("order %+v", images)
	}
	for _, r := range w.builder.built {
		if r.Image == "web" && r.Spec.(build.Docker).BuildArgs["BASE"] != images[1].Ref {
			t.Errorf("web was built on %q, base is %s", r.Spec.(build.Docker).BuildArgs["BASE"], images[1].Ref)
		}
	}

	again, built, err := w.run(web, base, lone)
	if err != nil || len(built) != 0 || !reflect.DeepEqual(again, images) {
		t.Fatalf("again built %v: %+v, %v", built, again, err)
	}

	// Another machine has no cache of its own, but the registry.
	w.cacheDir = t.TempDir()
	if again, built, err = w.run(web, base, lone); err != nil || len(built) != 0 || !reflect.DeepEqual(again, images) {
		t.Fatalf("elsewhere built %v: %+v, %v", built, again, err)
	}

	w.write("base/file", "second")
	after, built, err := w.run(web, base, lone)
	if err != nil || !slices.Equal(built, []string{"base", "web"}) {
		t.Fatalf("after a change of base built %v, %v", built, err)
	}
	if after[0].Digest == images[0].Digest || after[2].Ref != images[2].Ref {
		t.Errorf("%+v then %+v", images, after)
	}
	if why := w.why("base"); !slices.Equal(why, []string{"file changed"}) {
		t.Errorf("base is built because %q", why)
	}
	if why := w.why("web"); !slices.Equal(why, []string{"it requires base"}) {
		t.Errorf("web is built because %q", why)
	}
}

// TestRequirerIsFoundOnceItsBaseIs: back at an earlier state of the base, what stands on it is not built again though that shows only once the
// base is built.
func TestRequirerIsFoundOnceItsBaseIs(t *testing.T) {
	w := newWorld(t)
	base := w.artifact("base", copies)
	web := w.artifact("web", "ARG BASE\nFROM ${BASE}\nCOPY file /file\n", "base")
	if _, _, err := w.run(base, web); err != nil {
		t.Fatal(err)
	}
	// Another key, and the same image.
	base.Before = []hook.Host{{Command: []string{"true"}, Dir: base.Context}}
	_, built, err := w.run(base, web)
	if err != nil || !slices.Equal(built, []string{"base"}) {
		t.Errorf("built %v, %v", built, err)
	}
}

func TestFailureKeepsWhatWasBuilt(t *testing.T) {
	w := newWorld(t)
	good, bad := w.artifact("good", copies), w.artifact("bad", copies)
	above := w.artifact("above", "ARG BAD\nFROM ${BAD}\n", "bad")
	w.builder.fail["bad"] = errors.New("the compiler says no")
	_, built, err := w.run(good, bad, above)
	if err == nil || err.Error() != "the compiler says no" || !slices.Equal(built, []string{"good"}) {
		t.Fatalf("built %v: %v", built, err)
	}
	delete(w.builder.fail, "bad")
	if _, built, err = w.run(good, bad, above); err != nil || !slices.Equal(built, []string{"bad", "above"}) {
		t.Errorf("mended, built %v, %v", built, err)
	}
}

func TestHookOutputIsNoInput(t *testing.T) {
	w := newWorld(t)
	d := w.artifact("web", copies)
	w.write("web/source", "one")
	d.Before = []hook.Host{{Command: []string{"sh", "-c", "cat source > made; date +%N >> made; echo $SKAFFOLD_IMAGE"}, Dir: d.Context}}
	for i, c := range []struct {
		edit  func()
		built int
	}{
		{func() {}, 1},
		{func() {}, 0},
		{func() { w.write("web/source", "two") }, 1}, // copied nowhere, read by the hook
		{func() {}, 0},
		{func() { _ = os.Remove(filepath.Join(w.dir, "web", "made")) }, 0}, // as in a fresh checkout
		{func() { w.write("web/source", "one") }, 0},                       // built before
	} {
		c.edit()
		if _, built, err := w.run(d); err != nil || len(built) != c.built {
			t.Errorf("step %d: built %v, %v", i, built, err)
		}
	}
}

func TestHooksAroundAllBuildsRunOnceAndOnlyWhenSomethingIsBuilt(t *testing.T) {
	w := newWorld(t)
	one, two := w.artifact("one", copies), w.artifact("two", copies)
	sh := func(text string) []hook.Host {
		return []hook.Host{{Command: []string{"sh", "-c", text + " >> log"}, Dir: w.dir}}
	}
	around := &plan.Around{Before: sh("echo before $SKAFFOLD_WORK_DIR"), After: sh("echo after")}
	one.Around, two.Around = around, around
	for i, want := range []string{"before /started/here\nafter\n", ""} {
		w.write("log", "")
		if _, _, err := w.run(one, two); err != nil {
			t.Fatal(err)
		}
		if log, err := os.ReadFile(filepath.Join(w.dir, "log")); err != nil || string(log) != want {
			t.Errorf("run %d: hooks printed %q, %v", i, log, err)
		}
	}
	around.Before = sh("exit 3")
	if _, built, err := w.run(one, two); err == nil || !strings.Contains(err.Error(), "before all builds") || len(built) > 0 {
		t.Errorf("a failing hook: built %v, %v", built, err)
	}
}

func TestRunModeIsToldToThoseWhoAsk(t *testing.T) {
	w := newWorld(t)
	asks, not := w.artifact("asks", "FROM scratch\nARG SKAFFOLD_RUN_MODE\nCOPY file /file\n"), w.artifact("not", copies)
	asks.Mode, not.Mode = "run", "run"
	if _, _, err := w.run(asks, not); err != nil {
		t.Fatal(err)
	}
	for _, r := range w.builder.built {
		if mode, told := r.Spec.(build.Docker).BuildArgs["SKAFFOLD_RUN_MODE"]; told != (r.Image == "asks") || told && mode != "run" {
			t.Errorf("%s is told %q", r.Image, mode)
		}
	}
	asks.Mode, not.Mode = "build", "build"
	if _, built, err := w.run(asks, not); err != nil || !slices.Equal(built, []string{"asks"}) {
		t.Errorf("another mode builds %v, %v", built, err)
	}
}

func TestBuildArgumentsMaySpeakOfTheTag(t *testing.T) {
	w := newWorld(t)
	d := w.artifact("web", copies)
	d.Tagged = func(ref image.Reference) (build.Docker, error) {
		spec := d.Spec.(build.Docker)
		spec.BuildArgs, spec.CacheFrom = map[string]string{"TAG": ref.Tag}, []string{"web", "other"}
		return spec, nil
	}
	for _, tag := range []string{"v7", "v8"} {
		d.Tag = tag
		if _, _, err := w.run(d); err != nil {
			t.Fatal(err)
		}
		got := w.builder.built[len(w.builder.built)-1].Spec.(build.Docker)
		if got.BuildArgs["TAG"] != tag || got.CacheFrom[0] != w.registry+"/web:"+tag || got.CacheFrom[1] != "other" {
			t.Errorf("%s is built with %v from %v", tag, got.BuildArgs, got.CacheFrom)
		}
	}
	d.Tag, d.KeepCacheFrom = "v9", true
	if _, _, err := w.run(d); err != nil {
		t.Fatal(err)
	}
	if got := w.builder.built[len(w.builder.built)-1].Spec.(build.Docker).CacheFrom; !slices.Equal(got, []string{"web", "other"}) {
		t.Errorf("cacheFrom as written became %v", got)
	}
}

func TestInterruptedBuildSaysSo(t *testing.T) {
	w := newWorld(t)
	d := w.artifact("web", copies)
	d.Before = []hook.Host{{Command: []string{"sleep", "60"}, Dir: d.Context}}
	p := w.pipeline()
	artifacts, err := p.Prepare(t.Context(), []plan.Draft{d})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := p.Build(ctx, artifacts); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func (w *world) why(image string) []string {
	for _, e := range w.events {
		if c, ok := e.(event.CacheChecked); ok && c.Image == image {
			return c.Why
		}
	}
	return nil
}
