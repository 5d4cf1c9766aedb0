//go:build e2e

// These tests need a cluster whose nodes pull from the registry that it advertises, such as kubebox. The environment variable
// DAVIT_TEST_KUBECONFIG names its kubeconfig.
package helm_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/davit-dev/davit/internal/deploy/helm"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/manifest"
	render "github.com/davit-dev/davit/internal/render/helm"
)

// place is a namespace of its own, with a client that counts what it sends, and a folder of charts.
type place struct {
	*kube.Client
	t         *testing.T
	dir       string
	namespace string

	mu     sync.Mutex
	writes []string // "PATCH /api/v1/..."
	events []event.Event
}

func newPlace(t *testing.T) *place {
	t.Helper()
	t.Parallel()
	file := os.Getenv("DAVIT_TEST_KUBECONFIG")
	if file == "" {
		t.Fatal("DAVIT_TEST_KUBECONFIG must name the kubeconfig of a cluster to test in (kubebox kubeconfig)")
	}
	p := &place{t: t, dir: t.TempDir(), namespace: "davit-helm-" + strings.ToLower(rand.Text()[:10])}
	var err error
	p.Client, err = kube.Connect(kube.Options{Kubeconfig: []string{file}, Namespace: p.namespace, CacheDir: t.TempDir(), UserAgent: "davit/test",
		Wrap: func(next http.RoundTripper) http.RoundTripper { return counter{p, next} }})
	if err != nil {
		t.Fatal(err)
	}
	p.create(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": p.namespace}})
	t.Cleanup(func() { p.remove(kind("", "Namespace"), "", p.namespace) })
	return p
}

type counter struct {
	*place
	next http.RoundTripper
}

func (c counter) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		c.mu.Lock()
		c.writes = append(c.writes, r.Method+" "+r.URL.Path)
		c.mu.Unlock()
	}
	return c.next.RoundTrip(r)
}

func (p *place) Emit(e event.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, e)
}

// said are the events so far as text, and forgets them.
func (p *place) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, e := range p.events {
		switch e := e.(type) {
		case event.ObjectApplied:
			fmt.Fprintf(&b, "%s %s\n", e.Resource, e.Verb)
		case event.Note:
			b.WriteString(e.Message + "\n")
		case event.Warning:
			b.WriteString("warning: " + e.Message + "\n")
		case event.Info:
			b.WriteString("info: " + e.Message + "\n")
		}
	}
	p.events, p.writes = nil, nil
	return b.String()
}

func kind(group, name string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: group, Version: "v1", Kind: name}
}

func (p *place) create(fields map[string]any) {
	p.t.Helper()
	o, err := kube.NewObject(fields, "")
	if err == nil {
		err = p.Create(p.t.Context(), o, "test")
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) remove(gvk schema.GroupVersionKind, namespace, object string) {
	p.t.Helper()
	o, err := kube.NewObject(map[string]any{"apiVersion": gvk.GroupVersion().String(), "kind": gvk.Kind,
		"metadata": map[string]any{"name": object, "namespace": namespace}}, "")
	if err == nil {
		err = p.Remove(context.WithoutCancel(p.t.Context()), o)
	}
	if err != nil {
		p.t.Error(err)
	}
}

// has says whether an object of the namespace is there.
func (p *place) has(gvk schema.GroupVersionKind, object string) bool {
	p.t.Helper()
	u, err := p.Get(p.t.Context(), gvk, p.namespace, object)
	if err != nil {
		p.t.Fatal(err)
	}
	return u != nil
}

// data is a value of a ConfigMap.
func (p *place) data(object, key string) string {
	p.t.Helper()
	u, err := p.Get(p.t.Context(), kind("", "ConfigMap"), p.namespace, object)
	if err != nil {
		p.t.Fatal(err)
	}
	if u == nil {
		return "no such ConfigMap"
	}
	data, _ := u.Object["data"].(map[string]any)
	text, _ := data[key].(string)
	return text
}

// chart writes the files of an archive, to which Chart.yaml is added, and gives a release of it.
func (p *place) chart(name, files string) helm.Release {
	p.t.Helper()
	dir := filepath.Join(p.dir, name)
	archive := txtar.Parse([]byte(files))
	archive.Files = append(archive.Files, txtar.File{Name: "Chart.yaml", Data: []byte("apiVersion: v2\nname: " + name + "\nversion: 0.1.0\n")})
	for _, f := range archive.Files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			p.t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
	return helm.Release{Release: render.Release{Name: name, Namespace: p.namespace, Chart: dir}}
}

func (p *place) deployer(o helm.Options) *helm.Deployer {
	p.t.Helper()
	o.Now, o.Settle, o.Render.Dir = time.Now, 1200*time.Millisecond, p.dir
	o.Render.LookPath = func(name string) (string, error) { return "", fmt.Errorf("%s is not there", name) }
	d, err := helm.New(p.Client, o, p)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

func untouched(context.Context, []manifest.Object) error { return nil }

// deploy gives what was said.
func (p *place) deploy(releases ...helm.Release) (string, error) {
	p.t.Helper()
	return p.deployWith(helm.Options{}, releases...)
}

func (p *place) deployWith(o helm.Options, releases ...helm.Release) (string, error) {
	p.t.Helper()
	w, err := p.deployer(o).Prepare(p.t.Context(), releases, untouched)
	if err != nil {
		return "", err
	}
	_, err = w.Deploy(p.t.Context())
	return p.said(), err
}

func (p *place) mustDeploy(releases ...helm.Release) string {
	p.t.Helper()
	said, err := p.deploy(releases...)
	if err != nil {
		p.t.Fatalf("%v\n%s", err, said)
	}
	return said
}

// history is "1 superseded, 2 deployed".
func (p *place) history(release string) string {
	p.t.Helper()
	all, err := p.deployer(helm.Options{}).History(p.t.Context(), p.namespace, release)
	if err != nil {
		p.t.Fatal(err)
	}
	var parts []string
	for _, r := range all {
		parts = append(parts, fmt.Sprintf("%d %s", r.Revision, r.Status))
	}
	return strings.Join(parts, ", ")
}

func (p *place) expectHistory(release, want string) {
	p.t.Helper()
	if got := p.history(release); got != want {
		p.t.Errorf("the history of %s is %q, want %q", release, got, want)
	}
}

func expect(t *testing.T, said string, texts ...string) {
	t.Helper()
	rest := said
	for _, text := range texts {
		_, after, found := strings.Cut(rest, text)
		if !found {
			t.Fatalf("%q is not (or not in this order) in\n%s", text, said)
		}
		rest = after
	}
}

func expectError(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", texts)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Fatalf("%q is not in the error:\n%v", text, err)
		}
	}
}

// image pushes an image of a static busybox, and gives its reference.
func (p *place) image() string {
	p.t.Helper()
	registry, err := p.LocalRegistry(p.t.Context())
	if err != nil || registry == "" {
		p.t.Fatalf("the cluster advertises no registry: %v", err)
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		p.t.Fatalf("a static busybox is needed (apt-get install busybox-static): %v", err)
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	err = w.WriteHeader(&tar.Header{Name: "bin/busybox", Mode: 0o755, Size: int64(len(busybox))})
	if err == nil {
		_, err = w.Write(busybox)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files.Bytes())), nil })
	if err != nil {
		p.t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err == nil {
		img, err = mutate.Config(img, v1.Config{Entrypoint: []string{"/bin/busybox", "sh", "-c"}})
	}
	if err != nil {
		p.t.Fatal(err)
	}
	tag, err := name.NewTag(registry+"/davit-helm-test:"+strings.ToLower(rand.Text()[:8]), name.Insecure)
	if err == nil {
		err = remote.Write(tag, img)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return tag.String()
}
