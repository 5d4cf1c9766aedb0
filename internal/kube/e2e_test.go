//go:build e2e

// These tests need a cluster whose nodes pull from the registry that it advertises (KEP-1755), such as kubebox. The
// environment variable DAVIT_TEST_KUBECONFIG names its kubeconfig.
package kube_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

// cluster is one client of the cluster, in a namespace of its own, that counts what it sends.
type cluster struct {
	*kube.Client
	t          *testing.T
	ctx        context.Context
	set        kube.Set
	namespace  string
	cache      string
	kubeconfig string
	others     dynamic.Interface // to do what other programs do

	mu       sync.Mutex
	requests []string // "PATCH /apis/apps/v1/..."
	events   []event.Event
}

func kubeconfig(t *testing.T) string {
	t.Helper()
	file := os.Getenv("DAVIT_TEST_KUBECONFIG")
	if file == "" {
		t.Fatal("DAVIT_TEST_KUBECONFIG must name the kubeconfig of a cluster to test in (kubebox kubeconfig)")
	}
	return file
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	t.Parallel()
	c := &cluster{t: t, ctx: context.WithoutCancel(t.Context()), namespace: "davit-" + strings.ToLower(rand.Text()[:10]), cache: t.TempDir(), kubeconfig: kubeconfig(t)}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig(t))
	if err != nil {
		t.Fatal(err)
	}
	if c.others, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	c.set = kube.Set{Name: "davit-test", Namespace: c.namespace}
	c.reconnect()
	c.create(object(t, `{apiVersion: v1, kind: Namespace, metadata: {name: `+c.namespace+`}}`).Unstructured, "test")
	t.Cleanup(func() {
		now := int64(0)
		_ = c.others.Resource(namespaces).Delete(c.ctx, c.namespace, metav1.DeleteOptions{GracePeriodSeconds: &now})
	})
	return c
}

// reconnect is what the next run of davit would be: a new process with the same cache.
func (c *cluster) reconnect() {
	c.t.Helper()
	c.wrap(func(next http.RoundTripper) http.RoundTripper { return counter{c, next} })
}

// wrap is reconnect with something on the way.
func (c *cluster) wrap(wrap func(http.RoundTripper) http.RoundTripper) {
	c.t.Helper()
	client, err := kube.Connect(kube.Options{Kubeconfig: []string{c.kubeconfig}, Namespace: c.namespace, CacheDir: c.cache, UserAgent: "davit/test", Wrap: wrap})
	if err != nil {
		c.t.Fatal(err)
	}
	c.Client = client
	c.requests, c.events = nil, nil
}

type counter struct {
	*cluster
	next http.RoundTripper
}

func (c counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.requests = append(c.requests, r.Method+" "+r.URL.Path+"?"+r.URL.RawQuery)
	c.mu.Unlock()
	return c.next.RoundTrip(r)
}

func (c *cluster) Emit(e event.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
}

// writes are the requests so far that change something.
func (c *cluster) writes() []string {
	return slices.DeleteFunc(slices.Clone(c.requests), func(r string) bool {
		return strings.HasPrefix(r, http.MethodGet) || strings.Contains(r, "/apis/authorization.k8s.io/") // asking what one may do is no writing
	})
}

func (c *cluster) watches() []string {
	return slices.DeleteFunc(slices.Clone(c.requests), func(r string) bool { return !strings.Contains(r, "watch=true") })
}

func (c *cluster) warnings() string {
	var all []string
	for _, e := range c.events {
		if w, ok := e.(event.Warning); ok {
			all = append(all, w.Message)
		}
	}
	return strings.Join(all, "\n")
}

// apply applies and returns "verb resource" of each object.
func (c *cluster) apply(o kube.ApplyOptions, manifests ...string) ([]string, *kube.ApplyResult, error) {
	c.t.Helper()
	r, err := c.Apply(c.ctx, c.set, objects(c.t, manifests...), o, c)
	var verbs []string
	for _, a := range r.Objects {
		verbs = append(verbs, a.Verb+" "+a.Resource)
	}
	return verbs, r, err
}

func (c *cluster) mustApply(manifests ...string) *kube.ApplyResult {
	c.t.Helper()
	_, r, err := c.apply(kube.ApplyOptions{}, manifests...)
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

func (c *cluster) expectVerbs(o kube.ApplyOptions, want []string, manifests ...string) *kube.ApplyResult {
	c.t.Helper()
	got, r, err := c.apply(o, manifests...)
	if err != nil {
		c.t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		c.t.Fatalf("got  %q\nwant %q", got, want)
	}
	return r
}

var (
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	pods       = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
)

func (c *cluster) create(u *unstructured.Unstructured, manager string) {
	c.t.Helper()
	gvr := u.GroupVersionKind().GroupVersion().WithResource(plural(u.GetKind()))
	var err error
	if u.GetKind() == "Namespace" {
		_, err = c.others.Resource(gvr).Create(c.ctx, u, metav1.CreateOptions{FieldManager: manager})
	} else {
		_, err = c.others.Resource(gvr).Namespace(c.namespace).Create(c.ctx, u, metav1.CreateOptions{FieldManager: manager})
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) get(gvr schema.GroupVersionResource, name string) *unstructured.Unstructured {
	c.t.Helper()
	u, err := c.others.Resource(gvr).Namespace(c.namespace).Get(c.ctx, name, metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return u
}

func (c *cluster) update(u *unstructured.Unstructured) {
	c.t.Helper()
	gvr := u.GroupVersionKind().GroupVersion().WithResource(plural(u.GetKind()))
	if _, err := c.others.Resource(gvr).Namespace(c.namespace).Update(c.ctx, u, metav1.UpdateOptions{}); err != nil {
		c.t.Error(err)
	}
}

func object(t *testing.T, manifest string) kube.Object {
	t.Helper()
	all := objects(t, manifest)
	if len(all) != 1 {
		t.Fatalf("%d objects in %s", len(all), manifest)
	}
	return all[0]
}

// objects reads YAML streams.
func objects(t *testing.T, manifests ...string) []kube.Object {
	t.Helper()
	var all []kube.Object
	for _, m := range manifests {
		dec := yaml.NewDecoder(strings.NewReader(m))
		for {
			var fields map[string]any
			err := dec.Decode(&fields)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v in\n%s", err, m)
			}
			o, err := kube.NewObject(fields, fmt.Sprintf("test.yaml:%d", len(all)+1))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, o)
		}
	}
	return all
}

// built is an image in the cluster's registry.
type built struct{ ref, digest string }

func (b built) proof(image string) []kube.Built {
	return []kube.Built{{Image: image, Digests: []string{b.digest}}}
}

// image pushes an image of a static busybox that runs a shell script. Each call makes another digest.
func (c *cluster) image(script string) built {
	c.t.Helper()
	registry, err := c.LocalRegistry(c.ctx)
	if err != nil || registry == "" {
		c.t.Fatalf("the cluster advertises no registry: %v", err)
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		c.t.Fatalf("a static busybox is needed (apt-get install busybox-static): %v", err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	header := &tar.Header{Name: "bin/busybox", Mode: 0o755, Size: int64(len(busybox))}
	if err := w.WriteHeader(header); err != nil {
		c.t.Fatal(err)
	}
	if _, err := w.Write(busybox); err != nil {
		c.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		c.t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	if err != nil {
		c.t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		c.t.Fatal(err)
	}
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: mustConfig(c.t, img).RootFS, Config: v1.Config{
		Entrypoint: []string{"/bin/busybox", "sh", "-c", script}, Env: []string{"DAVIT_TEST=" + rand.Text()},
	}})
	if err != nil {
		c.t.Fatal(err)
	}
	tag, err := name.NewTag(registry+"/davit-test:"+strings.ToLower(rand.Text()[:8]), name.Insecure)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := remote.Write(tag, img); err != nil {
		c.t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		c.t.Fatal(err)
	}
	return built{ref: tag.String() + "@" + digest.String(), digest: digest.String()}
}

func mustConfig(t *testing.T, img v1.Image) *v1.ConfigFile {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// forever is a script that runs until it is told to end.
const forever = `trap 'exit 0' TERM; echo started; while :; do /bin/busybox sleep 0.1; done`

func deployment(name, image string) string {
	return workload("Deployment", name, image, "")
}

// workload is a manifest of a kind of apps/v1; more goes into its spec.
func workload(kind, name, image, more string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: %s
metadata: {name: %s, labels: {app: %[2]s}}
spec:
  selector: {matchLabels: {app: %[2]s}}
  %[4]s
  template:
    metadata: {labels: {app: %[2]s}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "%[3]s"}]
`, kind, name, image, more)
}

// eventually waits for what the cluster does by itself.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

// plural is the name of the resource of a kind, as far as these tests need it.
func plural(kind string) string {
	name := strings.ToLower(kind)
	switch {
	case strings.HasSuffix(name, "cy"):
		return strings.TrimSuffix(name, "y") + "ies"
	case strings.HasSuffix(name, "ss"):
		return name + "es"
	}
	return name + "s"
}

func namespaced(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: resource}
}
