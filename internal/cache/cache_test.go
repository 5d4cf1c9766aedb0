package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/inputs"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// patient is a time-out that no registry runs into which answers, however busy the machine is.
const patient = 10 * time.Minute

// world is a registry over real HTTP and the warnings that a cache gave.
type world struct {
	t        *testing.T
	host     string
	mu       sync.Mutex
	requests []string
	warnings []string
}

func newWorld(t *testing.T) *world {
	w := &world{t: t}
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.requests = append(w.requests, r.Method+" "+r.URL.Path)
		w.mu.Unlock()
		handler.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	w.host = strings.TrimPrefix(server.URL, "http://")
	return w
}

func (w *world) Emit(e event.Event) {
	if m, ok := e.(event.Warning); ok {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.warnings = append(w.warnings, m.Message)
	}
}

func (w *world) cache(folder string) *Cache {
	return New(Options{Folder: folder, Now: time.Now, Sink: w, Timeout: patient})
}

// push puts a new image under ref and returns its digest.
func (w *world) push(ref string) string {
	w.t.Helper()
	image, err := random.Image(64, 1)
	if err == nil {
		err = remote.Write(w.tag(ref), image)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		w.t.Fatal(err)
	}
	return digest.String()
}

func (w *world) tag(ref string) name.Tag {
	w.t.Helper()
	tag, err := name.NewTag(ref)
	if err != nil {
		w.t.Fatal(err)
	}
	return tag
}

func manifest(arg string) inputs.Manifest {
	var m inputs.Manifest
	m.SetHidden("build argument X", arg)
	return m
}

// find asks for images side by side.
func find(t *testing.T, c *Cache, queries ...Query) []Hit {
	t.Helper()
	var refs []string
	for _, q := range queries {
		if q.Push {
			refs = append(refs, q.Ref)
		}
	}
	lookups := c.Lookups(t.Context(), refs)
	defer lookups.Close()
	hits := make([]Hit, len(queries))
	var group sync.WaitGroup
	for i, q := range queries {
		group.Go(func() {
			var err error
			if hits[i], err = lookups.Find(t.Context(), q); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	return hits
}

func (w *world) lookup(c *Cache, q Query) Hit {
	w.t.Helper()
	return find(w.t, c, q)[0]
}

func TestBuildOnceForEveryone(t *testing.T) {
	w := newWorld(t)
	here, m := w.cache(t.TempDir()), manifest("1")
	q := Query{Image: "web", Key: m.Key(), Manifest: m, Ref: w.host + "/web:v1", Push: true}
	if hit := w.lookup(here, q); hit.Found || fmt.Sprint(hit.Why) != "[no entry yet]" {
		t.Fatalf("an empty cache said %+v", hit)
	}
	digest := w.push(q.Ref)
	here.Record(t.Context(), []Built{{Image: "web", Key: q.Key, Manifest: m, Ref: q.Ref, Digest: digest, Pushed: true}})

	w.requests = nil
	if hit := w.lookup(here, q); !hit.Found || hit.Digest != digest || hit.NeedsTag || hit.Where != InRegistry {
		t.Errorf("after the build: %+v", hit)
	}
	if len(w.requests) != 2 || !strings.HasPrefix(w.requests[1], "HEAD /v2/web/manifests/v1") {
		t.Errorf("one handshake and one HEAD were expected, not %q", w.requests)
	}

	retagged := q
	retagged.Ref = w.host + "/web:v2"
	elsewhere := w.cache(t.TempDir())
	for _, c := range []*Cache{here, elsewhere} {
		if hit := w.lookup(c, retagged); !hit.Found || hit.Digest != digest || !hit.NeedsTag {
			t.Errorf("under another tag: %+v", hit)
		}
	}
	if err := elsewhere.Retag(t.Context(), []Tag{{Digest: digest, Ref: retagged.Ref}}); err != nil {
		t.Fatal(err)
	}
	if hit := w.lookup(elsewhere, retagged); !hit.Found || hit.NeedsTag {
		t.Errorf("after the tag: %+v", hit)
	}

	changed := q
	changed.Manifest = manifest("2")
	changed.Key = changed.Manifest.Key()
	if hit := w.lookup(here, changed); hit.Found || fmt.Sprint(hit.Why) != "[build argument X changed]" {
		t.Errorf("after a change: %+v", hit)
	}
	if len(w.warnings) > 0 {
		t.Errorf("unexpected warnings: %q", w.warnings)
	}
}

func TestImagesOfSeveralPlatforms(t *testing.T) {
	w := newWorld(t)
	m := manifest("1")
	q := Query{Image: "web", Key: m.Key(), Manifest: m, Ref: w.host + "/a/b/web:v1", Push: true}
	index, err := random.Index(64, 1, 2)
	if err == nil {
		err = remote.WriteIndex(w.tag(q.Ref), index)
	}
	if err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	w.cache(t.TempDir()).Record(t.Context(), []Built{{Image: "web", Key: q.Key, Manifest: m, Ref: q.Ref, Digest: digest.String(), Pushed: true}})
	if hit := w.lookup(w.cache(t.TempDir()), q); !hit.Found || hit.Digest != digest.String() {
		t.Errorf("got %+v, warnings %q", hit, w.warnings)
	}
}

func TestNowhereToKeepAnything(t *testing.T) {
	w := newWorld(t)
	c, m := w.cache(""), manifest("1")
	c.Remember(Built{Image: "web", Key: m.Key(), Manifest: m, Ref: "web:v1", ImageID: "sha256:id"})
	if hit := w.lookup(c, Query{Image: "web", Key: m.Key(), Manifest: m, Ref: w.host + "/web:v1", Push: true}); hit.Found || len(w.warnings) > 0 {
		t.Errorf("got %+v, warnings %q", hit, w.warnings)
	}
	if p, err := c.Prune(t.Context(), PruneOptions{}); err != nil || p.Entries != 0 {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestImageThatIsGoneIsBuiltAgain(t *testing.T) {
	w := newWorld(t)
	c, m := w.cache(t.TempDir()), manifest("1")
	q := Query{Image: "web", Key: m.Key(), Manifest: m, Ref: w.host + "/web:v1", Push: true}
	digest := w.push(q.Ref)
	c.Record(t.Context(), []Built{{Image: "web", Key: q.Key, Manifest: m, Ref: q.Ref, Digest: digest, Pushed: true}})
	for _, ref := range []string{q.Ref, keyRef(q.Ref, q.Key), w.host + "/web@" + digest} {
		parsed, err := name.ParseReference(ref)
		if err == nil {
			err = remote.Delete(parsed)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if hit := w.lookup(c, q); hit.Found || fmt.Sprint(hit.Why) != "[the image is gone from the registry]" {
		t.Errorf("got %+v", hit)
	}
	// Another image under the tag is not ours.
	w.push(q.Ref)
	if hit := w.lookup(c, q); hit.Found {
		t.Errorf("an image that somebody else pushed was taken for ours: %+v", hit)
	}
}

func TestRegistryThatDoesNotAnswer(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed := "127.0.0.1:1"
	broken := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			rw.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer broken.Close()
	for host, says := range map[string]string{silent.Addr().String(): "deadline exceeded", closed: "connection refused", broken.Listener.Addr().String(): "500"} {
		w := newWorld(t)
		timeout := patient
		if says == "deadline exceeded" {
			timeout = 300 * time.Millisecond
		}
		c := New(Options{Folder: t.TempDir(), Now: time.Now, Sink: w, Timeout: timeout})
		var queries []Query
		for i := range 50 {
			m := manifest(fmt.Sprint(i))
			queries = append(queries, Query{Image: fmt.Sprint(i), Key: m.Key(), Manifest: m, Ref: fmt.Sprintf("%s/web%d:v1", host, i), Push: true})
		}
		c.Remember(Built{Image: "0", Key: queries[0].Key, Ref: queries[0].Ref, Digest: "sha256:" + strings.Repeat("a", 64), Pushed: true})
		hits := find(t, c, queries...)
		if !hits[0].Found || hits[1].Found {
			t.Errorf("%s: what is on disk must count, and nothing else: %+v %+v", host, hits[0], hits[1])
		}
		if len(w.warnings) != 1 || !strings.Contains(w.warnings[0], says) {
			t.Errorf("%s: one warning with %q was expected, not %q", host, says, w.warnings)
		}
		// What is asked for by itself is an error, as soon.
		_, errs := c.Resolve(t.Context(), []string{host + "/web0:v1", host + "/web1:v1"})
		if err := errs[0]; err == nil || !strings.Contains(err.Error(), host+"/web0:v1") || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: resolving gives %v", host, err)
		}
		for what, ask := range map[string]func(context.Context, string) ([]string, error){"digests": c.Digests, "platforms": c.Platforms} {
			if _, err := ask(t.Context(), host+"/web0:v1"); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: asking for %s gives %v", host, what, err)
			}
		}
		c.Record(t.Context(), []Built{{Image: "0", Key: queries[0].Key, Ref: queries[0].Ref, Digest: "sha256:" + strings.Repeat("a", 64), Pushed: true}})
		if len(w.warnings) != 2 || !strings.Contains(w.warnings[1], "other machines will build") {
			t.Errorf("%s: a warning was expected, not %q", host, w.warnings)
		}
	}
}

func TestResolve(t *testing.T) {
	w := newWorld(t)
	c := w.cache("")
	one, two := w.host+"/web:v1", w.host+"/a/b:v2"
	want := []string{w.push(one), w.push(two)}
	if got, errs := c.Resolve(t.Context(), []string{one, two}); errors.Join(errs...) != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, errs)
	}
	got, errs := c.Resolve(t.Context(), []string{one, w.host + "/web:v9", "127.0.0.1:1/gone:v1", "127.0.0.1:1/gone:v2"})
	if got[0] != want[0] || errs[0] != nil {
		t.Errorf("beside those that are not found: got %q, %v", got[0], errs[0])
	}
	for i, says := range []string{"there is no image " + w.host + "/web:v9", "127.0.0.1:1/gone:v1", "127.0.0.1:1/gone:v2"} {
		if err := errs[i+1]; err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want it to name %s", err, says)
		}
	}
}

type engine map[string]string

func (e engine) ImageID(_ context.Context, ref string) (string, error) { return e[ref], nil }

func (e engine) Tag(_ context.Context, id, ref string) error {
	e[ref] = id
	return nil
}

// Pull finds what is in "the registry" of this Engine.
func (e engine) Pull(_ context.Context, ref string) error {
	id, there := e["in the registry: "+ref]
	if !there {
		return errors.New("no such image")
	}
	e[ref] = id
	return nil
}

func TestImagesInTheEngine(t *testing.T) {
	w := newWorld(t)
	docker := engine{}
	c := New(Options{Folder: t.TempDir(), Now: time.Now, Sink: w, Engine: docker, Timeout: patient})
	m := manifest("1")
	q := Query{Image: "web", Key: m.Key(), Manifest: m, Ref: "web:v1"}
	c.Record(t.Context(), []Built{{Image: "web", Key: q.Key, Manifest: m, Ref: q.Ref, ImageID: "sha256:id"}})
	if hit := w.lookup(c, q); hit.Found || fmt.Sprint(hit.Why) != "[the image is gone from the docker engine]" {
		t.Errorf("without the image: %+v", hit)
	}
	docker["sha256:id"] = "sha256:id"
	if hit := w.lookup(c, q); !hit.Found || !hit.NeedsTag || hit.ImageID != "sha256:id" {
		t.Errorf("under no tag: %+v", hit)
	}
	if err := c.Retag(t.Context(), []Tag{{ImageID: "sha256:id", Ref: q.Ref}}); err != nil {
		t.Fatal(err)
	}
	if hit := w.lookup(c, q); !hit.Found || hit.NeedsTag {
		t.Errorf("under its tag: %+v", hit)
	}
}

// TestImport takes over images that somebody else made, when it is asked to and knows no better.
func TestImport(t *testing.T) {
	w := newWorld(t)
	pushed := func(version string) Query {
		m := manifest(version)
		return Query{Image: "web", Key: m.Key(), Manifest: m, Ref: w.host + "/web:v1", Push: true, Import: true}
	}
	local := func(version string) Query {
		m := manifest(version)
		return Query{Image: "web", Key: m.Key(), Manifest: m, Ref: "web:v1", Import: true}
	}
	docker := engine{}
	c := New(Options{Folder: t.TempDir(), Now: time.Now, Sink: w, Engine: docker, Timeout: patient})
	for _, q := range []Query{pushed("1"), local("2")} {
		if hit := w.lookup(c, q); hit.Found {
			t.Errorf("nowhere, but found: %+v", hit)
		}
	}
	digest := w.push(pushed("1").Ref)
	if hit := w.lookup(c, pushed("1")); !hit.Found || hit.Where != InRegistry || hit.Digest != digest {
		t.Errorf("in the registry: %+v", hit)
	}
	docker["in the registry: web:v1"] = "sha256:pulled"
	if hit := w.lookup(c, local("2")); !hit.Found || hit.Where != InEngine || hit.ImageID != "sha256:pulled" {
		t.Errorf("pulled: %+v", hit)
	}
	docker["web:v1"] = "sha256:here"
	if hit := w.lookup(c, local("3")); !hit.Found || hit.ImageID != "sha256:here" {
		t.Errorf("in the engine: %+v", hit)
	}
	for _, q := range []Query{pushed("4"), local("4")} {
		q.Import = false
		if hit := w.lookup(c, q); hit.Found {
			t.Errorf("not asked for, but found: %+v", hit)
		}
	}
	again := local("3")
	again.Import = false
	if hit := w.lookup(c, again); !hit.Found {
		t.Error("what was taken over once is not known any more")
	}
}

func TestDamagedFilesAreSetAside(t *testing.T) {
	w := newWorld(t)
	folder := t.TempDir()
	c, m := w.cache(folder), manifest("1")
	b := Built{Image: "web", Key: m.Key(), Manifest: m, Ref: "web:v1", ImageID: "sha256:id"}
	c.Remember(b)
	file := c.disk.entryFile(b.Key)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(whole) {
		for _, damaged := range [][]byte{whole[:i], append(append([]byte(nil), whole[:i]...), append([]byte{whole[i] ^ 1}, whole[i+1:]...)...)} {
			if err := os.WriteFile(file, damaged, 0o644); err != nil {
				t.Fatal(err)
			}
			if e, ok := c.disk.entry(b.Key); ok {
				t.Fatalf("a file damaged at byte %d was believed: %+v", i, e)
			}
		}
	}
	if len(w.warnings) == 0 || !strings.Contains(w.warnings[0], "it is damaged (set aside as") {
		t.Errorf("warnings: %q", w.warnings)
	}
	c.Remember(b)
	if e, ok := c.disk.entry(b.Key); !ok || e.ImageID != "sha256:id" {
		t.Errorf("after another build: %+v", e)
	}
}

func TestListAndPrune(t *testing.T) {
	w := newWorld(t)
	folder := t.TempDir()
	now := time.Now()
	c := New(Options{Folder: folder, Now: func() time.Time { return now }, Sink: w})
	if list, err := c.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("an empty cache has %v, %v", list, err)
	}
	for _, image := range []string{"old", "new"} {
		m := manifest(image)
		c.Remember(Built{Image: image, Key: m.Key(), Manifest: m, Ref: image + ":v1", ImageID: "sha256:id"})
		now = now.Add(time.Second)
	}
	list, err := c.List(t.Context())
	if err != nil || len(list) != 2 || list[0].Image != "new" {
		t.Errorf("got %v, %v", list, err)
	}
	files(t, folder, "keys/aa/x"+inputs.TempPattern+"1", now.Add(-2*time.Hour))
	files(t, folder, "keys/aa/y"+inputs.TempPattern+"2", now)
	files(t, folder, "keys/aa/z"+damagedSuffix, now)
	ancient := c.disk.entryFile(manifest("old").Key())
	inUse := c.disk.entryFile(manifest("new").Key())
	for _, file := range []string{ancient, inUse} {
		if err := os.Chtimes(file, now, now.Add(-90*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	// What was found is in use.
	if hit := w.lookup(New(Options{Folder: folder, Now: func() time.Time { return now }, Sink: w, Engine: engine{"new:v1": "sha256:id"}}),
		Query{Image: "new", Key: manifest("new").Key(), Ref: "new:v1"}); !hit.Found {
		t.Errorf("got %+v", hit)
	}
	month := PruneOptions{OlderThan: 30 * 24 * time.Hour}
	if p, err := c.Prune(t.Context(), PruneOptions{OlderThan: month.OlderThan, DryRun: true}); err != nil || p.Entries != 3 {
		t.Errorf("only looking: %+v, %v", p, err)
	}
	if p, err := c.Prune(t.Context(), month); err != nil || p.Entries != 3 || p.Bytes == 0 {
		t.Errorf("got %+v, %v", p, err)
	}
	if list, _ := c.List(t.Context()); len(list) != 1 || list[0].Image != "new" {
		t.Errorf("left: %v", list)
	}
	if lasts, err := c.Lasts(t.Context()); err != nil || len(lasts) != 2 || lasts[0].Image != "new" {
		t.Errorf("artifacts: %v, %v", lasts, err)
	}
}

func files(t *testing.T, folder, file string, at time.Time) {
	t.Helper()
	file = filepath.Join(folder, file)
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, []byte("x"), 0o644)
	}
	if err == nil {
		err = os.Chtimes(file, at, at)
	}
	if err != nil {
		t.Fatal(err)
	}
}
