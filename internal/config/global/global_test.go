package global_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/config/global"
)

const settings = `# mine
global:
  default-repo: registry.example/team # everywhere
  insecure-registries: [a.example]
  survey:
    last-prompted: never
kubeContexts:
- kube-context: kind-.*
  local-cluster: true
  insecure-registries: [b.example]
- kube-context: prod
  default-repo: prod.example
`

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".skaffold", "config")
	if text != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestSettingsOfAContext(t *testing.T) {
	f, err := global.Read(file(t, settings))
	if err != nil {
		t.Fatal(err)
	}
	for context, want := range map[string]global.Settings{
		"":          {DefaultRepo: "registry.example/team", InsecureRegistries: []string{"a.example"}},
		"prod":      {KubeContext: "prod", DefaultRepo: "prod.example", InsecureRegistries: []string{"a.example"}},
		"kind-test": {KubeContext: "kind-test", DefaultRepo: "registry.example/team", LocalCluster: new(true), InsecureRegistries: []string{"b.example", "a.example"}},
		"other":     {KubeContext: "other", DefaultRepo: "registry.example/team", InsecureRegistries: []string{"a.example"}},
	} {
		if got := f.For(context); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, want %+v", context, got, want)
		}
	}
}

func TestSetKeepsTheRest(t *testing.T) {
	path := file(t, settings)
	f, err := global.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range [][3]string{
		{"", "insecure-registries", "c.example"}, {"prod", "local-cluster", "false"},
		{"new", "default-repo", "new.example"}, {"kind-x", "local-cluster", ""},
	} {
		if err := f.Set(global.Place{KubeContext: set[0]}, set[1], set[2]); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Write(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `# mine
global:
  default-repo: registry.example/team # everywhere
  insecure-registries: [a.example, c.example]
  survey:
    last-prompted: never
kubeContexts:
  - kube-context: kind-.*
    insecure-registries: [b.example]
  - kube-context: prod
    default-repo: prod.example
    local-cluster: false
  - kube-context: new
    default-repo: new.example
`
	if string(got) != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestNoFileYet(t *testing.T) {
	path := file(t, "")
	f, err := global.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Set(global.Place{KubeContext: ""}, "default-repo", "x.example"); err != nil {
		t.Fatal(err)
	}
	if err := f.Write(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "global:\n  default-repo: x.example\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestErrorsSayWhatToWrite(t *testing.T) {
	f, err := global.Read(file(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, value, want string }{
		{"defaultrepo", "x", "\"defaultrepo\" is not a setting\n  did you mean \"default-repo\"?"},
		{"local-cluster", "maybe", "\"maybe\" is not a value for local-cluster\n  write true or false"},
	} {
		if err := f.Set(global.Place{KubeContext: ""}, test.name, test.value); err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

func TestSurveysAreKeptForSkaffold(t *testing.T) {
	f, err := global.Read(filepath.Join(t.TempDir(), "config"))
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range []struct{ id, name, value string }{
		{"", "disable-prompt", "true"}, {"helm", "taken", "true"}, {"helm", "taken", "false"}, {"other", "taken", "true"}, {"", "last-taken", "x"}, {"", "last-taken", ""},
	} {
		if err := f.Set(global.Place{Survey: true, SurveyID: set.id}, set.name, set.value); err != nil {
			t.Fatal(err)
		}
	}
	got, err := f.ListAll()
	want := "global:\n  survey:\n    disable-prompt: true\n    user-surveys:\n      - id: helm\n        taken: false\n      - id: other\n        taken: true\n"
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	if err := f.Set(global.Place{Survey: true}, "taken", "true"); err == nil || !strings.Contains(err.Error(), `"taken" is not a setting`) {
		t.Errorf("got %v", err)
	}
}
