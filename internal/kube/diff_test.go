package kube

import (
	"encoding/json"
	"testing"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const liveDeployment = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: default
  uid: 1
  labels: {app: web}
  annotations: {deployment.kubernetes.io/revision: "1"}
spec:
  replicas: 2
  revisionHistoryLimit: 10
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 30
      containers:
      - name: web
        image: web@sha256:1
        imagePullPolicy: IfNotPresent
        args: [--a, --b]
        env: [{name: A, value: "1"}, {name: B, value: "2"}]
        resources: {limits: {cpu: "1", memory: 64Mi}}
        ports: [{containerPort: 80, protocol: TCP}, {containerPort: 81, protocol: TCP, name: metrics}]
      - name: injected
        image: mesh
      volumes: [{name: tmp, emptyDir: {}}]
status: {replicas: 2}
`

const ownedOfDeployment = `{"f:metadata":{"f:labels":{"f:app":{}}},"f:spec":{"f:replicas":{},"f:selector":{},"f:template":{"f:metadata":{"f:labels":{"f:app":{}}},
 "f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:name":{},"f:image":{},"f:args":{},
 "f:env":{"k:{\"name\":\"A\"}":{".":{},"f:name":{},"f:value":{}},"k:{\"name\":\"B\"}":{".":{},"f:name":{},"f:value":{}}},
 "f:resources":{"f:limits":{"f:cpu":{},"f:memory":{}}},
 "f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}},"k:{\"containerPort\":81,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:name":{}}}}},
 "f:volumes":{"k:{\"name\":\"tmp\"}":{".":{},"f:name":{},"f:emptyDir":{}}}}}}}`

// wantedDeployment is what ownedOfDeployment came from; some tests change a part of it.
const wantedDeployment = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: web@sha256:1
        args: [--a, --b]
        env: [{name: A, value: "1"}, {name: B, value: "2"}]
        resources: {limits: {cpu: 1000m, memory: 64Mi}}
        ports: [{containerPort: 80}, {containerPort: 81, name: metrics}]
      volumes: [{name: tmp, emptyDir: {}}]
`

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	var fields map[string]any
	if err := yaml.Unmarshal([]byte(text), &fields); err != nil {
		t.Fatal(err)
	}
	o, err := NewObject(fields, "test.yaml:1")
	if err != nil {
		t.Fatal(err)
	}
	return o.Unstructured
}

// owning makes FieldManager the owner of the fields in live.
func owning(live *unstructured.Unstructured, fields string) *unstructured.Unstructured {
	live.SetManagedFields([]metav1.ManagedFieldsEntry{
		{Manager: "kube-controller-manager", Operation: "Update", APIVersion: live.GetAPIVersion(), FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{}`), Subresource: "status"},
		{Manager: FieldManager, Operation: "Apply", APIVersion: live.GetAPIVersion(), FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields)},
	})
	return live
}

func TestUnchanged(t *testing.T) {
	set := func(value any, path ...string) func(*unstructured.Unstructured) {
		return func(u *unstructured.Unstructured) { _ = unstructured.SetNestedField(u.Object, value, path...) }
	}
	container := func(change func(map[string]any)) func(*unstructured.Unstructured) {
		return func(u *unstructured.Unstructured) {
			all, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
			change(all[0].(map[string]any))
			_ = unstructured.SetNestedSlice(u.Object, all, "spec", "template", "spec", "containers")
		}
	}
	none := func(*unstructured.Unstructured) {}
	tests := []struct {
		name         string
		wanted, live func(*unstructured.Unstructured)
		want         bool
	}{
		{"the same, quantities written otherwise", none, none, true},
		{"a status is not asked for", set("x", "status", "replicas"), none, true},
		{"another value", set(int64(3), "spec", "replicas"), none, false},
		{"another image", container(func(c map[string]any) { c["image"] = "web@sha256:2" }), none, false},
		{"a new field", set("x", "metadata", "annotations", "new"), none, false},
		{"a field less", func(u *unstructured.Unstructured) { unstructured.RemoveNestedField(u.Object, "spec", "replicas") }, none, false},
		{"an element less", container(func(c map[string]any) { c["env"] = c["env"].([]any)[:1] }), none, false},
		{"another order", container(func(c map[string]any) { e := c["env"].([]any); e[0], e[1] = e[1], e[0] }), none, false},
		{"an element twice", container(func(c map[string]any) { e := c["env"].([]any); c["env"] = []any{e[0], e[0]} }), none, false},
		{"another list that is one value", container(func(c map[string]any) { c["args"] = []any{"--a"} }), none, false},
		{"a label of a selector", set(map[string]any{"app": "web", "x": "y"}, "spec", "selector", "matchLabels"), none, false},
		{"another quantity", container(func(c map[string]any) { c["resources"] = parseJSON(`{"limits":{"cpu":"2","memory":"64Mi"}}`) }), none, false},
		{"somebody changed the value", none, set(int64(5), "spec", "replicas"), false},
		{"somebody removed the element", none, container(func(c map[string]any) { c["env"] = c["env"].([]any)[1:] }), false},
		{"somebody added to what others own", none, set("y", "metadata", "labels", "x"), true},
		{"never applied by davit", none, func(u *unstructured.Unstructured) { u.SetManagedFields(nil) }, false},
		{"applied in another version", none, func(u *unstructured.Unstructured) {
			m := u.GetManagedFields()
			m[1].APIVersion = "apps/v1beta2"
			u.SetManagedFields(m)
		}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wanted, live := parse(t, wantedDeployment), owning(parse(t, liveDeployment), ownedOfDeployment)
			test.wanted(wanted)
			test.live(live)
			if got := unchanged(wanted, live, true, FieldManager); got != test.want {
				t.Errorf("unchanged is %v, want %v", got, test.want)
			}
		})
	}
}

func TestUnchangedOfOtherKinds(t *testing.T) {
	tests := []struct {
		name, wanted, live, owned string
		status, want              bool
	}{
		{
			"a set of scalars", `{apiVersion: v1, kind: X, metadata: {name: a, finalizers: [a/b]}}`, `{apiVersion: v1, kind: X, metadata: {name: a, finalizers: [o/p, a/b]}}`,
			`{"f:metadata":{"f:finalizers":{"v:\"a/b\"":{}}}}`, false, true,
		}, {
			"a status of a kind without the subresource", `{apiVersion: x.io/v1, kind: X, metadata: {name: a}, status: {a: 1}}`,
			`{apiVersion: x.io/v1, kind: X, metadata: {name: a}, status: {a: 2}}`, `{"f:status":{"f:a":{}}}`, false, false,
		}, {
			"limits of a custom resource are only text", `{apiVersion: x.io/v1, kind: X, metadata: {name: a}, spec: {limits: {cpu: 1000m}}}`,
			`{apiVersion: x.io/v1, kind: X, metadata: {name: a}, spec: {limits: {cpu: "1"}}}`, `{"f:spec":{"f:limits":{"f:cpu":{}}}}`, false, false,
		}, {
			"whole numbers written as floats", `{apiVersion: x.io/v1, kind: X, metadata: {name: a}, spec: {n: 1.0}}`,
			`{apiVersion: x.io/v1, kind: X, metadata: {name: a}, spec: {n: 1}}`, `{"f:spec":{"f:n":{}}}`, false, true,
		}, {
			"nothing but a name", `{apiVersion: v1, kind: Namespace, metadata: {name: a}}`, `{apiVersion: v1, kind: Namespace, metadata: {name: a}}`, `{}`, true, true,
		}, {
			"large numbers that floats cannot tell apart", `{apiVersion: x.io/v1, kind: X, metadata: {name: a}, spec: {n: 9007199254740993}}`,
			`{apiVersion: x.io/v1, kind: X, metadata: {name: a}, spec: {n: 9007199254740992}}`, `{"f:spec":{"f:n":{}}}`, false, false,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if !json.Valid([]byte(test.owned)) {
				t.Fatal("the test is wrong")
			}
			if got := unchanged(parse(t, test.wanted), owning(parse(t, test.live), test.owned), test.status, FieldManager); got != test.want {
				t.Errorf("unchanged is %v, want %v", got, test.want)
			}
		})
	}
}

func TestNormalizeFoldsSecretText(t *testing.T) {
	u := parse(t, `{apiVersion: v1, kind: Secret, metadata: {name: a, creationTimestamp: null}, data: {b: eA==}, stringData: {a: hello}}`)
	if err := normalize(u); err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(u.Object)
	want := `{"apiVersion":"v1","data":{"a":"aGVsbG8=","b":"eA=="},"kind":"Secret","metadata":{"name":"a"}}`
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
