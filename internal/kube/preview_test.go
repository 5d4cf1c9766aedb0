package kube

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

func TestChanges(t *testing.T) {
	for _, tt := range []struct{ name, before, after, want string }{
		{"nothing", `{a: 1, b: [x, {c: d}]}`, `{b: [x, {c: d}], a: 1.0}`, ``},
		{"a value", `{spec: {replicas: 1}}`, `{spec: {replicas: 2}}`, `spec.replicas 1 → 2`},
		{"a name with dots", `{metadata: {labels: {app.kubernetes.io/name: a}}}`, `{metadata: {labels: {app.kubernetes.io/name: b}}}`, `metadata.labels["app.kubernetes.io/name"] "a" → "b"`},
		{"elements by name", `{c: [{name: a, x: 1}, {name: b}]}`, `{c: [{name: b}, {name: n}, {name: a, x: 2}]}`, `c[a].x 1 → 2; c[n] null → {"name":"n"}`},
		{"another order", `{c: [{name: a}, {name: b}]}`, `{c: [{name: b}, {name: a}]}`, `c "in the order a, b" → "in the order b, a"`},
		{"elements by place", `{p: [{port: 1}, {port: 2}]}`, `{p: [{port: 1}, {port: 3}, {port: 4}]}`, `p[1].port 2 → 3; p[2] null → {"port":4}`},
		{"names twice", `{c: [{name: a}, {name: a}]}`, `{c: [{name: a}]}`, `c[1] {"name":"a"} → null`},
		{"another form", `{a: {b: 1}}`, `{a: [1]}`, `a {"b":1} → [1]`},
		{"a map that goes", `{data: {a: b}}`, `{}`, `data {"a":"b"} → null`},
	} {
		if got := said(changes(parse(t, "{apiVersion: v1, kind: X, o: "+tt.before+"}").Object["o"].(map[string]any),
			parse(t, "{apiVersion: v1, kind: X, o: "+tt.after+"}").Object["o"].(map[string]any), false)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func said(all []Change) string {
	var out []string
	for _, c := range all {
		before, _ := json.Marshal(c.Before)
		after, _ := json.Marshal(c.After)
		out = append(out, fmt.Sprintf("%s %s → %s", c.Path, before, after))
	}
	return strings.Join(out, "; ")
}

func TestSecretsStayHidden(t *testing.T) {
	for _, data := range []string{"{data: {a: c2VjcmV0}}", "{data: {a: b, dotted.name: c2VjcmV0}}", "{}", "{data: {c: c2VjcmV0}}"} {
		before := parse(t, "{apiVersion: v1, kind: Secret, o: {data: {a: aHVudGVyMg==, dotted.name: aHVudGVyMg==}}}").Object["o"].(map[string]any)
		got := said(changes(before, parse(t, "{apiVersion: v1, kind: Secret, o: "+data+"}").Object["o"].(map[string]any), true))
		if strings.Contains(got, "c2VjcmV0") || strings.Contains(got, "aHVudGVyMg") || !strings.Contains(got, Hidden) {
			t.Errorf("%s: %s", data, got)
		}
	}
	u := parse(t, `{apiVersion: v1, kind: Secret, metadata: {name: s, annotations: {kubectl.kubernetes.io/last-applied-configuration: hunter2}}}`)
	if got := fmt.Sprint(visible(u, false)); strings.Contains(got, "hunter2") {
		t.Error(got)
	}
}

func TestRemoveAt(t *testing.T) {
	for _, tt := range []struct{ field, want string }{
		{`{"f:a":{"f:b":{}}}`, `{"a":{},"l":[{"k":"x","v":1},{"k":"y"}],"s":["p","q"]}`},
		{`{"f:l":{"k:{\"k\":\"x\"}":{"f:v":{}}}}`, `{"a":{"b":1},"l":[{"k":"x"},{"k":"y"}],"s":["p","q"]}`},
		{`{"f:l":{"k:{\"k\":\"y\"}":{}}}`, `{"a":{"b":1},"l":[{"k":"x","v":1}],"s":["p","q"]}`},
		{`{"f:s":{"v:\"p\"":{}}}`, `{"a":{"b":1},"l":[{"k":"x","v":1},{"k":"y"}],"s":["q"]}`},
		{`{"f:n":{"f:m":{}}}`, `{"a":{"b":1},"l":[{"k":"x","v":1},{"k":"y"}],"s":["p","q"]}`},
	} {
		object := parse(t, `{apiVersion: v1, kind: X, o: {a: {b: 1}, l: [{k: x, v: 1}, {k: y}], s: [p, q]}}`).Object["o"]
		fields := fieldpath.NewSet()
		if err := fields.FromJSON(strings.NewReader(tt.field)); err != nil {
			t.Fatal(err)
		}
		fields.Iterate(func(p fieldpath.Path) { object = removeAt(object, p) })
		if got := jsonText(object); got != tt.want {
			t.Errorf("without %s: got %s, want %s", tt.field, got, tt.want)
		}
	}
}
