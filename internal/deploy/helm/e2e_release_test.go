//go:build e2e

package helm_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/deploy/helm"
	"github.com/davit-dev/davit/internal/kube"
	render "github.com/davit-dev/davit/internal/render/helm"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const plainChart = `
-- values.yaml --
greeting: hello
-- templates/config.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}, annotations: {} }
data:
  greeting: {{ .Values.greeting | quote }}
  revision: {{ .Release.Revision | quote }}
{{- if .Values.kept }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kept, annotations: {helm.sh/resource-policy: keep}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: dropped}
{{- end }}
`

func set(r helm.Release, values ...string) helm.Release {
	r.Set = nil
	for i := 0; i < len(values); i += 2 {
		r.Set = append(r.Set, render.Set{Key: values[i], Value: values[i+1]})
	}
	return r
}

func TestNothingChangedMakesNoRevision(t *testing.T) {
	p := newPlace(t)
	r := p.chart("web", plainChart)
	expect(t, p.mustDeploy(r), "configmap/web created", "release/web created")
	said, writes := func() (string, []string) {
		w, err := p.deployer(helm.Options{}).Prepare(t.Context(), []helm.Release{r}, untouched)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Deploy(t.Context()); err != nil {
			t.Fatal(err)
		}
		writes := p.writes
		return p.said(), writes
	}()
	expect(t, said, "release/web unchanged", "configmap/web unchanged")
	if len(writes) > 0 {
		t.Errorf("nothing changed, and it wrote %q", writes)
	}
	p.expectHistory("web", "1 deployed")
	expect(t, p.mustDeploy(set(r, "greeting", "hi")), "gets a new revision: values changed: greeting", "configmap/web configured")
	p.expectHistory("web", "1 superseded, 2 deployed")
	if got := p.data("web", "revision"); got != "2" {
		t.Errorf("the template saw revision %s", got)
	}
	p.chart("web", plainChart+"# a comment\n")
	expect(t, p.mustDeploy(set(r, "greeting", "hi")), "the chart changed: templates/config.yaml")
}

func TestWhatTheChartDropsGoes(t *testing.T) {
	p := newPlace(t)
	r := p.chart("web", plainChart)
	p.mustDeploy(set(r, "kept", "true"))
	expect(t, p.mustDeploy(set(r, "kept", "false")), "configmap/kept in namespace "+p.namespace+" stays", "configmap/dropped deleted")
	if !p.has(kind("", "ConfigMap"), "kept") || p.has(kind("", "ConfigMap"), "dropped") {
		t.Error("not what was to be kept is there")
	}
}

func TestHistoryIsLimited(t *testing.T) {
	p := newPlace(t)
	r := p.chart("web", plainChart)
	r.Upgrade = []string{"--history-max=3", "--description", "another one", "--labels", "team=shop"}
	for i := range 5 {
		p.mustDeploy(set(r, "greeting", fmt.Sprint(i)))
	}
	p.expectHistory("web", "3 superseded, 4 superseded, 5 deployed")
	records, err := p.Find(t.Context(), kind("", "Secret"), p.namespace, "team=shop,owner=helm,status=deployed,version=5")
	if err != nil || len(records) != 1 {
		t.Errorf("%d records carry the label: %v", len(records), err)
	}
}

func TestForeignObjectsAreRefused(t *testing.T) {
	p := newPlace(t)
	p.create(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "web", "namespace": p.namespace}})
	r := p.chart("web", plainChart)
	_, err := p.deploy(r)
	expectError(t, err, "release web: configmap/web in namespace "+p.namespace+" exists, and is not of this release", "--take-ownership in flags.install")
	p.expectHistory("web", "")
	r.Install = []string{"--take-ownership"}
	expect(t, p.mustDeploy(r), "configmap/web configured", "release/web created")
	if got := p.data("web", "greeting"); got != "hello" {
		t.Errorf("the greeting is %q", got)
	}
}

func TestStuckReleaseIsExplainedAndFreed(t *testing.T) {
	p := newPlace(t)
	r := p.chart("web", plainChart)
	p.mustDeploy(r)
	records, err := p.Find(t.Context(), kind("", "Secret"), p.namespace, "owner=helm,name=web")
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	// What kill -9 in the middle of an upgrade leaves: revision 2, pending.
	stuck := strings.NewReplacer(`"version":1`, `"version":2`, `"status":"deployed"`, `"status":"pending-upgrade"`)
	p.create(rewritten(t, records[0], "sh.helm.release.v1.web.v2", map[string]any{"name": "web", "owner": "helm", "status": "pending-upgrade", "version": "2"}, stuck))
	_, err = p.deploy(set(r, "greeting", "hi"))
	expectError(t, err, "release web in namespace "+p.namespace+" is pending-upgrade since 20", "(revision 2)", "run again with --force")
	said, err := p.deployWith(helm.Options{Force: true}, set(r, "greeting", "hi"))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, said, "configmap/web configured")
	p.expectHistory("web", "1 superseded, 2 failed, 3 deployed")
}

func TestRollback(t *testing.T) {
	p := newPlace(t)
	r := p.chart("web", plainChart)
	p.mustDeploy(set(r, "greeting", "one"))
	p.mustDeploy(set(r, "greeting", "two", "kept", "true"))
	d := p.deployer(helm.Options{})
	if _, err := d.Rollback(t.Context(), p.namespace, "web", 0, render.DefaultDeployment()); err != nil {
		t.Fatal(err)
	}
	p.expectHistory("web", "1 superseded, 2 superseded, 3 deployed")
	if got := p.data("web", "greeting"); got != "one" || p.has(kind("", "ConfigMap"), "dropped") {
		t.Errorf("the greeting is %q", got)
	}
	_, err := d.Rollback(t.Context(), p.namespace, "web", 9, render.DefaultDeployment())
	expectError(t, err, "rolling back release web: it has no revision 9: the oldest that is kept is 1")
	if applied, err := d.PutBack(t.Context(), p.namespace, "web", 1); err != nil || len(applied) > 0 {
		t.Errorf("it is revision 1 already, and was put back: %v %v", applied, err)
	}
}

func TestUndo(t *testing.T) {
	p := newPlace(t)
	old, fresh := p.chart("old", plainChart), p.chart("fresh", plainChart)
	p.mustDeploy(set(old, "greeting", "one"))
	w, err := p.deployer(helm.Options{}).Prepare(t.Context(), []helm.Release{set(old, "greeting", "two"), fresh}, untouched)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Deploy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Undo(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, p.said(), "release fresh was uninstalled", "release old went back to revision 1")
	p.expectHistory("fresh", "")
	p.expectHistory("old", "1 superseded, 2 superseded, 3 deployed")
	if got := p.data("old", "greeting"); got != "one" || p.has(kind("", "ConfigMap"), "fresh") {
		t.Errorf("the greeting is %q", got)
	}
}

// TestReleasesWithoutDependsOn has the first release bring the kind and the namespace that the second needs, as configs rely on that were written for releases one
// after the other.
func TestReleasesWithoutDependsOn(t *testing.T) {
	p := newPlace(t)
	group := strings.ReplaceAll(p.namespace, "-", "") + ".example.com"
	operator := p.chart("operator", `
-- crds/lamp.yaml --
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: lamps.`+group+`}
spec:
  group: `+group+`
  scope: Namespaced
  names: {kind: Lamp, plural: lamps}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
-- templates/config.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: operator}
data: {knows: {{ .Capabilities.APIVersions.Has "`+group+`/v1/Lamp" | quote }}}
`)
	user := p.chart("user", `
-- templates/lamp.yaml --
apiVersion: `+group+`/v1
kind: Lamp
metadata: {name: lamp}
on: true
---
apiVersion: v1
kind: ConfigMap
metadata: {name: user}
data: {found: {{ (lookup "v1" "ConfigMap" .Release.Namespace "operator").data | toJson | quote }}}
`)
	t.Cleanup(func() { p.remove(kind("apiextensions.k8s.io", "CustomResourceDefinition"), "", "lamps."+group) })
	expect(t, p.mustDeploy(operator, user), "lamp."+group+"/lamp created")
	if got := p.data("operator", "knows"); got != "true" {
		t.Errorf("a chart does not know its own definitions: %q", got)
	}
	if got := p.data("user", "found"); got != `{"knows":"true"}` {
		t.Errorf("what an earlier release made was not found: %s", got)
	}
	if err := p.deployer(helm.Options{}).Uninstall(t.Context(), []render.Release{operator.Release, user.Release}); err != nil {
		t.Fatal(err)
	}
	expect(t, p.said(), "release/", "deleted")
	if p.has(kind("", "ConfigMap"), "user") {
		t.Error("an uninstalled release left something")
	}
}

func TestDependsOn(t *testing.T) {
	p := newPlace(t)
	broken := p.chart("broken", `
-- templates/bad.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: "Not A Name"}
`)
	web, other := p.chart("web", plainChart), p.chart("other", plainChart)
	web.DependsOn = []string{"broken"}
	_, err := p.deploy(web, other, broken)
	expectError(t, err, "release broken: ", "release web: it is left alone, as broken, on which it depends, failed")
	p.expectHistory("web", "")
	p.expectHistory("other", "1 deployed")
	p.expectHistory("broken", "1 failed")
	broken.DependsOn = []string{"web"}
	_, err = p.deploy(web, broken)
	expectError(t, err, "releases depend on each other in a circle: web -> broken -> web")
}

func TestMissingNamespace(t *testing.T) {
	p := newPlace(t)
	r := p.chart("web", plainChart)
	r.Namespace = p.namespace + "-more"
	_, err := p.deploy(r)
	expectError(t, err, `release web: namespace "`+r.Namespace+`" does not exist: set createNamespace`)
	r.CreateNamespace = true
	t.Cleanup(func() { p.remove(kind("", "Namespace"), "", r.Namespace) })
	expect(t, p.mustDeploy(r), "namespace/"+r.Namespace+" created", "release/web created")

	// One that is on its way out takes nothing any more.
	r.Namespace = p.namespace + "-held"
	held := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "held", "namespace": r.Namespace, "finalizers": []any{"example.org/never"}}}
	p.create(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": r.Namespace}})
	p.create(held)
	p.remove(kind("", "Namespace"), "", r.Namespace)
	t.Cleanup(func() {
		free, err := kube.NewObject(held, "")
		if err == nil {
			free.SetFinalizers(nil)
			err = p.Replace(context.WithoutCancel(t.Context()), free, "test")
		}
		if err != nil {
			t.Error(err)
		}
	})
	_, err = p.deploy(r)
	expectError(t, err, "release web: ", "the namespace is being deleted: wait until it is gone, then run again")
}

func TestRemoteAndKeptReleases(t *testing.T) {
	p := newPlace(t)
	r := p.chart("web", plainChart)
	p.mustDeploy(r)
	r.Keep = true
	expect(t, p.mustDeploy(set(r, "greeting", "hi")), "is installed already, and is not upgraded", "release/web unchanged")
	p.expectHistory("web", "1 deployed")
}

func TestFlagsOnlyHelmKnows(t *testing.T) {
	p := newPlace(t)
	r := p.chart("web", plainChart)
	r.Install = []string{"--kube-as-user=somebody"}
	_, err := p.deploy(r)
	expectError(t, err, "release web: ", "--kube-as-user", "install helm")
}

func TestPackaged(t *testing.T) {
	p := newPlace(t)
	r := p.chart("web", plainChart)
	r.Package = &render.Package{Version: "2.0.0", AppVersion: "seven"}
	p.mustDeploy(r)
	all, err := p.deployer(helm.Options{}).History(t.Context(), p.namespace, "web")
	if err != nil || len(all) != 1 || all[0].Chart != "web-2.0.0" || all[0].App != "seven" {
		t.Errorf("the release is %+v, %v", all, err)
	}
}

func TestConfigMapsAsRecords(t *testing.T) {
	p := newPlace(t)
	r := p.chart("web", plainChart)
	for range 2 {
		if _, err := p.deployWith(helm.Options{Driver: "configmap"}, r); err != nil {
			t.Fatal(err)
		}
	}
	if !p.has(kind("", "ConfigMap"), "sh.helm.release.v1.web.v1") || p.has(kind("", "ConfigMap"), "sh.helm.release.v1.web.v2") {
		t.Error("the record is not kept as one ConfigMap")
	}
	_, err := helm.New(p.Client, helm.Options{Driver: "sql"}, p)
	expectError(t, err, "HELM_DRIVER is sql")
}

// TestTakesOver is what Helm 3 leaves: objects that it wrote on the client's side.
func TestTakesOver(t *testing.T) {
	p := newPlace(t)
	marks := map[string]any{"labels": map[string]any{"app.kubernetes.io/managed-by": "Helm"},
		"annotations": map[string]any{"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": p.namespace}}
	object, err := kube.NewObject(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"greeting": "old", "left": "behind"},
		"metadata": map[string]any{"name": "web", "namespace": p.namespace, "labels": marks["labels"], "annotations": marks["annotations"]}}, "")
	if err == nil {
		err = p.Create(t.Context(), object, "helm")
	}
	if err != nil {
		t.Fatal(err)
	}
	said := p.mustDeploy(p.chart("web", plainChart))
	expect(t, said, "configmap/web configured")
	if strings.Contains(said, "took over") {
		t.Errorf("helm's own fields count as another's:\n%s", said)
	}
	if got := p.data("web", "left"); got != "" {
		t.Errorf("a field that left the chart stays: %q", got)
	}
}

// The label of a run that Skaffold gives its releases makes no revision, and their pods keep it until they change.
func TestTakesOverFromSkaffold(t *testing.T) {
	p := newPlace(t)
	r := p.chart("web", `
-- templates/web.yaml --
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, annotations: {greeting: {{ .Values.greeting }}}}
spec: {replicas: 0, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: example.org/none}]}}}
`)
	labelled := r
	labelled.Chart = p.chart("labelled", `
-- templates/web.yaml --
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {skaffold.dev/run-id: monday}, annotations: {greeting: {{ .Values.greeting }}}}
spec: {replicas: 0, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web, skaffold.dev/run-id: monday}}, spec: {containers: [{name: main, image: example.org/none}]}}}
`).Chart
	p.mustDeploy(set(labelled, "greeting", "one"))
	records, err := p.Find(t.Context(), kind("", "Secret"), p.namespace, "owner=helm,name=web")
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	plain, err := os.ReadFile(filepath.Join(r.Chart, "templates", "web.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	changed, err := os.ReadFile(filepath.Join(labelled.Chart, "templates", "web.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	// Skaffold's label comes after the chart, which is what it is.
	encoded := base64.StdEncoding.EncodeToString
	text := strings.NewReplacer(encoded(changed), encoded(plain), `"name":"labelled"`, `"name":"web"`)
	p.remove(kind("", "Secret"), p.namespace, records[0].GetName())
	p.create(rewritten(t, records[0], records[0].GetName(), map[string]any{"name": "web", "owner": "helm", "status": "deployed", "version": "1"}, text))
	expect(t, p.mustDeploy(set(r, "greeting", "one")), "release/web unchanged", "deployment.apps/web unchanged")
	expect(t, p.mustDeploy(set(r, "greeting", "two")), "deployment.apps/web configured", "release/web configured")
	live, err := p.Get(t.Context(), kind("apps", "Deployment"), p.namespace, "web")
	if err != nil {
		t.Fatal(err)
	}
	if _, kept, _ := unstructured.NestedString(live.Object, "spec", "template", "metadata", "labels", kube.LabelRunID); !kept || live.GetLabels()[kube.LabelRunID] != "" {
		t.Errorf("the Deployment is labelled %v, its pods %v", live.GetLabels(), kept)
	}
}

func TestInterruptedReleaseIsNotStuck(t *testing.T) {
	p := newPlace(t)
	r := p.chart("web", strings.ReplaceAll(hookChart, "IMAGE", p.image()))
	r = set(r, "script", "/bin/busybox sleep 60")
	w, err := p.deployer(helm.Options{}).Prepare(t.Context(), []helm.Release{r}, untouched)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for p.history("web") != "1 pending-install" {
			time.Sleep(50 * time.Millisecond)
		}
		cancel()
	}()
	if _, err := w.Deploy(ctx); err == nil {
		t.Fatal("it went on after being interrupted")
	}
	p.expectHistory("web", "1 failed")
}
