//go:build e2e

package e2e

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// webServer writes an image of a busybox that serves a page with the name of its pod.
func (p *project) webServer() {
	p.t.Helper()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		p.t.Fatal(err)
	}
	p.write("web/busybox", string(busybox))
	if err := os.Chmod(filepath.Join(p.dir, "web/busybox"), 0o755); err != nil {
		p.t.Fatal(err)
	}
	p.write("web/which", p.namespace)
	p.write("web/Dockerfile", `FROM scratch
COPY busybox which /bin/
ENTRYPOINT ["/bin/busybox", "sh", "-c", "echo \"{\\\"level\\\": \\\"info\\\", \\\"pod\\\": \\\"$HOSTNAME\\\", \\\"secret\\\": 1}\"; echo $HOSTNAME > /index.html; exec /bin/busybox httpd -f -p 8080 -h /"]
`)
}

// TestHooksLogsAndPorts runs commands here and in the containers around a deployment, and then shows its logs and holds its ports until Ctrl-C.
func TestHooksLogsAndPorts(t *testing.T) {
	p := newProject(t)
	p.webServer()
	p.write("skaffold.yaml", `apiVersion: skaffold/v4beta13
kind: Config
metadata: {name: shop}
build: {artifacts: [{image: web, context: web}]}
manifests: {rawYaml: [web.yaml]}
deploy:
  logs: {prefix: podAndContainer, jsonParse: {fields: [level, pod]}}
  kubectl:
    hooks:
      before:
      - host: {command: [sh, -c, "echo before in $SKAFFOLD_NAMESPACES of $SKAFFOLD_KUBE_CONTEXT"]}
      - host: {command: [echo, not here], os: [plan9]}
      - container: {command: [/bin/busybox, echo, there is none yet], podName: "web-*"}
      after:
      - container: {command: [/bin/busybox, sh, -c, "echo first in the container"], podName: "web-*", containerName: "ma*"}
      - container: {command: [/bin/busybox, sh, -c, "echo second >&2"], podName: "web-*"}
      - host: {command: [sh, -c, "echo after in ${PWD##*/}"], dir: web}
portForward:
- {resourceType: deployment, resourceName: web, port: http, localPort: 18081}
`)
	p.write("web.yaml", strings.Replace(sleeper("web"), "image: web", "image: web, ports: [{containerPort: 8080, name: http}], readinessProbe: {periodSeconds: 1, tcpSocket: {port: http}}", 1)+`---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
`)
	r := p.start("run", "--tail", "--port-forward")
	r.sees("Press Ctrl+C to exit")
	r.sees("level: info, pod: web-")
	page := func(of string) string {
		t.Helper()
		m := regexp.MustCompile(of + ` in namespace \S+, remote port \S+ -> (http://127.0.0.1:\d+)`).FindStringSubmatch(r.stdout.String())
		if m == nil {
			t.Fatalf("no port of %s in\n%s", of, r.stdout)
		}
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get(m[1] + "/index.html")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(body))
	}
	first := page("deployment/web")
	if second := page("service/web"); second != first {
		t.Errorf("the deployment leads to %q, the service to %q", first, second)
	}
	// The pod is replaced: its log and its ports go on.
	if err := suite.client.CoreV1().Pods(p.namespace).Delete(t.Context(), first, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	next := page("deployment/web")
	if next == first || !strings.HasPrefix(next, "web-") {
		t.Errorf("after %q came %q", first, next)
	}
	r.sees("[" + next + " main] level: info, pod: " + next)
	if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	r.wait().ok().says("[deploy] before in "+p.namespace+" of ", "deployment.apps/web created", "is ready", " main] first in the container", " main] second",
		"[deploy] after in web", "as built", "[web-").saysNot("not here", "there is none yet")

	p.replace("skaffold.yaml", "echo second >&2", "echo broken; exit 7")
	p.davit("run").fails(1).complains("after deploying", `echo broken; exit 7`, "pod web-", "container main", "exit code 7")
	p.replace("skaffold.yaml", `podName: "web-*"}`+"\n      - host", `podName: "nobody-*"}`+"\n      - host")
	p.davit("run").ok().complains("ran nowhere", "nobody-*")
	p.davit("run", "--port-forward=all").fails(2).complains("user, services, pods, debug or off")
}

// TestRequiredConfigsAreReadyFirst deploys a shop that needs a database to be there.
func TestRequiredConfigsAreReadyFirst(t *testing.T) {
	p := newProject(t)
	p.webServer()
	p.write("skaffold.yaml", `apiVersion: skaffold/v4beta13
kind: Config
metadata: {name: shop}
requires: [{path: db}]
build: {artifacts: [{image: web, context: web}]}
manifests: {rawYaml: [shop.yaml]}
---
apiVersion: skaffold/v4beta13
kind: Config
metadata: {name: other}
manifests: {rawYaml: [other.yaml]}
`)
	p.write("db/skaffold.yaml", `apiVersion: skaffold/v4beta13
kind: Config
metadata: {name: db}
manifests: {rawYaml: [db.yaml]}
`)
	deployment := func(name string) string {
		return strings.NewReplacer("name: web", "name: "+name, "app: web", "app: "+name).Replace(sleeper("web"))
	}
	p.write("db/db.yaml", strings.Replace(deployment("db"), "image: web", "image: web, readinessProbe: {initialDelaySeconds: 2, periodSeconds: 1, tcpSocket: {port: 8080}}", 1))
	p.write("shop.yaml", deployment("shop"))
	p.write("other.yaml", deployment("other"))
	p.davit("run").ok().says("deployment.apps/db created", "deployment.apps/db is ready", "deployment.apps/shop created", "deployment.apps/other created", "is ready", "is ready", "as built", "as built", "as built")
	p.davit("run", "-n", newNamespace(t), "--iterative-status-check=false").ok().says("deployment.apps/db created", "deployment.apps/shop created", "deployment.apps/other created", "deployment.apps/db is ready")
}

// TestKindsThatAreWaitedFor has a custom resource that is not ready, as its controller would say.
func TestKindsThatAreWaitedFor(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	group := p.namespace + ".example.org"
	p.write("skaffold.yaml", "apiVersion: skaffold/v4beta13\nkind: Config\nmetadata: {name: lamps}\nmanifests: {rawYaml: [lamp.yaml]}\ndeploy: {kubectl: {}, statusCheckDeadlineSeconds: 1}\n")
	p.write("lamp.yaml", strings.ReplaceAll(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: lamps.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {kind: Lamp, plural: lamps}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: GROUP/v1
kind: Lamp
metadata: {name: dim}
status: {conditions: [{type: Ready, status: "False", message: it is cold}]}
`, "GROUP", group))
	p.write("lamps.json", `{"selectors": [{"group": "`+group+`", "kind": "^La.p$"}]}`)
	p.write("others.json", `{"selectors": [{"group": "my.domain"}, {"group": "^$", "kind": "ConfigMap"}]}`)
	p.write("broken.json", `{"selectors": [{"kind": "("}]}`)
	defer p.davit("delete")
	p.davit("run").fails(1).complains("lamp."+group+"/dim (lamp.yaml:10)", "not ready after 1s", "it is cold")
	p.davit("run", "--status-check-selectors", "lamps.json").fails(1).complains("it is cold")
	p.davit("run", "--status-check-selectors", "others.json").ok().says("unchanged").saysNot("dim is ready")
	p.davit("run", "--status-check=false").ok()
	p.davit("run", "--status-check-selectors", "broken.json").fails(1).complains("--status-check-selectors", "missing closing )", `{"selectors": [{"group"`)
	p.replace("lamp.yaml", `"False"`, `"True"`)
	p.davit("run", "--status-check-selectors", "lamps.json").ok().says("dim configured", "dim is ready")
}

// TestDeadlines ends the wait for a pod that never comes: when the config says so, and when the Deployment itself does.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.write("skaffold.yaml", "apiVersion: skaffold/v4beta13\nkind: Config\nmetadata: {name: slow}\nmanifests: {rawYaml: [web.yaml]}\ndeploy: {kubectl: {}, statusCheckDeadlineSeconds: 3}\n")
	p.write("web.yaml", strings.Replace(sleeper("web"), "image: web", "image: 'localhost:5000/nobody/none:v1'", 1))
	p.davit("run", "--tolerate-failures-until-deadline").fails(1).complains("deployment.apps/web", "not ready after 3s")
	p.replace("skaffold.yaml", "Seconds: 3", "Seconds: 600, tolerateFailuresUntilDeadline: true")
	p.replace("web.yaml", "\nspec:\n", "\nspec:\n  progressDeadlineSeconds: 2\n")
	own := p.davit("run").fails(1).complains("deployment.apps/web").stderr
	if !strings.Contains(own, "not ready after 2s") && !strings.Contains(own, "no progress within its progressDeadlineSeconds") { // whoever says it first
		t.Errorf("it ended otherwise: %s", own)
	}
}
