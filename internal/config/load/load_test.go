package load_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/config/load"
	"github.com/davit-dev/davit/internal/config/model"
)

// project writes files into a new folder and gives options that load its skaffold.yaml.
func project(t testing.TB, files map[string]string) load.Options {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return load.Options{Dir: dir, Command: "run", CurrentContext: func() (string, error) { return "kind-test", nil }}
}

const firstLight = `apiVersion: skaffold/v2beta10
kind: Config
build:
  artifacts:
  - image: my-web-app
    docker:
      dockerfile: Dockerfile
deploy:
  kubectl:
    manifests:
    - k8s/deployment.yaml
`

func TestOldVersionBecomesTheModel(t *testing.T) {
	o := project(t, map[string]string{"skaffold.yaml": firstLight})
	configs, err := load.Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	c := configs[0]
	if c.File != filepath.Join(o.Dir, "skaffold.yaml") || c.Dir != o.Dir || c.APIVersion != "skaffold/v2beta10" {
		t.Errorf("got file %s, dir %s, version %s", c.File, c.Dir, c.APIVersion)
	}
	a := c.Model.Build.Artifacts[0]
	docker, ok := a.Builder.(*model.Docker)
	if !ok || docker.Dockerfile != "Dockerfile" || a.Context != "." {
		t.Errorf("artifact: %+v, builder %+v", a, a.Builder)
	}
	if _, ok := c.Model.Build.TagPolicy.Tagger.(*model.GitCommit); !ok {
		t.Errorf("tagger: %T", c.Model.Build.TagPolicy.Tagger)
	}
	if got := c.Model.Manifests.RawYAML; len(got) != 1 || got[0] != "k8s/deployment.yaml" {
		t.Errorf("rawYaml: %q", got)
	}
	for _, test := range []struct {
		path []any
		line int
	}{
		{[]any{"manifests", "rawYaml", 0}, 11},
		{[]any{"build", "artifacts", 0, "docker", "dockerfile"}, 7},
		{[]any{"build", "artifacts", 0, "docker", "target"}, 7},
		{[]any{"build", "tagPolicy"}, 4},
	} {
		if got := c.Pos(test.path...); got.Line != test.line {
			t.Errorf("%v is said to be in line %d, want %d", test.path, got.Line, test.line)
		}
	}
}

func TestErrorsPoint(t *testing.T) {
	for name, test := range map[string]struct{ file, want string }{
		"unknown field": {
			"apiVersion: skaffold/v4beta14\nkind: Config\nbuild:\n  artifcts: []\n",
			`skaffold.yaml:4:3: unknown field "artifcts" in build
  4 |   artifcts: []
    |   ^
  did you mean "artifacts"?`,
		},
		"field too new, field too old": {
			"apiVersion: skaffold/v2beta10\nkind: Config\nbuild:\n  artifacts:\n  - image: a\n    platforms: [linux/arm64]\n    jibMaven: {}\n",
			`skaffold.yaml:6:5: field "platforms" in build.artifacts[0] does not exist in skaffold/v2beta10: it came with skaffold/v2beta27
  6 |     platforms: [linux/arm64]
    |     ^
  change apiVersion, or remove the field
skaffold.yaml:7:5: field "jibMaven" in build.artifacts[0] does not exist in skaffold/v2beta10: its last version was skaffold/v1beta13
  7 |     jibMaven: {}
    |     ^
  change apiVersion, or remove the field`,
		},
		"two builders": {
			"apiVersion: skaffold/v4beta14\nkind: Config\nbuild:\n  artifacts:\n  - image: a\n    docker: {}\n    jib: {}\n",
			`skaffold.yaml:7:5: only one of docker, bazel, ko, jib, kaniko, buildpacks, custom can be set: "docker" is set already
  7 |     jib: {}
    |     ^
  remove "docker" or "jib"`,
		},
		"unknown version": {
			"apiVersion: skaffold/v4beta15\nkind: Config\n",
			`skaffold.yaml:1:13: unknown apiVersion "skaffold/v4beta15"
  1 | apiVersion: skaffold/v4beta15
    |             ^
  did you mean "skaffold/v4beta14"?`,
		},
		"twice the same key": {
			"apiVersion: skaffold/v4beta14\nkind: Config\nkind: Config\n",
			`skaffold.yaml:3:1: field "kind" is already set in line 2
  3 | kind: Config
    | ^
  remove one of them`,
		},
		"tab": {
			"apiVersion: skaffold/v4beta14\nkind: Config\nbuild:\n\tartifacts: []\n",
			"skaffold.yaml:4:2: this is not valid YAML: a tab in the indentation\n  4 | \tartifacts: []\n    | \t^\n  indent with blanks",
		},
		"tab after blanks": {
			"apiVersion: skaffold/v4beta14\nkind: Config\nbuild:\n  artifacts: []\n\tlocal: {}\n",
			"skaffold.yaml:5:2: this is not valid YAML: a tab in the indentation\n  5 | \tlocal: {}\n    | \t^\n  indent with blanks",
		},
		"no file": {
			"",
			`skaffold.yaml: there is no such configuration file
  name it with -f, or go to the folder it is in`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{}
			if test.file != "" {
				files["skaffold.yaml"] = test.file
			}
			_, err := load.Load(t.Context(), project(t, files))
			if err == nil {
				t.Fatal("no error")
			}
			if got := err.Error(); got != test.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, test.want)
			}
		})
	}
}

func TestPlanningErrorsCanPoint(t *testing.T) {
	o := project(t, map[string]string{"skaffold.yaml": firstLight})
	configs, err := load.Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	got := configs[0].Error("no file matches k8s/deployment.yaml", "create it", "manifests", "rawYaml", 0).Error()
	want := `skaffold.yaml:11:7: no file matches k8s/deployment.yaml
  11 |     - k8s/deployment.yaml
     |       ^
  create it`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestOtherLineEndsAndMarks(t *testing.T) {
	for name, text := range map[string]string{
		"byte order mark": "\ufeff" + firstLight,
		"CRLF":            strings.ReplaceAll(firstLight, "\n", "\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			configs, err := load.Load(t.Context(), project(t, map[string]string{"skaffold.yaml": text}))
			if err != nil {
				t.Fatal(err)
			}
			got := configs[0].Error("wrong", "", "manifests", "rawYaml", 0).Error()
			want := "skaffold.yaml:11:7: wrong\n  11 |     - k8s/deployment.yaml\n     |       ^"
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestStandardInputAndURL(t *testing.T) {
	o := project(t, map[string]string{"lib/skaffold.yaml": "apiVersion: skaffold/v4beta14\nkind: Config\nmetadata: {name: lib}\n"})
	text := "apiVersion: skaffold/v4beta14\nkind: Config\nrequires: [{path: lib}]\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/skaffold.yaml" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, text)
	}))
	defer server.Close()
	for _, file := range []string{"-", server.URL + "/skaffold.yaml"} {
		o.File, o.Stdin = file, strings.NewReader(text)
		configs, err := load.Load(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if len(configs) != 2 || configs[0].Dir != filepath.Join(o.Dir, "lib") || configs[1].Dir != o.Dir || configs[1].File != file {
			t.Errorf("%s: got %d configs, %+v", file, len(configs), configs[len(configs)-1])
		}
	}
	o.File = server.URL + "/other.yaml"
	_, err := load.Load(t.Context(), o)
	if want := server.URL + "/other.yaml: cannot be fetched: 404 Not Found\n  check the address and the network"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
