//go:build e2e

package helm_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/deploy/helm"
	"github.com/davit-dev/davit/internal/kube"
	render "github.com/davit-dev/davit/internal/render/helm"
)

const hookChart = `
-- values.yaml --
script: exit 0
web: [/bin/busybox sleep 600]
-- templates/hooks.yaml --
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  annotations:
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-weight: "5"
    helm.sh/hook-output-log-policy: hook-succeeded,hook-failed
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: IMAGE, args: ['echo migrating; {{ .Values.script }}']}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: first, annotations: {helm.sh/hook: pre-install, helm.sh/hook-weight: "-1", helm.sh/hook-delete-policy: hook-succeeded}}
---
apiVersion: v1
kind: Pod
metadata: {name: after, annotations: {helm.sh/hook: post-install, helm.sh/hook-delete-policy: hook-succeeded}}
spec:
  restartPolicy: Never
  containers: [{name: main, image: IMAGE, args: [exit 0]}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: last, annotations: {helm.sh/hook: post-delete}}
-- templates/web.yaml --
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: {{ .Values.image | default "IMAGE" }}, args: {{ toJson .Values.web }}}]
`

func TestHooks(t *testing.T) {
	p := newPlace(t)
	r := p.chart("web", strings.ReplaceAll(hookChart, "IMAGE", p.image()))
	said := p.mustDeploy(r)
	expect(t, said, "configmap/first created", "job.batch/migrate created", "release web, hook migrate, main: migrating", "configmap/first deleted", "deployment.apps/web created",
		"pod/after created", "pod/after deleted", "release/web created")
	if !p.has(kind("batch", "Job"), "migrate") {
		t.Error("a hook without a policy is gone after its success")
	}

	// A failing hook ends the upgrade before anything of it is there, and the next one repairs.
	before, _ := p.Get(t.Context(), kind("apps", "Deployment"), p.namespace, "web")
	said, err := p.deploy(set(r, "script", "exit 3", "web", "{/bin/busybox sleep 700}"))
	expectError(t, err, "release web: pre-upgrade hook migrate: job.batch/migrate")
	expect(t, said, "job.batch/migrate deleted", "job.batch/migrate created", "release web, hook migrate, main: migrating")
	p.expectHistory("web", "1 deployed, 2 failed")
	if after, _ := p.Get(t.Context(), kind("apps", "Deployment"), p.namespace, "web"); after.GetGeneration() != before.GetGeneration() {
		t.Error("a failed hook did not keep the upgrade from the cluster")
	}
	p.mustDeploy(r)
	p.expectHistory("web", "1 superseded, 2 failed, 3 deployed")

	if err := p.deployer(helm.Options{}).Uninstall(t.Context(), []render.Release{r.Release}); err != nil {
		t.Fatal(err)
	}
	expect(t, p.said(), "deployment.apps/web deleted", "configmap/last created", "release/web deleted")
	if p.has(kind("apps", "Deployment"), "web") || !p.has(kind("", "ConfigMap"), "last") {
		t.Error("not what should be left is left")
	}
}

// testedChart has a test that is a Job and passes, and then one that is a pod and does what the value says.
const testedChart = `
-- values.yaml --
script: exit 0
-- templates/tests.yaml --
apiVersion: v1
kind: Pod
metadata: {name: "{{ .Release.Name }}-ping", annotations: {helm.sh/hook: test-success, helm.sh/hook-weight: "5", helm.sh/hook-delete-policy: "before-hook-creation,hook-succeeded"}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: IMAGE, args: ['{{ .Values.script }}']}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: "{{ .Release.Name }}-smoke", annotations: {helm.sh/hook: "test,post-delete", helm.sh/hook-output-log-policy: hook-succeeded}}
spec:
  template:
    spec: {restartPolicy: Never, terminationGracePeriodSeconds: 0, containers: [{name: main, image: IMAGE, args: [echo smoke]}]}
-- templates/config.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}"}
data: {script: {{ .Values.script | quote }}}
`

// tested deploys a release and runs its tests.
func (p *place) tested(r helm.Release) (tests int, said string, err error) {
	p.t.Helper()
	w, err := p.deployer(helm.Options{}).Prepare(p.t.Context(), []helm.Release{r}, untouched)
	if err == nil {
		_, err = w.Deploy(p.t.Context())
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.said()
	tests, err = w.Test(p.t.Context())
	return tests, p.said(), err
}

func TestChartTests(t *testing.T) {
	p := newPlace(t)
	r := p.chart("web", strings.ReplaceAll(testedChart, "IMAGE", p.image()))
	r.Install = []string{"--no-hooks"}                    // which is not about tests
	for _, verb := range []string{"created", "deleted"} { // tests run again where nothing changed, in the place of those before
		tests, said, err := p.tested(r)
		if err != nil || tests != 2 {
			t.Fatalf("%d tests: %v", tests, err)
		}
		expect(t, said, "job.batch/web-smoke "+verb, "release web, hook web-smoke, main: smoke", "pod/web-ping created", "pod/web-ping deleted",
			"release/web passed the tests of its chart in ", "s: web-smoke, web-ping")
	}
	_, said, err := p.tested(set(r, "script", "echo nobody is there; exit 3"))
	expectError(t, err, "release web: test hook web-ping: pod/web-ping", "pod web-ping, container main", "the container crashed with exit code 3", "its last log lines:\n    nobody is there")
	if strings.Contains(said, "passed") || !p.has(kind("", "Pod"), "web-ping") {
		t.Errorf("the failed test is gone, or is said to have passed:\n%s", said)
	}
	p.expectHistory("web", "1 superseded, 2 deployed")
	if tests, _, err := p.tested(p.chart("untested", plainChart)); tests != 0 || err != nil {
		t.Errorf("a chart without tests has %d: %v", tests, err)
	}
}

func TestAtomic(t *testing.T) {
	p := newPlace(t)
	image := p.image()
	r := p.chart("web", strings.ReplaceAll(hookChart, "IMAGE", image))
	r.Install = []string{"--no-hooks", "--atomic", "--timeout=10m"}
	r.Upgrade = r.Install
	_, err := p.deploy(set(r, "image", image+"-missing"))
	expectError(t, err, "deployment.apps/web", "was uninstalled, as --rollback-on-failure asks")
	p.expectHistory("web", "")
	if p.has(kind("apps", "Deployment"), "web") {
		t.Error("what was installed is left")
	}
	p.said()
	p.mustDeploy(r)
	_, err = p.deploy(set(r, "image", image+"-missing"))
	expectError(t, err, "deployment.apps/web", "went back to revision 1, as --rollback-on-failure asks")
	p.expectHistory("web", "1 superseded, 2 failed, 3 deployed")
}

func TestRecreatePods(t *testing.T) {
	p := newPlace(t)
	r := p.chart("web", strings.ReplaceAll(hookChart, "IMAGE", p.image())+"-- templates/config.yaml --\n"+
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config}\ndata: {script: {{ .Values.script | quote }}}\n")
	r.Install, r.Wait, r.RecreatePods = []string{"--no-hooks"}, true, true
	r.Upgrade = r.Install
	expect(t, p.mustDeploy(r), "deployment.apps/web created")
	pods := func() string {
		all, err := p.Pods(t.Context(), p.namespace, "app=web")
		if err != nil || len(all) == 0 {
			t.Fatal(all, err)
		}
		return all[len(all)-1].Name
	}
	before := pods()
	said := p.mustDeploy(set(r, "script", "exit 4"))
	expect(t, said, "deployment.apps/web unchanged", "pod/"+before+" deleted")
}

// rewritten is a record with another text in it, as another object.
func rewritten(t *testing.T, o kube.Object, name string, labels map[string]any, change *strings.Replacer) map[string]any {
	t.Helper()
	data, _ := o.Object["data"].(map[string]any)["release"].(string)
	for range 2 {
		plain, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			t.Fatal(err)
		}
		data = string(plain)
	}
	unpacked, err := gzip.NewReader(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(change.Replace(string(text)))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	again := base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString(packed.Bytes())))
	return map[string]any{"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "data": map[string]any{"release": again},
		"metadata": map[string]any{"name": name, "namespace": o.GetNamespace(), "labels": labels}}
}
