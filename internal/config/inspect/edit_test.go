package inspect_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/inspect"
	"github.com/davit-dev/davit/internal/config/load"
)

const before = `# the whole
apiVersion: skaffold/v2beta29
kind: Config
requires:
- path: lib # ours
build:
  artifacts:
  - image: a # the one
deploy:
  kubectl:
    manifests: [k8s/*.yaml]
`

// edited applies a change and gives the root's file afterwards.
func edited(t *testing.T, text string, change func([]*config.Config) error) (string, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"skaffold.yaml": text, "lib/skaffold.yaml": "apiVersion: skaffold/v4beta14\nkind: Config\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	configs, err := load.Load(t.Context(), load.Options{Dir: dir, ViewOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	failed := change(configs)
	got, err := os.ReadFile(filepath.Join(dir, "skaffold.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := load.Load(t.Context(), load.Options{Dir: dir, ViewOnly: true}); err != nil {
		t.Errorf("what was written does not load: %v", err)
	}
	return string(got), failed
}

const head = `# the whole
apiVersion: skaffold/v4beta14
kind: Config
`

func TestChangesKeepTheRest(t *testing.T) {
	for name, test := range map[string]struct {
		change func([]*config.Config) error
		want   string
	}{
		"add to the pipeline": {
			func(c []*config.Config) error {
				return inspect.AddBuildEnv(c, "local", []inspect.Setting{{Field: "push", Value: true}}, "")
			},
			head + `requires:
  - path: lib # ours
build:
  artifacts:
    - image: a # the one
  local:
    push: true
manifests:
  rawYaml: [k8s/*.yaml]
deploy:
  kubectl: {}
`,
		},
		"add to a profile": {
			func(c []*config.Config) error {
				return inspect.AddBuildEnv(c, "cluster", []inspect.Setting{{Field: "dockerConfig.path", Value: "p"}, {Field: "runAsUser", Value: 5}}, "in-cluster")
			},
			head + `requires:
  - path: lib # ours
    activeProfiles:
      - name: in-cluster
        activatedBy:
          - in-cluster
build:
  artifacts:
    - image: a # the one
manifests:
  rawYaml: [k8s/*.yaml]
deploy:
  kubectl: {}
profiles:
  - name: in-cluster
    build:
      cluster:
        dockerConfig:
          path: p
        runAsUser: 5
`,
		},
		"add requirements": {
			func(c []*config.Config) error {
				return inspect.AddDependencies(c[1:], []byte(`{"dependencies": [{"path": "lib", "configs": ["x"]}]}`))
			},
			head + `requires:
  - path: lib # ours
  - path: lib
    configs:
      - x
build:
  artifacts:
    - image: a # the one
manifests:
  rawYaml: [k8s/*.yaml]
deploy:
  kubectl: {}
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := edited(t, before, test.change)
			if err != nil || got != test.want {
				t.Errorf("%v, got:\n%s\nwant:\n%s", err, got, test.want)
			}
		})
	}
}

func TestRefusedChangesLeaveTheFile(t *testing.T) {
	text := "apiVersion: skaffold/v4beta14\nkind: Config\nrequires: [{path: lib}]\nbuild: {local: {push: true}}\n"
	for _, test := range []struct {
		change func([]*config.Config) error
		code   string
	}{
		{func(c []*config.Config) error { return inspect.AddBuildEnv(c, "local", nil, "") }, "INSPECT_BUILD_ENV_ALREADY_EXISTS_ERR"},
		{func(c []*config.Config) error { return inspect.ModifyBuildEnv(c, "googleCloudBuild", nil, "", true) }, "INSPECT_BUILD_ENV_INCORRECT_TYPE_ERR"},
		{func(c []*config.Config) error { return inspect.ModifyBuildEnv(c, "googleCloudBuild", nil, "p", true) }, "INSPECT_PROFILE_NOT_FOUND_ERR"},
	} {
		got, err := edited(t, text, test.change)
		if err == nil {
			t.Fatalf("%s: no error", test.code)
		}
		answer, e := json.Marshal(inspect.Failed(err))
		if e != nil || got != text || inspect.Failed(err).Code != test.code {
			t.Errorf("got %s, file:\n%s", answer, got)
		}
	}
}
