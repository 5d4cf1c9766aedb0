package release_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/load"
	"github.com/davit-dev/davit/internal/config/template"
	"github.com/davit-dev/davit/internal/render/helm"
	"github.com/davit-dev/davit/internal/render/release"
)

func load1(t *testing.T, text string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "skaffold.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	configs, err := load.Load(t.Context(), load.Options{Dir: dir, Command: "render", LookupEnv: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	return configs[0]
}

func evaluate(c *config.Config) ([]helm.Release, error) {
	x := release.Context{
		Config: c, Templates: template.New(template.Environment{Environ: []string{"STAGE=prod"}}), Home: "/home/ann", Default: "default",
		Images: template.Images([]template.Image{{Name: "my-app", Reference: "reg:5000/my-app:v1@sha256:abc"}}),
	}
	h := c.Model.Manifests.Helm
	return release.All(x, h.Releases, h.Flags.Global, h.Flags.Template, "manifests", "helm")
}

func TestEvaluate(t *testing.T) {
	c := load1(t, `apiVersion: skaffold/v4beta13
kind: Config
manifests:
  helm:
    flags: {global: [--debug], template: [--include-crds]}
    releases:
    - name: web-{{.STAGE}}
      chartPath: charts/{{.STAGE}}
      namespace: "{{.STAGE}}"
      dependsOn: ["db-{{.STAGE}}"]
      valuesFiles: ["values-{{.IMAGE_TAG}}.yaml", ~/own.yaml]
      setFiles: {motd: motd.txt}
      setValues:
        replicas: 2
        text: "2"
        list: "{a,b}"
        env: [{name: A, value: "true"}]
        stage: "{{.STAGE}}"
        tpl: "{{ .Values.who }}"
        none: null
      setValueTemplates:
        image.repository: "{{.IMAGE_REPO_my-app}}"
        image.tag: "{{.IMAGE_TAG_my-app}}@{{.IMAGE_DIGEST_my-app}}"
    - name: db-{{.STAGE}}
      remoteChart: oci://reg/db
      version: 1.x
`)
	got, err := evaluate(c)
	if err != nil {
		t.Fatal(err)
	}
	want := []helm.Release{{
		Name: "web-prod", Namespace: "prod", Chart: filepath.Join(c.Dir, "charts/prod"), DependsOn: []string{"db-prod"},
		ValuesFiles: []string{filepath.Join(c.Dir, "values-v1.yaml"), "/home/ann/own.yaml"},
		SetFiles:    []helm.Set{{Key: "motd", Value: filepath.Join(c.Dir, "motd.txt")}},
		Global:      []string{"--debug"}, Flags: []string{"--include-crds"},
		Set: []helm.Set{
			{Key: "env[0].name", Value: "A"}, {Key: "env[0].value", Value: "true", Literal: true}, {Key: "list", Value: "{a,b}"},
			{Key: "none", Value: "<nil>"}, {Key: "replicas", Value: "2"}, {Key: "stage", Value: "prod"},
			{Key: "text", Value: "2", Literal: true}, {Key: "tpl", Value: "{{ .Values.who }}"},
			{Key: "image.repository", Value: "reg:5000/my-app"}, {Key: "image.tag", Value: "v1@sha256:abc"},
		},
	}, {
		Name: "db-prod", Namespace: "default", Chart: "oci://reg/db", Remote: true, Version: "1.x",
		Global: []string{"--debug"}, Flags: []string{"--include-crds"},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestMissingVariables(t *testing.T) {
	c := load1(t, `apiVersion: skaffold/v4beta13
kind: Config
manifests:
  helm:
    releases:
    - name: web
      chartPath: chart
      setValueTemplates: {image.tag: "{{.IMAGE_TAG_my-ap}}"}
`)
	_, err := evaluate(c)
	if err == nil || !strings.Contains(err.Error(), "skaffold.yaml:8") || !strings.Contains(err.Error(), "variable IMAGE_TAG_my_ap is not set") || !strings.Contains(err.Error(), "did you mean IMAGE_TAG_my_app?") {
		t.Errorf("got %v", err)
	}
}

// TestDependenciesOfAnEarlierRelease has several releases of a chart, of which only one brings what it depends on.
func TestDependenciesOfAnEarlierRelease(t *testing.T) {
	c := load1(t, `apiVersion: skaffold/v4beta13
kind: Config
manifests:
  helm:
    releases:
    - {name: a, chartPath: web, skipBuildDependencies: true}
    - {name: b, chartPath: web}
    - {name: c, chartPath: ./web, skipBuildDependencies: true}
    - {name: d, chartPath: other, skipBuildDependencies: true}
`)
	releases, err := evaluate(c)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false, false, true} {
		if got := releases[i].SkipDependencies; got != want {
			t.Errorf("release %s skips dependencies: %v", releases[i].Name, got)
		}
	}
}
