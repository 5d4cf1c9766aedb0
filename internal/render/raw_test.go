package render_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/render"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func configMap(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n"
}

// read gives the names of the objects with their origins, or the error.
func read(t *testing.T, o render.Options) string {
	t.Helper()
	objects, err := render.Manifests(t.Context(), o, event.SinkFunc(func(event.Event) {}))
	if err != nil {
		return "error: " + err.Error()
	}
	var names []string
	for _, object := range objects {
		names = append(names, object.Name()+" "+object.Origin())
	}
	return strings.Join(names, "\n")
}

func TestPlacesOfManifests(t *testing.T) {
	dir, bucket := t.TempDir(), t.TempDir()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gone.yaml" {
			w.WriteHeader(http.StatusGone)
			return
		}
		fmt.Fprint(w, configMap("page"))
	}))
	t.Cleanup(server.Close)
	write(t, filepath.Join(dir, "k8s/b.yaml"), "---\n---\n# nothing\n---\n"+configMap("b1")+"---\n"+configMap("b2"))
	write(t, filepath.Join(dir, "k8s/deep/a.yml"), configMap("a"))
	write(t, filepath.Join(dir, "k8s/c.json"), `{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "c"}}]}`)
	write(t, filepath.Join(dir, "k8s/README.md"), "no manifest")
	write(t, filepath.Join(dir, "plain"), configMap("plain"))
	write(t, filepath.Join(bucket, "x/in.yaml"), configMap("bucket"))
	o := render.Options{
		Dir: dir, Patterns: []string{server.URL + "/a.yaml", "gs://shop/x", "plain", "k8s", "k8s/*.yaml"},
		Bucket: func(_ context.Context, address string) (string, error) { return bucket, nil },
	}
	want := "plain plain:1\nb1 k8s/b.yaml:5\nb2 k8s/b.yaml:9\nc k8s/c.json:1\na k8s/deep/a.yml:1\nbucket gs://shop/x: x/in.yaml:1\npage " + server.URL + "/a.yaml:1"
	if got := read(t, o); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}

	o.Patterns = []string{server.URL + "/gone.yaml"}
	if got := read(t, o); got != "error: reading a manifest: "+server.URL+"/gone.yaml answers 410 Gone: mend the address in skaffold.yaml" {
		t.Error(got)
	}
	if got := read(t, render.Options{Dir: dir, Patterns: []string{"gs://shop/x"}}); got != `error: manifest "gs://shop/x": Cloud Storage cannot be read here` {
		t.Error(got)
	}
	if got := read(t, render.Options{Dir: dir, Patterns: []string{"nothing.yaml"}}); !strings.Contains(got, `manifest "nothing.yaml" does not exist in `+dir) {
		t.Error(got)
	}
}

// TestManyDocuments reads 5,000 objects from one file, and finds each on its line.
func TestManyDocuments(t *testing.T) {
	dir := t.TempDir()
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: n%d}\ndata:\n  text: |\n%s", i, strings.Repeat("    some text\n", 10))
	}
	write(t, filepath.Join(dir, "all.yaml"), b.String())
	objects, err := render.Raw(t.Context(), dir, []string{"all.yaml"}, event.SinkFunc(func(event.Event) {}))
	if err != nil || len(objects) != 5000 {
		t.Fatalf("%d objects, %v", len(objects), err)
	}
	if got := objects[4999].Origin(); got != fmt.Sprintf("all.yaml:%d", 4999*16+2) {
		t.Errorf("the last object is at %s", got)
	}
}
