package manifest

import (
	"bytes"
	"strings"
	"testing"
)

func TestSetValues(t *testing.T) {
	const text = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1 # from-param: ${replicas}
  template:
    spec:
      containers:
      - image: shop/web:v1 # from-param: ${repo}/web:${version}
        command: # from-param: ${command}
        - sleep
        args: [a] # from-param: ${args}
        env:
        - {name: TIER, value: "dev"} # not one
        - name: STAGE
          value: dev # from-param: ${stage}
`
	const want = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3 # from-param: ${replicas}
  template:
    spec:
      containers:
        - image: shop/web:v2 # from-param: ${repo}/web:${version}
          command: [run, "5"] # from-param: ${command}
          args: [] # from-param: ${args}
          env:
            - {name: TIER, value: "dev"} # not one
            - name: STAGE
              value: "" # from-param: ${stage}
`
	objects := parse(t, text)
	if err := SetValues(objects, map[string]string{"replicas": "3", "version": "v2", "command": `[run, "5"]`, "args": "", "stage": "", "unused": "x"}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Stream(&out, objects); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if v, err := objects[0].Value(); err != nil || v["spec"].(map[string]any)["replicas"] != int64(3) {
		t.Errorf("replicas are not a number: %v %v", v, err)
	}
	for values, want := range map[[2]string]string{
		{"command", "run"}:        `k8s/all.yaml:10: command is set to "run", and the field is a list: write [a, b]`,
		{"version", "v3"}:         "",
		{"command", "{a: b}"}:     "the field is a list",
		{"replicas", "${replic}"}: "",
	} {
		err := SetValues(parse(t, text), map[string]string{values[0]: values[1]})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v: got %v, want %s", values, err, want)
		}
	}
	unfit := parse(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: other # from-param: ${x}-${y}\n")
	if err := SetValues(unfit, map[string]string{"x": "1"}); err == nil || err.Error() != "k8s/all.yaml:5: the field is set from ${x}-${y}: give ${y} with --set too" {
		t.Errorf("got %v", err)
	}
}
