package helm_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"
	k8syaml "sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/render/helm"
)

var update = flag.Bool("update", false, "write what comes out into the golden files")

// settings is the "release" of an archive.
type settings struct {
	Name, Namespace, Chart string
	ValuesFiles            []string          `yaml:"valuesFiles"`
	Overrides              map[string]any    `yaml:"overrides"`
	Set, Literal           map[string]string // set in the order of their names
	SetFiles               map[string]string `yaml:"setFiles"`
	Flags                  []string
	SkipTests              bool `yaml:"skipTests"`
	Own                    bool // helm itself would do otherwise
}

func (s settings) release(dir string) helm.Release {
	r := helm.Release{Name: s.Name, Namespace: s.Namespace, Chart: filepath.Join(dir, s.Chart), Overrides: s.Overrides, Flags: s.Flags, SkipTests: s.SkipTests}
	if r.Namespace == "" {
		r.Namespace = "default"
	}
	for _, f := range s.ValuesFiles {
		r.ValuesFiles = append(r.ValuesFiles, filepath.Join(dir, f))
	}
	for _, k := range slices.Sorted(maps.Keys(s.Set)) {
		r.Set = append(r.Set, helm.Set{Key: k, Value: s.Set[k]})
	}
	for _, k := range slices.Sorted(maps.Keys(s.Literal)) {
		r.Set = append(r.Set, helm.Set{Key: k, Value: s.Literal[k], Literal: true})
	}
	for _, k := range slices.Sorted(maps.Keys(s.SetFiles)) {
		r.SetFiles = append(r.SetFiles, helm.Set{Key: k, Value: filepath.Join(dir, s.SetFiles[k])})
	}
	return r
}

// TestRender renders every archive of testdata, and compares with its "out".
func TestRender(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal(archives, err)
	}
	for _, archive := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(archive), ".txtar"), func(t *testing.T) {
			a, dir, s := unpack(t, archive)
			got := strings.ReplaceAll(show(render(t.Context(), dir, s.release(dir))), dir, "DIR")
			if *update {
				a.Files = append(slices.DeleteFunc(a.Files, isOut), txtar.File{Name: "out", Data: []byte(got)})
				if err := os.WriteFile(archive, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := string(a.Files[slices.IndexFunc(a.Files, isOut)].Data); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func isOut(f txtar.File) bool { return f.Name == "out" }

// TestBigValues hands a chart values of some megabytes, which come back as they were.
func TestBigValues(t *testing.T) {
	const many = 10000
	var values, want strings.Builder
	values.WriteString("big:\n")
	for i := range many {
		fmt.Fprintf(&values, "  key%05d: {number: %d, text: \"%s\", list: [%d, \"%d\"]}\n", i, i, strings.Repeat("x", 80), i, i)
		fmt.Fprintf(&want, "%d=%d.%d;", i, i, i)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "c/Chart.yaml"), []byte("apiVersion: v2\nname: c\nversion: 1.0.0\n"))
	write(t, filepath.Join(dir, "c/values.yaml"), []byte(values.String()))
	write(t, filepath.Join(dir, "c/templates/all.yaml"), []byte(`apiVersion: v1
kind: ConfigMap
metadata: {name: all}
data:
  all: {{ range $k, $v := .Values.big }}{{ $v.number }}={{ index $v.list 0 }}.{{ index $v.list 1 }};{{ end }}
  big: {{ .Values.big | toYaml | b64enc }}
`))
	made := render(t.Context(), dir, helm.Release{Name: "rel", Namespace: "default", Chart: filepath.Join(dir, "c")})
	if made.err != nil || len(made.objects) != 1 {
		t.Fatal(made.err, len(made.objects))
	}
	object, err := made.objects[0].Value()
	if err != nil {
		t.Fatal(err)
	}
	data := object["data"].(map[string]any)
	if data["all"] != want.String() {
		t.Error("the values came out otherwise")
	}
	var before, after map[string]any
	text, err := base64.StdEncoding.DecodeString(data["big"].(string))
	if err == nil {
		err = errors.Join(k8syaml.Unmarshal([]byte(values.String()), &before), k8syaml.Unmarshal(text, &after)) // yaml.v3 takes quadratic time
	}
	if err != nil || !reflect.DeepEqual(before["big"], any(after)) {
		t.Errorf("toYaml gave other values: %v", err)
	}
}

func unpack(t *testing.T, archive string) (a *txtar.Archive, dir string, s settings) {
	t.Helper()
	a, err := txtar.ParseFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for _, f := range a.Files {
		if f.Name == "release" {
			if err := yaml.Unmarshal(f.Data, &s); err != nil {
				t.Fatal(err)
			}
		}
		if strings.Contains(f.Name, "/") {
			write(t, filepath.Join(dir, f.Name), f.Data)
		}
	}
	return a, dir, s
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

type result struct {
	objects  []manifest.Object
	notes    string
	warnings []string
	err      error
}

func render(ctx context.Context, dir string, r helm.Release) (out result) {
	sink := event.SinkFunc(func(e event.Event) {
		if w, ok := e.(event.Warning); ok {
			out.warnings = append(out.warnings, w.Message)
		}
	})
	rendered, err := helm.Render(ctx, r, helm.Options{Dir: dir}, sink)
	if err != nil {
		out.err = err
		return out
	}
	out.notes = rendered.Notes
	out.objects, out.err = rendered.Template()
	return out
}

// show prints a result: warnings, notes, and each object under a comment with its origin.
func show(r result) string {
	if r.err != nil {
		return "error: " + r.err.Error() + "\n"
	}
	var b bytes.Buffer
	for _, w := range r.warnings {
		fmt.Fprintf(&b, "# warning: %s\n", w)
	}
	if r.notes != "" {
		fmt.Fprintf(&b, "# notes: %s\n", strings.TrimSpace(r.notes))
	}
	for _, o := range r.objects {
		fmt.Fprintf(&b, "# %s\n", o.Origin())
		if err := manifest.Write(&b, []manifest.Object{o}); err != nil {
			return err.Error()
		}
	}
	return b.String()
}

func TestCanceled(t *testing.T) {
	_, dir, s := unpack(t, "testdata/plain.txtar")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := render(ctx, dir, s.release(dir)); !errors.Is(r.err, context.Canceled) {
		t.Errorf("got %v", r.err)
	}
}

func TestOrder(t *testing.T) {
	release := func(name string, needs ...string) helm.Release { return helm.Release{Name: name, DependsOn: needs} }
	for _, c := range []struct {
		releases []helm.Release
		want     string
	}{
		{[]helm.Release{release("a"), release("b")}, "[[0 1]]"},
		{[]helm.Release{release("web", "db", "cache"), release("db"), release("cache", "db"), release("x")}, "[[1 3] [2] [0]]"},
		{[]helm.Release{release("a", "b"), release("b", "c"), release("c", "b")}, "releases depend on each other in a circle: b -> c -> b"},
		{[]helm.Release{release("a", "a")}, "releases depend on each other in a circle: a -> a"},
		{[]helm.Release{release("a", "z")}, "release a depends on z, which is not a release of this config"},
		{[]helm.Release{release("a"), release("a")}, "release a is there twice"},
	} {
		levels, err := helm.Order(c.releases)
		got := fmt.Sprint(levels)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}
