package plan

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/load"
	"github.com/davit-dev/davit/internal/config/template"
	"github.com/davit-dev/davit/internal/image"
	"github.com/davit-dev/davit/internal/inputs"
	"github.com/davit-dev/davit/internal/manifest"
)

func configs(t *testing.T, text string) []*config.Config {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "skaffold.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	configs, err := load.Load(t.Context(), load.Options{Dir: dir, Command: "run"})
	if err != nil {
		t.Fatal(err)
	}
	return configs
}

func options() Options {
	return Options{Getenv: func(string) string { return "" }, Templates: template.New(template.Environment{Environ: []string{"VERSION=7"}})}
}

const shop = `apiVersion: skaffold/v4beta14
kind: Config
metadata: {name: shop}
build:
  insecureRegistries: [plain.example.com]
  artifacts:
  - image: gcr.io/p/web
    context: web
    docker: {target: prod, buildArgs: {V: "v{{.VERSION}}"}}
    requires: [{image: base, alias: BASE}]
    hooks: {before: [{command: [make]}, {command: [make], dir: tools}]}
  - image: base
    context: base
manifests: {rawYaml: ["k8s/*.yaml"]}
deploy: {kubectl: {defaultNamespace: "ns-{{.VERSION}}"}, statusCheckDeadlineSeconds: 90}
`

func TestDrafts(t *testing.T) {
	cs := configs(t, shop)
	o := options()
	o.Repo, o.WorkDir = image.DefaultRepo{Repo: "localhost:5000"}, "/started/here"
	drafts, err := Drafts(cs, o)
	if err != nil {
		t.Fatal(err)
	}
	web := drafts[0]
	if got := web.Name.String(); got != "localhost:5000/gcr_io_p_web" {
		t.Errorf("name %s", got)
	}
	dir := cs[0].Dir
	spec := web.Spec.(build.Docker)
	if web.Context != filepath.Join(dir, "web") || spec.Dockerfile != filepath.Join(dir, "web", "Dockerfile") || spec.Target != "prod" {
		t.Errorf("spec %+v", spec)
	}
	if want := map[string]string{"V": "v7"}; !reflect.DeepEqual(spec.BuildArgs, want) {
		t.Errorf("build arguments %v", spec.BuildArgs)
	}
	if web.Before[0].Dir != "/started/here" || web.Before[1].Dir != filepath.Join(dir, "tools") {
		t.Errorf("hooks %+v", web.Before)
	}
	if !web.Push || !reflect.DeepEqual(web.Insecure, []string{"plain.example.com"}) || !reflect.DeepEqual(web.Requires, []Requirement{{"base", "BASE"}}) {
		t.Errorf("draft %+v", web)
	}

	o.Images = []string{"bas"}
	if drafts, err = Drafts(cs, o); err != nil || len(drafts) != 1 || drafts[0].Image != "base" {
		t.Errorf("-b bas gives %+v, %v", drafts, err)
	}
}

func TestWhatTheTagIsIsToldLater(t *testing.T) {
	cs := configs(t, strings.Replace(shop, "buildArgs: {V: \"v{{.VERSION}}\"}",
		"buildArgs: {AS: \"{{.IMAGE_REPO}} {{.IMAGE_NAME}} {{.IMAGE_TAG}}\"}, cliFlags: [\"--label=v={{.VERSION}}\"], secrets: [{id: s, src: ~/secret}]", 1))
	o := options()
	o.Home = "/home/me"
	drafts, err := Drafts(cs, o)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := drafts[0].Tagged(image.Reference{Name: "gcr.io/p/web", Tag: "v7"})
	if err != nil || spec.BuildArgs["AS"] != "gcr.io/p web v7" || spec.Labels["v"] != "7" || spec.Secrets[0].Source != "/home/me/secret" {
		t.Errorf("got %+v, %v", spec, err)
	}
	o.Getenv = func(name string) string {
		return map[string]string{"SKAFFOLD_DISABLE_DOCKER_CACHE_ADJUSTMENT": "1"}[name]
	}
	if kept, err := Drafts(cs, o); err != nil || drafts[0].KeepCacheFrom || !kept[0].KeepCacheFrom {
		t.Errorf("SKAFFOLD_DISABLE_DOCKER_CACHE_ADJUSTMENT changes nothing (%v)", err)
	}
	if drafts[1].Tagged != nil {
		t.Error("base does not speak of its tag")
	}
}

func TestDraftErrorsPointIntoTheFile(t *testing.T) {
	cs := configs(t, strings.Replace(shop, "{{.VERSION}}\"}", "{{.NOBODY}}\"}", 1))
	_, err := Drafts(cs, options())
	if err == nil || !strings.Contains(err.Error(), "skaffold.yaml:9:") || !strings.Contains(err.Error(), "NOBODY is not set") {
		t.Errorf("got %v", err)
	}
}

func TestUnsupportedIsRefusedNotLeftOut(t *testing.T) {
	cs := configs(t, strings.Replace(shop, "build:\n", "build:\n  googleCloudBuild: {}\n", 1))
	err := Supported(cs, "run")
	for _, want := range []string{"builds elsewhere than with BuildKit", "skaffold.yaml:5:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if err := Supported(configs(t, shop), "run"); err != nil {
		t.Errorf("got %v", err)
	}
	if err := Supported(cs, "render"); err != nil {
		t.Errorf("rendering has no part in builds: %v", err)
	}
}

func TestOrder(t *testing.T) {
	d := func(name string, requires ...string) Draft {
		d := Draft{Image: name}
		for _, r := range requires {
			d.Requires = append(d.Requires, Requirement{r, r})
		}
		return d
	}
	levels, err := Order([]Draft{d("web", "lib", "base"), d("base"), d("lib", "base"), d("other")})
	if want := [][]int{{1, 3}, {2}, {0}}; err != nil || !reflect.DeepEqual(levels, want) {
		t.Errorf("got %v, %v", levels, err)
	}
	_, err = Order([]Draft{d("a", "b"), d("b", "c"), d("c", "b")})
	if err == nil || !strings.Contains(err.Error(), "b → c → b") {
		t.Errorf("got %v", err)
	}
	_, err = Order([]Draft{d("a", "gone")})
	if err == nil || !strings.Contains(err.Error(), "a requires gone") {
		t.Errorf("got %v", err)
	}
}

func TestDecide(t *testing.T) {
	ref := image.Reference{Name: "reg/web", Tag: "1"}
	for _, c := range []struct {
		found Found
		waits []string
		want  State
	}{
		{Found{Digest: "sha256:aa", Where: "Remotely"}, nil, UpToDate{Digest: "sha256:aa", Where: "Remotely"}},
		{Found{Why: []string{"main.go changed"}}, nil, Build{[]string{"main.go changed"}}},
		{Found{}, []string{"base"}, Undecided{[]string{"base"}}},
	} {
		a := Decide(Draft{}, ref, inputs.Manifest{}, c.found, c.waits)
		if !reflect.DeepEqual(a.State, c.want) {
			t.Errorf("got %+v, want %+v", a.State, c.want)
		}
	}
	if got := (Artifact{Ref: ref}).Reference("sha256:aa"); got != "reg/web:1@sha256:aa" {
		t.Errorf("reference %s", got)
	}
}

func TestDeployments(t *testing.T) {
	cs := configs(t, shop)
	ds, err := Deployments(cs, "ignored", options())
	if err != nil || len(ds) != 1 {
		t.Fatal(ds, err)
	}
	d := ds[0]
	if d.Set != "davit-shop" || d.Namespace != "ns-7" || d.Deadline.Seconds() != 90 || !d.Wait {
		t.Errorf("got %+v", d)
	}
	o, no := options(), false
	o.Namespace, o.StatusCheck = "flag", &no
	if ds, err = Deployments(cs, "", o); err != nil || ds[0].Namespace != "flag" || ds[0].Wait {
		t.Errorf("got %+v, %v", ds, err)
	}
	unnamed := configs(t, strings.Replace(shop, "metadata: {name: shop}\n", "", 1))
	if ds, err = Deployments(unnamed, "My_Repo-"+strings.Repeat("x", 80), options()); err != nil || len(ds[0].Set) > 63 || !strings.HasPrefix(ds[0].Set, "davit-my-repo-xxx") {
		t.Errorf("got %+v, %v", ds, err)
	}
}

// TestSetNames: configs that shared an inventory would prune each other's objects.
func TestSetNames(t *testing.T) {
	o := Options{WorkDir: "/w/shop"}
	long, seen := strings.Repeat("x", 70), map[string]bool{}
	for _, tt := range []struct {
		config config.Config
		want   string
	}{
		{config.Config{Name: "shop"}, "davit-shop"},
		{config.Config{Name: "a-b"}, "davit-a-b"},
		{config.Config{Name: "a.b"}, "davit-a-b-"},
		{config.Config{Name: "a_b"}, "davit-a-b-"},
		{config.Config{Name: long + "1"}, "davit-" + long[:48] + "-"},
		{config.Config{Name: long + "2"}, "davit-" + long[:48] + "-"},
		{config.Config{File: "/w/shop/skaffold.yaml"}, "davit-team-shop"},
		{config.Config{File: "/w/shop/skaffold.yaml", Index: 1}, "davit-team-shop-2"},
		{config.Config{File: "/w/shop/other.yaml"}, "davit-team-shop-other"},
		{config.Config{File: "/w/shop/svc/skaffold.yaml"}, "davit-team-shop-svc"},
		{config.Config{File: "/w/base/skaffold.yml"}, "davit-team-shop-up-base"},
	} {
		got := setOf(&tt.config, "team/shop", o)
		if !strings.HasPrefix(got, tt.want) || len(got) > 63 || seen[got] {
			t.Errorf("%+v: %s, want %s", tt.config, got, tt.want)
		}
		seen[got] = true
	}
	for _, file := range []string{"-", "https://example.com/skaffold.yaml"} {
		if got := setOf(&config.Config{File: file}, "team/shop", o); got != "davit-team-shop" {
			t.Errorf("%s: %s", file, got)
		}
	}
}

func TestProjectNameIsTheSameInEveryCheckout(t *testing.T) {
	for _, c := range []struct{ remote, top, dir, want string }{
		{"", "", "/home/a/shop", "shop"},
		{"", "/home/a/shop", "/home/a/shop", "shop"},
		{"https://example.com/team/shop.git", "/ci/job-7", "/ci/job-7", "shop"},
		{"git@example.com:team/shop.git", "/ci/job-7", "/ci/job-7/examples/one", "shop-examples/one"},
		{"ssh://example.com/shop/", "C:/src/x", "C:/src/x/one", "shop-one"},
	} {
		if got := ProjectName(c.remote, c.top, c.dir); got != c.want {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}

func TestWhatIsRendered(t *testing.T) {
	cs := configs(t, `apiVersion: skaffold/v4beta14
kind: Config
metadata: {name: shop, annotations: {davit.dev/image-paths: "Widget.example.com=.spec.image"}}
manifests:
  rawYaml: ["{{.VERSION}}/*.yaml", "https://example.com/a.yaml"]
  kustomize: {paths: ["overlays/{{.VERSION}}"], buildArgs: [--enable-helm]}
  helm: {releases: [{name: r, chartPath: chart}]}
resourceSelector: {deny: [{groupKind: CronJob.batch, image: [".*"]}]}
`)
	o := options()
	o.Rules = []manifest.Rules{{Allow: []manifest.Filter{{GroupKind: "A.b"}}}}
	ds, err := Deployments(cs, "", o)
	if err != nil || len(ds) != 1 {
		t.Fatal(ds, err)
	}
	d := ds[0]
	if fmt.Sprint(d.Raw, d.Kustomize, d.KustomizeArgs) != "[7/*.yaml https://example.com/a.yaml] [overlays/7] [--enable-helm]" || d.Charts == nil || d.Dir != cs[0].Dir {
		t.Errorf("got %+v", d)
	}
	var kinds []string
	for _, r := range d.Rules {
		for _, f := range slices.Concat(r.Allow, r.Deny) {
			kinds = append(kinds, f.GroupKind)
		}
	}
	if fmt.Sprint(kinds) != "[Widget.example.com CronJob.batch A.b]" {
		t.Errorf("rules of %v", kinds)
	}
}

func TestWorkers(t *testing.T) {
	const with = "apiVersion: skaffold/v4beta14\nkind: Config\nbuild: {artifacts: [{image: a}], local: {concurrency: %d}}\n"
	silent := configs(t, "apiVersion: skaffold/v4beta14\nkind: Config\nbuild: {artifacts: [{image: a}], local: {push: true}}\n")
	file := func(n int) []*config.Config { return configs(t, fmt.Sprintf(with, n)) }
	for _, c := range []struct {
		configs     []*config.Config
		given, want int
	}{
		{silent, -1, 8},
		{silent, 0, 20},
		{silent, 3, 3},
		{file(1), -1, 1},
		{file(0), -1, 20},
		{file(5), 2, 2},
		{slices.Concat(file(5), file(2), file(0), silent), -1, 2},
	} {
		if got := Workers(c.configs, c.given, 20, 8); got != c.want {
			t.Errorf("given %d: got %d, want %d", c.given, got, c.want)
		}
	}
}
