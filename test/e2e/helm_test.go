//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// chart writes a chart with a Deployment of the app, a ConfigMap, hooks and notes.
func (p *project) chart() {
	p.write("chart/Chart.yaml", "apiVersion: v2\nname: web\nversion: 0.1.0\nappVersion: \"7\"\n")
	p.write("chart/values.yaml", "image: ''\ngreeting: hello\nextra: false\nmigrate: [/bin/true]\n")
	p.write("chart/templates/web.yaml", `apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata:
      labels: {app: {{ .Release.Name }}}
      annotations: {greeting: {{ .Values.greeting | quote }}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: web
        image: {{ .Values.image }}
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
{{- if .Values.extra }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-extra
data: {a: b}
{{- end }}
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ .Release.Name }}
stringData: {password: {{ randAlphaNum 12 }}}
`)
	p.write("chart/templates/NOTES.txt", "Thanks for {{ .Release.Name }}, revision {{ .Release.Revision }}.\n")
}

// records are the revisions of a release as their Secrets name them: "1:superseded 2:deployed".
func (p *project) records(release string) string {
	p.t.Helper()
	found, err := suite.client.CoreV1().Secrets(p.namespace).List(p.t.Context(), metav1.ListOptions{LabelSelector: "owner=helm,name=" + release})
	if err != nil {
		p.t.Fatal(err)
	}
	all := make([]string, 0, len(found.Items))
	for _, s := range found.Items {
		if s.Type != "helm.sh/release.v1" || s.Name != fmt.Sprintf("sh.helm.release.v1.%s.v%s", release, s.Labels["version"]) {
			p.t.Errorf("secret %s of type %s is not as helm keeps releases", s.Name, s.Type)
		}
		all = append(all, s.Labels["version"]+":"+s.Labels["status"])
	}
	return strings.Join(all, " ")
}

const releaseConfig = `apiVersion: skaffold/v4beta13
kind: Config
metadata: {name: web}
build:
  artifacts:
  - image: my-web-app
    hooks:
      before:
      - command: ["sh", "-c", "CGO_ENABLED=0 go build -trimpath -o my-web-app main.go"]
deploy:
  helm:
    releases:
    - name: web
      chartPath: chart
      setValueTemplates:
        image: "{{.IMAGE_REPO_my_web_app}}:{{.IMAGE_TAG_my_web_app}}@{{.IMAGE_DIGEST_my_web_app}}"
`

// TestRelease follows a release from its installation over runs with nothing to do, an edit, values that take something away, and drift, to its end.
func TestRelease(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.chart()
	p.write("skaffold.yaml", releaseConfig)

	p.davit("run").ok().says("deployment.apps/web created", "release/web created", "Thanks for web, revision 1.", "deployment.apps/web: 1 pod runs sha256:", "as built")
	if got := p.records("web"); got != "1:deployed" {
		t.Errorf("the records are %s", got)
	}

	before := p.versionsOf("web")
	p.davit("run").ok().says("release/web unchanged", "deployment.apps/web unchanged", "1 pod runs sha256:", "as built").saysNot("created", "configured", "Thanks for")
	if after := p.versionsOf("web"); after != before {
		t.Errorf("a run with nothing to do moved resource versions:\nbefore %s\nafter  %s", before, after)
	}

	p.replace("page/index.html", "Hello", "Goodbye")
	p.replace("skaffold.yaml", "      setValueTemplates:", "      setValues: {extra: true}\n      setValueTemplates:")
	p.davit("run").ok().says("deployment.apps/web configured", "release/web configured", "Thanks for web, revision 2.", "as built")
	if got := p.records("web"); got != "1:superseded 2:deployed" {
		t.Errorf("the records are %s", got)
	}

	p.replace("skaffold.yaml", "      setValues: {extra: true}\n", "")
	p.davit("run").ok().says("configmap/web-extra deleted", "release/web configured")

	if err := suite.client.CoreV1().Secrets(p.namespace).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	p.davit("run").ok().says("release/web unchanged", "secret/web created", "secret/web was not as revision 3 has it, and is put back")

	p.davit("delete").ok().says("Cleaning up...", "deployment.apps/web deleted", "release/web deleted")
	if _, err := suite.client.AppsV1().Deployments(p.namespace).Get(t.Context(), "web", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after delete, getting the deployment gives %v", err)
	}
	if got := p.records("web"); got != "" {
		t.Errorf("after delete, the records %s are left", got)
	}
	p.davit("delete").ok()
}

// versionsOf are the resource versions of a Deployment and of all that belongs to its release.
func (p *project) versionsOf(name string) string {
	p.t.Helper()
	d, err := suite.client.AppsV1().Deployments(p.namespace).Get(p.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	all := []string{"deployment " + fmt.Sprint(d.Generation)}
	secrets, err := suite.client.CoreV1().Secrets(p.namespace).List(p.t.Context(), metav1.ListOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, s := range secrets.Items {
		all = append(all, s.Name+" "+s.ResourceVersion)
	}
	return strings.Join(all, ", ")
}

// TestReleasesTogether plans, deploys, fails and goes back with two releases, of which one depends on the other.
func TestReleasesTogether(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.write("chart/Chart.yaml", "apiVersion: v2\nname: small\nversion: 0.1.0\n")
	p.write("chart/values.yaml", "name: fine\ngreeting: hello\n")
	p.write("chart/templates/config.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"{{ .Release.Name }}-{{ .Values.name }}\"}\ndata: {greeting: {{ .Values.greeting }}}\n")
	p.write("skaffold.yaml", `apiVersion: skaffold/v4beta13
kind: Config
metadata: {name: small}
deploy:
  helm:
    hooks:
      before: [{host: {command: [echo, getting ready]}}]
      after: [{host: {command: [echo, all is there]}}]
    releases:
    - name: second
      chartPath: chart
      dependsOn: [first]
      setValues: {name: fine}
    - name: first
      chartPath: chart
      setValues: {greeting: hello}
`)
	p.davit("plan", "--exit-code").fails(2).says("create release/second", "create configmap/second-fine", "create release/first", "4 objects to create")
	p.davit("run").ok().says("getting ready", "configmap/first-fine created", "release/first created", "configmap/second-fine created", "release/second created", "all is there")
	made, err := suite.client.CoreV1().ConfigMaps(p.namespace).Get(t.Context(), "first-fine", metav1.GetOptions{})
	if err != nil || made.Labels["app.kubernetes.io/managed-by"] != "Helm" || made.Annotations["meta.helm.sh/release-name"] != "first" {
		t.Errorf("the object is marked %v %v: %v", made.Labels, made.Annotations, err)
	}
	p.davit("plan", "--exit-code").ok().says("4 objects unchanged", "Nothing to do")

	p.replace("skaffold.yaml", "greeting: hello", "greeting: goodbye")
	p.davit("plan").ok().says("change release/first", "values changed: greeting", "data.greeting: hello → goodbye", "2 objects unchanged")
	p.replace("skaffold.yaml", "name: fine", "name: Not-Valid")
	failed := p.davit("run", "--rollback-on-failure").fails(1).complains("release second: ", "second-Not-Valid")
	failed.says("release/first configured", "release first", "went back to revision 1")
	made, err = suite.client.CoreV1().ConfigMaps(p.namespace).Get(t.Context(), "first-fine", metav1.GetOptions{})
	if err != nil || made.Data["greeting"] != "hello" {
		t.Errorf("after the rollback the object says %v: %v", made.Data, err)
	}
	p.replace("skaffold.yaml", "name: Not-Valid", "name: fine")
	p.davit("run").ok().says("release/first configured")
	if got := p.records("first"); got != "1:superseded 2:superseded 3:superseded 4:deployed" {
		t.Errorf("the records are %s", got)
	}
	p.davit("delete").ok().says("release/second deleted", "release/first deleted")
}

// TestChartTests runs the test of a chart after a release, and goes back when it fails.
func TestChartTests(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.webServer()
	p.write("chart/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 0.1.0\nappVersion: \"7\"\n")
	p.write("chart/templates/all.yaml", `apiVersion: v1
kind: ConfigMap
metadata: {name: shop}
data: {script: {{ .Values.script }}}
---
apiVersion: v1
kind: Pod
metadata: {name: shop-ping, annotations: {helm.sh/hook: test}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: web, command: [/bin/busybox, sh, -c, {{ .Values.script }}]}]
`)
	p.write("skaffold.yaml", `apiVersion: skaffold/v4beta13
kind: Config
metadata: {name: shop, annotations: {davit.dev/chart-tests: "true"}}
build: {artifacts: [{image: web, context: web}]}
deploy:
  helm: {releases: [{name: shop, chartPath: chart, setValues: {script: "exit 0"}}]}
`)
	p.davit("run").ok().says("release/shop created", "Starting test...", "pod/shop-ping created", "release/shop passed the tests of its chart in", "s: shop-ping")
	p.replace("skaffold.yaml", "exit 0", "echo nobody answers; exit 3")
	p.davit("plan").ok().says("change release/shop", "(the tests of its chart run once it is ready)")
	p.davit("run", "--rollback-on-failure").fails(1).complains("release shop: test hook shop-ping: pod/shop-ping", "container main: ", "the container crashed with exit code 3", "    nobody answers").
		says("release/shop configured", "went back to revision 1")
	p.davit("run", "--chart-tests=false").ok().says("release/shop configured").saysNot("pod/shop-ping", "Starting test")
	p.davit("history").ok().says("davit-shop in namespace "+p.namespace, "\n  4 ", "release shop 4", "\n  3 ", "rollback to 1", "\n  2 ", "failed ", "release shop 2", "\n  1 ",
		"\n  release shop in namespace "+p.namespace, "\n    4 ", "deployed ", "shop-0.1.0  7 ", "revision 4 ", "\n    3 ", "superseded ", "- ", "Rollback to 1",
		"\n    2 ", "revision 2 ", "\n    1 ", "revision 1 ", "Install complete")
	p.davit("apply", "--chart-tests", "skaffold.yaml").fails(1).complains("davit apply deploys no releases")
}
