package manifest

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

const widget = `
apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
spec:
  image: web
  sidecars:
  - {image: web}
  - nested: [{image: web}]
  engine: {picture: web}
  image2: web
`

func selector(t *testing.T, rules ...Rules) *Selector {
	t.Helper()
	s, err := NewSelector(rules...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestImagePaths(t *testing.T) {
	rules := func(paths ...string) Rules {
		return Rules{Allow: []Filter{{GroupKind: "Widget.example.com", Image: paths}}}
	}
	fromAnnotation, err := ParseImagePaths("Other.x=.a; Widget.example.com = .spec.image, .spec.engine.picture")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		rules []Rules
		want  string
	}{
		{nil, ""},
		{[]Rules{rules(".*")}, ".spec.image .spec.sidecars.image .spec.sidecars.nested.image"},
		{[]Rules{rules(".spec.image")}, ".spec.image"},
		{[]Rules{rules(".spec.engine.picture")}, ".spec.engine.picture"},
		{[]Rules{rules(".spec.sidecars.*.image")}, ".spec.sidecars.image .spec.sidecars.nested.image"},
		{[]Rules{rules(".spec.sidecars[0].image")}, ".spec.sidecars.image"},
		{[]Rules{rules(".spec.*.picture")}, ".spec.engine.picture"},
		{[]Rules{rules(".*"), {Deny: []Filter{{GroupKind: "Widget.example.com", Image: []string{".spec.image"}}}}}, ""}, // a later rule takes its place
		{[]Rules{fromAnnotation}, ".spec.image .spec.engine.picture"},
	} {
		var got []string
		for _, u := range selector(t, c.rules...).Images(parse(t, widget)) {
			got = append(got, u.Path)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: got %v, want %s", c.rules, got, c.want)
		}
	}

	own := strings.Replace(widget, "{name: w}", "{name: w, annotations: {davit.dev/image-paths: '.spec.image2,.spec.image'}}", 1)
	results := ReplaceImages(parse(t, own), map[string]string{"web": "reg/web:1"})
	if results[0].Used != 2 {
		t.Errorf("got %+v, want 2 places", results)
	}
}

func TestDeny(t *testing.T) {
	pod := "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{image: web}], initContainers: [{image: web}]}}"
	deployment := "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {template: {spec: {containers: [{image: web}]}}}}"
	objects := parse(t, pod+"\n---\n"+deployment)
	rules, err := ParseRules("rules.yaml", []byte("deny:\n- {groupKind: Deployment.apps, image: ['.*']}\nallow:\n- {groupKind: Pod, image: ['.spec.containers.*.image']}\n"))
	if err != nil {
		t.Fatal(err)
	}
	uses := selector(t, rules).Images(objects)
	if len(uses) != 1 || uses[0].Object.Kind() != "Pod" || uses[0].Path != ".spec.containers.image" {
		t.Errorf("got %+v", uses)
	}
}

func TestRulesThatAreWrong(t *testing.T) {
	if _, err := NewSelector(Rules{Allow: []Filter{{GroupKind: "A", Image: []string{"spec.image"}}, {Image: []string{".x"}}}}); err == nil ||
		err.Error() != "resourceSelector for A: path \"spec.image\" must start with a dot\nresourceSelector: a rule has no groupKind" {
		t.Errorf("got %v", err)
	}
	if _, err := ParseImagePaths(".spec.image"); err == nil || !strings.Contains(err.Error(), "KIND.GROUP=PATHS") {
		t.Errorf("got %v", err)
	}
	if _, err := ParseRules("rules.yaml", []byte("allow: {")); err == nil || !strings.Contains(err.Error(), "rules.yaml") {
		t.Errorf("got %v", err)
	}
}

func TestSetLabels(t *testing.T) {
	objects := parse(t, `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, labels: {team: data}}
spec:
  selector: {matchLabels: {app: db}}
  template:
    metadata:
      labels: {app: db}
  volumeClaimTemplates:
  - metadata: {name: disk}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: night}
spec:
  jobTemplate:
    metadata: {}
    spec: {template: {metadata: {labels: }}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec: {template: {metadata: {}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: plain}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
spec: {pods: [{meta: {}}]}
`)
	s := selector(t, Rules{Allow: []Filter{{GroupKind: "Widget.example.com", Labels: []string{".spec.pods.*.meta.tags"}}}})
	conflicts := s.SetLabels(objects, map[string]string{"team": "shop", "on": "yes"})
	if want := []string{`k8s/all.yaml:2: label team is "data" and stays so, not "shop"`}; !reflect.DeepEqual(conflicts, want) {
		t.Errorf("got %q, want %q", conflicts, want)
	}
	var out bytes.Buffer
	if err := Write(&out, objects); err != nil {
		t.Fatal(err)
	}
	want := `---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, labels: {team: data, "on": "yes"}}
spec:
  selector: {matchLabels: {app: db}}
  template:
    metadata:
      labels: {app: db, "on": "yes", team: shop}
  volumeClaimTemplates:
    - metadata: {name: disk}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: night, labels: {"on": "yes", team: shop}}
spec:
  jobTemplate:
    metadata: {labels: {"on": "yes", team: shop}}
    spec: {template: {metadata: {labels: {"on": "yes", team: shop}}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once, labels: {"on": "yes", team: shop}}
spec: {template: {metadata: {}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: plain}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
spec: {pods: [{meta: {tags: {"on": "yes", team: shop}}}]}
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestSetNamespace(t *testing.T) {
	objects := parse(t, "{apiVersion: v1, kind: Pod, metadata: {name: a}}\n---\n{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: own}}\n---\n"+
		"{apiVersion: v1, kind: Pod, metadata: {name: c, namespace: }}\n---\n{apiVersion: v1, kind: Namespace, metadata: {name: d}}\n")
	conflicts := Known().SetNamespace(objects, "shop")
	var got []string
	for _, o := range objects {
		got = append(got, o.Name()+"/"+o.Namespace())
	}
	if want := "a/shop b/own c/shop d/"; strings.Join(got, " ") != want || len(conflicts) != 1 || conflicts[0] != `k8s/all.yaml:3: namespace is "own" and stays so, not "shop"` {
		t.Errorf("got %v, %q", got, conflicts)
	}
}

// TestDigestsSurviveCharts has what charts make of a built image: split in repository and tag, whole, or by the artifact's name.
func TestDigestsSurviveCharts(t *testing.T) {
	const built = "reg:5000/shop/web:v1@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	for given, want := range map[string]string{
		"web": built, "reg:5000/shop/web:v1": built, built: built,
		"web/web:web": built, "web:web": built,
		"other/thing:v1": "other/thing:v1",
	} {
		objects := parse(t, "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{image: '"+given+"'}, {image: 'postgres:1'}]}}")
		results := ReplaceImages(objects, map[string]string{"web": built})
		got := Get(objects[0].Node, "spec", "containers").Content[0].Content[1].Value
		if got != want || (want == built) != (results[0].Used == 1) {
			t.Errorf("%s: got %s, %+v", given, got, results)
		}
	}
}
