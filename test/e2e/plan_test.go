//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// plannedProject is a base, an image on it, a Secret and a ConfigMap, with tags that are others at every run.
func plannedProject(t *testing.T) *project {
	p := artifactsProject(t)
	p.write("skaffold.yaml", `apiVersion: skaffold/v4beta14
kind: Config
build:
  tagPolicy: {dateTime: {}}
  artifacts:
  - {image: base, context: base}
  - {image: web, context: web, requires: [{image: base, alias: BASE}]}
manifests: {rawYaml: [pods.yaml]}
`)
	p.write("pods.yaml", sleeper("web")+`---
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {password: hunter2}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue, text: "one\ntwo\nthree\n"}
`)
	return p
}

func TestPlan(t *testing.T) {
	p := plannedProject(t)
	first := p.davit("plan", "--exit-code").fails(2).says("+ base: is built and pushed as", "no entry yet", "? web: perhaps built", "it requires base",
		"+ create deployment.apps/web", "+ create secret/login", "1 image to build, 1 image perhaps to build, 3 objects to create.")
	if first.stderr != "" {
		t.Errorf("unexpected on stderr: %s", first.stderr)
	}
	p.nothingDeployed()
	p.davit("run", "-t", "v1").ok()
	p.davit("plan", "--exit-code", "-t", "v1").ok().says("= base: up to date", "= web: up to date", "= 3 objects unchanged", "Nothing to do.")

	before := p.generations()
	p.replace("pods.yaml", "hunter2", "swordfish")
	p.replace("pods.yaml", "two", "second")
	p.replace("pods.yaml", "colour: blue, ", "")
	p.write("web/page", "another")
	r := p.davit("plan", "-t", "v2").ok().says("~ base: up to date, but not yet tagged", "+ web: is built", "page changed",
		"spec.template.spec.containers[main].image: localhost:5000/web:v1@sha256:", "→ localhost:5000/web:v2@(to be built)",
		"~ data.password: another value (hidden)", "- data.colour: blue", "~ data.text:", "-two", "+second",
		"1 image to build, 1 image to tag, 3 objects to change.")
	for _, secret := range []string{"swordfish", "c3dvcmRmaXNo", "hunter2"} {
		if strings.Contains(r.stdout+r.stderr, secret) {
			t.Errorf("a secret shows:\n%s", r.stdout)
		}
	}
	if now := p.generations(); now != before {
		t.Errorf("a plan wrote to the cluster: %s, then %s", before, now)
	}
	if tags := p.tags("base"); strings.Contains(tags, "v2") {
		t.Errorf("a plan tagged: %s", tags)
	}

	var plan struct {
		Version   int
		Todo      bool
		Artifacts []struct{ Image, Action, Reference string }
		Objects   []struct {
			Resource, Action string
			Changes          []struct{ Path string }
		}
	}
	if err := json.Unmarshal([]byte(p.davit("plan", "-o", "json", "-t", "v2").ok().stdout), &plan); err != nil {
		t.Fatal(err)
	}
	if plan.Version != 1 || !plan.Todo || len(plan.Artifacts) != 2 || plan.Artifacts[1].Action != "build" || len(plan.Objects) != 3 || len(plan.Objects[0].Changes) != 1 {
		t.Errorf("got %+v", plan)
	}

	p.replace("pods.yaml", "selector: {matchLabels: {app: web}}", "selector: {matchLabels: {app: shop}}")
	p.replace("pods.yaml", "labels: {app: web}", "labels: {app: shop}")
	p.davit("plan").fails(1).says("! fail deployment.apps/web", "field is immutable", "--force").complains("the cluster would refuse 1 object")
	p.davit("plan", "--force").ok().says("-/+ replace deployment.apps/web")
	p.write("pods.yaml", sleeper("web"))
	p.davit("plan").ok().says("? orphan configmap/settings", "it stays", "? orphan secret/login")
}

// tags are those of a repository in the cluster's registry.
func (p *project) tags(repository string) string {
	return p.output("curl", "-sS", "http://localhost:5000/v2/"+repository+"/tags/list")
}

func TestSavedPlan(t *testing.T) {
	p := plannedProject(t)
	p.davit("plan", "--save", "first.json", "-l", "team=a").ok()
	file := filepath.Join(p.dir, "first.json")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the plan's file is %v, %v", info, err)
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), "hunter2") || strings.Contains(string(text), "aHVudGVyMg") {
		t.Errorf("the plan's file holds a secret, or %v", err)
	}
	p.davit("run", "--plan", "first.json", "-l", "team=b").fails(2).complains("--label is team=b", "was made with --label team=a")

	refused := func(why string, undo func()) {
		t.Helper()
		p.davit("run", "--plan", "first.json").fails(1).complains("the plan does not fit any more, so nothing was done", why)
		p.nothingDeployed()
		undo()
	}
	swap := func(name, old, with string) func() {
		p.replace(name, old, with)
		return func() { p.replace(name, with, old) }
	}
	refused("artifact web: its inputs changed", swap("web/page", "one", "two"))
	refused("artifact base: its inputs changed", swap("base/which", p.namespace, "else"))
	refused("the values in Secrets, or those of releases, changed", swap("pods.yaml", "hunter2", "hunter3"))
	refused("configmap/settings in namespace "+p.namespace+": its manifest changed", swap("pods.yaml", "colour: blue", "colour: red"))
	refused("the config skaffold.yaml changed", swap("skaffold.yaml", "kind: Config", "kind: Config\ndeploy: {statusCheckDeadlineSeconds: 99}"))

	var saved struct{ Artifacts []struct{ Reference string } }
	if err := json.Unmarshal(text, &saved); err != nil {
		t.Fatal(err)
	}
	p.davit("run", "--plan", "first.json").ok().says(saved.Artifacts[1].Reference, "as built")
	if labels := p.object("web").GetLabels(); labels["team"] != "a" {
		t.Errorf("the flags that the plan was made with were forgotten: %v", labels)
	}
	// It is carried out once: then there is no such thing to do any more.
	p.davit("run", "--plan", "first.json").fails(1).complains("artifact base: the plan says build, and now it would be unchanged",
		"deployment.apps/web in namespace "+p.namespace+": the plan says create, and now it would be unchanged")
	p.write("first.json", `{"version": 7}`)
	p.davit("run", "--plan", "first.json").fails(1).complains("first.json", "davit plan --save FILE")
}

// TestSavedPlanOfReleases has a Secret in a chart, with a value that is another one each time.
func TestSavedPlanOfReleases(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.write("skaffold.yaml", `apiVersion: skaffold/v4beta14
kind: Config
deploy: {helm: {releases: [{name: shop, chartPath: shop, valuesFiles: [values.yaml]}]}}
`)
	p.write("values.yaml", "password: hunter2\n")
	p.write("shop/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n")
	p.write("shop/templates/secret.yaml", `apiVersion: v1
kind: Secret
metadata: {name: login, annotations: {made: {{ randAlphaNum 12 }}}}
stringData: {password: {{ .Values.password }}, token: {{ randAlphaNum 12 }}}
`)
	p.davit("plan", "--save", "plan.json").ok().says("+ create release/shop", "+ create secret/login")
	text, err := os.ReadFile(filepath.Join(p.dir, "plan.json"))
	if err != nil || strings.Contains(string(text), "hunter2") || strings.Contains(string(text), "aHVudGVyMg") {
		t.Errorf("the plan's file holds a secret, or %v:\n%s", err, text)
	}
	p.write("values.yaml", "password: hunter3\n")
	p.davit("run", "--plan", "plan.json").fails(1).complains("the values in Secrets, or those of releases, changed")
	p.write("values.yaml", "password: hunter2\n")
	p.davit("run", "--plan", "plan.json").ok().says("secret/login created", "release/shop created")
	p.davit("plan", "--exit-code").ok().says("Nothing to do.")
	p.write("values.yaml", "password: hunter3\n")
	p.davit("plan", "--save", "plan.json").ok().says("~ change release/shop", "values changed: password", "~ change secret/login", "~ data.password: another value (hidden)",
		"metadata.annotations.made: ", "→ (another one each time)")
	p.davit("run", "--plan", "plan.json").ok().says("release/shop configured")
}

// TestPlanWithKpt has a script in the place of kpt, which cannot be installed everywhere: it says what kpt 1.0 says in a dry run.
func TestPlanWithKpt(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.write("skaffold.yaml", "apiVersion: skaffold/v4beta14\nkind: Config\nmanifests: {rawYaml: [more.yaml]}\ndeploy: {kpt: {}}\n")
	p.write("more.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: two}\n")
	said := func(what, name, status string) string {
		return `echo '{"type":"` + what + `","group":"","kind":"ConfigMap","name":"` + name + `","namespace":"` + p.namespace + `","status":"` + status + "}'\n"
	}
	p.write("bin/kpt", "#!/bin/sh\ncase \"$1 $2\" in\n'pkg init') echo 'kind: Kptfile' > \"$3/Kptfile\";;\n'live apply')\n"+
		"case \"$*\" in *--dry-run*) ;; *) echo 'not a dry run'; exit 1;; esac\n"+
		said("apply", "one", `Successful"`)+said("apply", "two", `Skipped","error":"inventory policy prevented actuation"`)+said("prune", "old", `Successful"`)+";;\nesac\n")
	p.output("chmod", "+x", "bin/kpt")
	p.env = []string{"PATH=" + filepath.Join(p.dir, "bin") + ":" + os.Getenv("PATH")}
	p.davit("plan").fails(1).says(", by kpt", "+ create configmap/one", "! fail configmap/two", "kpt does not apply it: inventory policy prevented actuation", "- prune configmap/old",
		"1 object to create, 1 object to prune, 1 object refused.")
	if _, err := os.Stat(filepath.Join(p.dir, ".kpt-pipeline")); err == nil {
		t.Error("a plan wrote a package")
	}
	p.davit("run").fails(1).complains("not a dry run")
}

func (p *project) object(name string) metav1.Object {
	p.t.Helper()
	d, err := suite.client.AppsV1().Deployments(p.namespace).Get(p.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}
