package manifest

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const two = `# the shop
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    spec:
      initContainers:
      - {name: init, image: tool:v1}
      containers:
      - name: web
        image: gcr.io/p/web:latest # managed
      - name: pinned
        image: gcr.io/p/web@sha256:0000000000000000000000000000000000000000000000000000000000000000
---
# nothing here
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: a}
  data: {image: gcr.io/p/web, on: yes, day: 2020-01-01, mode: "yes", n: 0644}
`

func parse(t *testing.T, text string) []Object {
	t.Helper()
	objects, err := Parse("k8s/all.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func TestReplaceImagesKeepsTheRest(t *testing.T) {
	objects := parse(t, two)
	results := ReplaceImages(objects, map[string]string{"gcr.io/p/web": "reg/web:1@sha256:aa", "tool": "reg/tool:2", "other": "reg/other:3"})
	want := []Replacement{
		{Image: "gcr.io/p/web", Used: 1, Similar: []string{"gcr.io/p/web@sha256:0000000000000000000000000000000000000000000000000000000000000000 in k8s/all.yaml:15"}},
		{Image: "other"}, {Image: "tool", Used: 1},
	}
	if !reflect.DeepEqual(results, want) {
		t.Errorf("got %+v, want %+v", results, want)
	}
	var out bytes.Buffer
	if err := Write(&out, objects[:1]); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"# the shop", "image: reg/web:1@sha256:aa # managed", "image: 'reg/tool:2'", "image: gcr.io/p/web@sha256:0000"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("%q is not in\n%s", line, out.String())
		}
	}
}

func TestBareArtifactName(t *testing.T) {
	one := parse(t, "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{image: 'gcr.io/p/app:latest'}]}}")
	got := ReplaceImages(one, map[string]string{"app": "reg/app:1"})
	if want := []Replacement{{Image: "app", Used: 1, Assumed: "gcr.io/p/app"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}

	unclear := parse(t, "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{image: 'x/app:1'}, {image: 'y/app:2'}]}}")
	got = ReplaceImages(unclear, map[string]string{"app": "reg/app:1"})
	want := []Replacement{{Image: "app", Similar: []string{"x/app:1 in k8s/all.yaml:1", "y/app:2 in k8s/all.yaml:1"}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}

	// The image that looks alike is another artifact's own.
	both := parse(t, "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{image: 'x/app:1'}]}}")
	got = ReplaceImages(both, map[string]string{"app": "reg/app:1", "x/app": "reg/xapp:1"})
	want = []Replacement{{Image: "app"}, {Image: "x/app", Used: 1}}
	if !reflect.DeepEqual(got, want) || Get(both[0].Node, "spec", "containers").Content[0].Content[1].Value != "reg/xapp:1" {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestArtifactElsewhere has an artifact's name where davit knows of no image, and where the same word means something else.
func TestArtifactElsewhere(t *testing.T) {
	objects := parse(t, `apiVersion: example.com/v1
kind: Widget
metadata: {name: web, labels: {app: web}}
spec:
  name: web
  engine: {baseImage: web}
  other: web:v1
  pinned: web@sha256:0000000000000000000000000000000000000000000000000000000000000000
`)
	got := ReplaceImages(objects, map[string]string{"web": "reg/web:1"})
	want := []Replacement{{Image: "web", Elsewhere: []string{
		"k8s/all.yaml:6 (.spec.engine.baseImage of Widget.example.com web)", "k8s/all.yaml:7 (.spec.other of Widget.example.com web)",
	}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestValueReadsAsKubernetesDoes(t *testing.T) {
	v, err := parse(t, two)[1].Value()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"image": "gcr.io/p/web", "on": true, "day": "2020-01-01", "mode": "yes", "n": int64(420)}
	if !reflect.DeepEqual(v["data"], want) {
		t.Errorf("got %#v, want %#v", v["data"], want)
	}
}

func TestMergeKeys(t *testing.T) {
	v, err := parse(t, `
apiVersion: v1
kind: Pod
metadata: {name: a, labels: &l {x: "1", y: "2"}}
spec: {nodeSelector: {<<: *l, y: "3"}}
`)[0].Value()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := v["spec"], (map[string]any{"nodeSelector": map[string]any{"x": "1", "y": "3"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
}

func TestParseErrorsPointAtTheLine(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"a: b\n  c: d\n", "k8s/x.yaml:2:1: manifest cannot be read: mapping values are not allowed in this context\n  2 |   c: d"},
		{"kind: Pod\n", "k8s/x.yaml:1:1: manifest cannot be read: apiVersion or kind is missing\n  1 | kind: Pod"},
		{"- a\n", "k8s/x.yaml:1:1: manifest cannot be read: a Kubernetes object is a mapping"},
		{"apiVersion: v1\nkind: Pod\nmetadata: {}\n", "Pod has no metadata.name"},
	} {
		_, err := Parse("k8s/x.yaml", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.text, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(two))
	f.Add([]byte("apiVersion: v1\nkind: PodList\nitems: [*a]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		objects, err := Parse("x", data)
		if err != nil {
			return
		}
		ReplaceImages(objects, map[string]string{"a": "b:c"})
		for _, o := range objects {
			_, _ = o.Value()
		}
	})
}

func TestAnchorsThatDoNotEnd(t *testing.T) {
	bomb := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\na0: &a0 {x: y}\n"
	for i := range 30 {
		bomb += fmt.Sprintf("a%d: &a%d [*a%d, *a%d, *a%d]\n", i+1, i+1, i, i, i)
	}
	for name, text := range map[string]string{
		"itself": "apiVersion: v1\nkind: Pod\nmetadata: &m {name: a, labels: *m}\n",
		"bomb":   bomb,
	} {
		if _, err := Parse("k8s/x.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), "aliases") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestItemsOfListsStandAlone has a List whose items share text by an anchor: each becomes a document, in which another's anchor means nothing.
func TestItemsOfListsStandAlone(t *testing.T) {
	objects := parse(t, `apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: &s {containers: [{image: web}]}}
- {apiVersion: v1, kind: Pod, metadata: {name: b}, spec: *s}
`)
	ReplaceImages(objects, map[string]string{"web": "registry/web:v1"})
	var out bytes.Buffer
	if err := Write(&out, objects); err != nil {
		t.Fatal(err)
	}
	want := `---
{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{image: 'registry/web:v1'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b}, spec: {containers: [{image: 'registry/web:v1'}]}}
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// TestLabelsAreOfTheObjectsMetadata holds that nothing below metadata gets labels of its own.
func TestLabelsAreOfTheObjectsMetadata(t *testing.T) {
	objects := parse(t, "{apiVersion: v1, kind: Pod, metadata: {name: a, own: {metadata: {}}}, spec: {template: {metadata: {}}}}")
	Known().SetLabels(objects, map[string]string{"team": "x"})
	if Get(objects[0].Node, "metadata", "own", "metadata", "labels") != nil || Get(objects[0].Node, "spec", "template", "metadata", "labels") == nil {
		t.Error("labels are elsewhere")
	}
}
