package inspect_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/config/inspect"
	"github.com/davit-dev/davit/internal/config/load"
)

const file = `apiVersion: skaffold/v4beta14
kind: Config
metadata: {name: main}
requires: [{path: lib}]
build:
  googleCloudBuild: {projectId: p}
test:
- image: a
  custom:
  - command: ./test.sh
    timeoutSeconds: 5
    dependencies: {paths: [x]}
  structureTests: [t.yaml]
verify:
- name: here
  container: {name: c, image: i}
- name: there
  container: {name: d, image: i}
  executionMode: {kubernetesCluster: {jobManifestPath: job.yaml}}
customActions:
- name: act
  containers: [{name: e, image: i}]
deploy:
  kubectl: {defaultNamespace: own, flags: {apply: ["--namespace=flagged"]}}
profiles:
- name: local
  build: {local: {}}
- name: plain
`

func TestShapes(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"skaffold.yaml": file, "lib/skaffold.yaml": "apiVersion: skaffold/v4beta14\nkind: Config\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	configs, err := load.Load(t.Context(), load.Options{Dir: dir, ViewOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	namespaces, err := inspect.Namespaces(configs, []byte("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Service\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: b, namespace: n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		answer any
		want   string
	}{
		{inspect.Modules(configs, false), `{"modules":[{"name":"main","path":"$/skaffold.yaml","isRoot":true}]}`},
		{inspect.Modules(configs, true), `{"modules":[{"name":"__config_0","path":"$/lib/skaffold.yaml"},{"name":"main","path":"$/skaffold.yaml","isRoot":true}]}`},
		{inspect.Profiles(configs, ""), `{"profiles":[{"name":"local","path":"$/skaffold.yaml","module":"main"},{"name":"plain","path":"$/skaffold.yaml","module":"main"}]}`},
		{inspect.Profiles(configs, "local"), `{"profiles":[{"name":"local","path":"$/skaffold.yaml","module":"main"},{"name":"plain","path":"$/skaffold.yaml","module":"main"}]}`},
		{inspect.Profiles(configs, "cluster"), `{"profiles":[]}`},
		{inspect.BuildEnvs(configs), `{"build_envs":[{"type":"local","path":"$/lib/skaffold.yaml"},{"type":"googleCloudBuild","path":"$/skaffold.yaml","module":"main"}]}`},
		{inspect.Tests(configs), `{"tests":[{"testType":"custom-test","Command":"./test.sh","TimeoutSeconds":5,"Dependencies":{"Command":"","Paths":["x"],"Ignore":null}},{"testType":"structure-test","structureTest":"t.yaml","structureTestArgs":null}]}`},
		{inspect.ExecutionModes(configs), `{"verifyExecutionModes":{"here":"local","there":"kubernetesCluster"},"customActionsExecutionModes":{"act":"local"}}`},
		{inspect.JobManifestPaths(configs), `{"verifyJobManifestPaths":{"there":"job.yaml"},"customActionJobManifestPaths":{}}`},
		{namespaces, `{"resourceToInfoMap":{"apps/v1, Kind=Deployment":[{"name":"a","namespace":"flagged"},{"name":"b","namespace":"n"}]}}`},
	} {
		got, err := json.Marshal(test.answer)
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.ReplaceAll(string(got), dir, "$"); text != test.want {
			t.Errorf("got  %s\nwant %s", text, test.want)
		}
	}
}

func TestJobManifestPathsCanBeSet(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "skaffold.yaml"), []byte(strings.Replace(file, "requires: [{path: lib}]\n", "", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	configs, err := load.Load(t.Context(), load.Options{Dir: dir, ViewOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	inspect.SetJobManifestPaths(configs, inspect.JobManifestPathList{Verify: map[string]string{"there": "new.yaml"}, CustomActions: map[string]string{"act": "act.yaml"}})
	got := inspect.JobManifestPaths(configs)
	if got.Verify["there"] != "new.yaml" || got.CustomActions["act"] != "act.yaml" || len(got.Verify) != 1 {
		t.Errorf("got %v", got)
	}
}
