package manifest

import (
	"strings"
	"testing"
)

func platforms(image string) []string {
	return map[string][]string{
		"web":  {"linux/amd64", "linux/arm64"},
		"arm":  {"linux/arm64/v8"},
		"old":  {"linux/arm/v6", "linux/arm/v7"},
		"init": {"linux/amd64"},
	}[image]
}

// written applies edit to a manifest twice, and gives what comes out; the second time must change nothing.
func written(t *testing.T, text string, edit func([]Object)) string {
	t.Helper()
	objects, err := Parse("m.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var first, second strings.Builder
	edit(objects)
	if err := Write(&first, objects); err != nil {
		t.Fatal(err)
	}
	edit(objects)
	if err := Write(&second, objects); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("the second time changes something:\n%s", second.String())
	}
	return strings.TrimPrefix(first.String(), "---\n")
}

func affinity(objects []Object) { Known().SetNodeAffinity(objects, platforms) }

func TestPodsRunWhereTheirImagesDo(t *testing.T) {
	got := written(t, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      # a comment
      containers:
      - image: web
      - image: unknown
`, affinity)
	want := `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      # a comment
      containers:
        - image: web
        - image: unknown
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms:
              - matchExpressions:
                  - key: kubernetes.io/os
                    operator: In
                    values:
                      - linux
                  - key: kubernetes.io/arch
                    operator: In
                    values:
                      - amd64
              - matchExpressions:
                  - key: kubernetes.io/os
                    operator: In
                    values:
                      - linux
                  - key: kubernetes.io/arch
                    operator: In
                    values:
                      - arm64
`
	if got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestDemandsOnNodesStay(t *testing.T) {
	got := written(t, `
apiVersion: batch/v1
kind: CronJob
metadata: {name: web}
spec:
  jobTemplate:
    spec:
      template:
        spec:
          initContainers: [{image: init}]
          containers: [{image: web}]
          affinity:
            podAffinity: {}
            nodeAffinity:
              requiredDuringSchedulingIgnoredDuringExecution:
                nodeSelectorTerms: [{matchExpressions: [{key: disk, operator: Exists}]}, {matchFields: [{key: a, operator: Exists}]}]
`, affinity)
	for _, want := range []string{
		"podAffinity: {}",
		"{matchExpressions: [{key: disk, operator: Exists}, {key: kubernetes.io/os, operator: In, values: [linux]}, {key: kubernetes.io/arch, operator: In, values: [amd64]}]}",
		"{matchFields: [{key: a, operator: Exists}], matchExpressions: [{key: kubernetes.io/os,",
	} {
		if !strings.Contains(strings.Join(strings.Fields(got), " "), want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if strings.Contains(got, "arm64") {
		t.Errorf("the init container cannot run on arm64:\n%s", got)
	}
}

func TestWhatIsLeftAlone(t *testing.T) {
	for name, text := range map[string]string{
		"images that are not known":      "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{image: unknown}]}\n",
		"a kind that makes no pods":      "apiVersion: example.com/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {template: {spec: {containers: [{image: web}]}}}\n",
		"Knative, which allows it not":   "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: x}\nspec: {template: {spec: {containers: [{image: web}]}}}\n",
		"a pod that names its machines":  "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{image: web}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/arch, operator: In, values: [amd64]}]}]}}}}\n",
		"what the server will refuse":    "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{image: web}], affinity: wrong}\n",
		"images with nothing in common":  "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{image: init}, {image: arm}]}\n",
		"a specification that is no map": "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: none\n",
	} {
		t.Run(name, func(t *testing.T) {
			if got := written(t, text, affinity); got != text {
				t.Errorf("got\n%s", got)
			}
		})
	}
	objects, err := Parse("m.yaml", []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{image: init}, {image: arm}]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if found := Known().SetNodeAffinity(objects, platforms); len(found) != 1 || found[0].Object.Name() != "x" || strings.Join(found[0].Images, " ") != "init arm" {
		t.Errorf("incompatible: %+v", found)
	}
}

func TestOnePlatformOnceWhateverItsVariants(t *testing.T) {
	got := written(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{image: old}]}\n", affinity)
	if strings.Count(got, "values: [arm]") != 1 {
		t.Errorf("got\n%s", got)
	}
}

// TestSharedNodesStayTheirOwn holds that one object's pod does not get another's affinity through a YAML anchor.
func TestSharedNodesStayTheirOwn(t *testing.T) {
	got := written(t, `apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: a}
  spec:
    affinity: &shared {podAffinity: {}}
    containers: [{image: unknown}]
- apiVersion: v1
  kind: Pod
  metadata: {name: b}
  spec:
    affinity: *shared
    containers: [{image: arm}]
- apiVersion: v1
  kind: Pod
  metadata: {name: c}
  spec:
    <<: {affinity: {podAntiAffinity: {}}}
    containers: [{image: arm}]
`, affinity)
	a, rest, _ := strings.Cut(got, "---\n")
	b, c, _ := strings.Cut(rest, "---\n")
	if strings.Contains(a, "arm64") || !strings.Contains(b, "podAffinity") || !strings.Contains(b, "arm64") || !strings.Contains(c, "affinity: {podAntiAffinity: {}, nodeAffinity:") {
		t.Errorf("got\n%s", got)
	}
}

func TestArmNodesOfGKE(t *testing.T) {
	tolerate := func(objects []Object) { Known().TolerateArm(objects, platforms) }
	got := written(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{image: arm}]}\n", tolerate)
	if !strings.Contains(got, "tolerations: [{key: kubernetes.io/arch, operator: Equal, value: arm64, effect: NoSchedule}]") {
		t.Errorf("got\n%s", got)
	}
	amd := "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{image: init}]}\n"
	if got := written(t, amd, tolerate); got != amd {
		t.Errorf("got\n%s", got)
	}
}

func TestPlacesOfPods(t *testing.T) {
	widget := "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: x}\nspec: {pod: {containers: [{image: web}]}}\n"
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{image: web}]}\n"
	for _, c := range []struct {
		name, text string
		rules      Rules
		want       bool
	}{
		{"a custom resource", widget, Rules{}, false},
		{"one whose rule says where", widget, Rules{Allow: []Filter{{GroupKind: "Widget.example.com", PodSpec: []string{".spec.pod"}}}}, true},
		{"one whose rule says somewhere else", widget, Rules{Allow: []Filter{{GroupKind: "Widget.example.com", PodSpec: []string{".spec.other"}}}}, false},
		{"a pod", pod, Rules{}, true},
		{"a pod that is left alone", pod, Rules{Deny: []Filter{{GroupKind: "Pod", PodSpec: []string{".*"}}}}, false},
		{"a pod whose rule speaks of images only", pod, Rules{Allow: []Filter{{GroupKind: "Pod", Image: []string{".*"}}}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := written(t, c.text, func(objects []Object) { selector(t, c.rules).SetNodeAffinity(objects, platforms) })
			if strings.Contains(got, "nodeAffinity") != c.want {
				t.Errorf("got\n%s", got)
			}
		})
	}
}
