//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestRollback deploys, breaks, goes back by itself and by hand.
func TestRollback(t *testing.T) {
	p := newProject(t)
	p.webServer()
	p.write("skaffold.yaml", `apiVersion: skaffold/v4beta13
kind: Config
metadata: {name: shop}
build: {artifacts: [{image: web, context: web}]}
manifests: {rawYaml: [web.yaml, more.yaml]}
`)
	// The probe keeps a pod that takes its time to crash from counting as ready.
	p.write("web.yaml", strings.Replace(sleeper("web"), "image: web", "image: web, readinessProbe: {periodSeconds: 1, tcpSocket: {port: 8080}}", 1))
	p.write("more.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: first}}\n")
	p.davit("run").ok().says("deployment.apps/web created", "as built")
	good := p.running()
	versions := p.historyVersions()
	p.davit("run").ok().says("unchanged")
	if now := p.historyVersions(); now != versions || !strings.Contains(now, "davit-shop.v1=") {
		t.Errorf("a run that changed nothing left something in the history: %s, before %s", now, versions)
	}

	// A failing deployment is taken back, and stays a failure.
	p.write("web/which", p.namespace+" broken")
	const runs, breaks = `echo $HOSTNAME > /index.html`, `echo I am broken; exit 3`
	p.replace("web/Dockerfile", runs, breaks)
	p.write("more.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: second}}\n")
	p.davit("run", "--rollback-on-failure", "--prune").fails(1).
		says("configmap/first pruned", "Rolling back davit-shop in namespace "+p.namespace+" to revision 1", "configmap/first created", "configmap/second pruned",
			"deployment.apps/web: 1 pod runs "+good, "davit-shop in namespace "+p.namespace+" is back at revision 1").
		complains("deployment.apps/web", "I am broken")
	if now := p.running(); now != good {
		t.Errorf("after rolling back, %s runs, before it was %s", now, good)
	}
	p.davit("history").ok().says("REVISION", "3", "deployed", "rollback to 1", "2", "failed", "1", "deployed", "2 created")

	// Mended, and yet not wanted.
	p.replace("web/Dockerfile", breaks, runs)
	p.davit("run", "--prune").ok().says("configmap/second created", "configmap/first pruned", "as built")
	if p.running() == good {
		t.Error("the new image does not run")
	}
	p.davit("rollback").ok().says("to revision 3", "1 pod runs "+good, "is back at revision 3")
	if now := p.running(); now != good {
		t.Errorf("after rolling back, %s runs, before it was %s", now, good)
	}
	var all []struct {
		Revisions []struct {
			Revision             int
			Status, Note, Commit string
			Images               []struct{ Image, Reference string }
		}
	}
	if err := json.Unmarshal([]byte(p.davit("history", "-o", "json").ok().stdout), &all); err != nil {
		t.Fatal(err)
	}
	last := all[0].Revisions[0]
	if last.Revision != 5 || last.Note != "rollback to 3" || last.Commit == "" || len(last.Images) != 1 || !strings.Contains(last.Images[0].Reference, good) {
		t.Errorf("the history says %+v", last)
	}
	p.davit("rollback", "4").ok().says("is back at revision 4")
	p.davit("rollback", "99").fails(1).complains("there is no revision 99")
	p.davit("rollback", "x").fails(2).complains(`"x" is no revision`)
	p.davit("diff", "--exit-code", "--prune").ok()
	p.davit("delete").ok()
	for p.historyVersions() != "" { // the cluster's garbage collector takes it with the inventory
		time.Sleep(50 * time.Millisecond)
	}
	p.davit("rollback").fails(1).complains("there is no history")
}

// historyVersions lists the resource versions of the history and of the inventories.
func (p *project) historyVersions() string {
	p.t.Helper()
	secrets, err := suite.client.CoreV1().Secrets(p.namespace).List(p.t.Context(), metav1.ListOptions{LabelSelector: "davit.dev/history"})
	if err != nil {
		p.t.Fatal(err)
	}
	maps, err := suite.client.CoreV1().ConfigMaps(p.namespace).List(p.t.Context(), metav1.ListOptions{LabelSelector: "applyset.kubernetes.io/id"})
	if err != nil {
		p.t.Fatal(err)
	}
	var all []string
	for _, s := range secrets.Items {
		all = append(all, s.Name+"="+s.ResourceVersion)
	}
	for _, m := range maps.Items {
		all = append(all, m.Name+"="+m.ResourceVersion)
	}
	return strings.Join(all, " ")
}

// plain makes the project one of many ConfigMaps and a Deployment without pods, of this generation.
func (p *project) plain(generation, objects int) {
	p.t.Helper()
	var b strings.Builder
	for i := range objects {
		fmt.Fprintf(&b, "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: c%d}, data: {generation: \"%d\"}}\n", i, generation)
	}
	fmt.Fprintf(&b, `---
{apiVersion: v1, kind: ConfigMap, metadata: {name: only-%[1]d}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, annotations: {generation: "%[1]d"}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: example.org/web:%[1]d}]}}
`, generation)
	p.write("all.yaml", b.String())
	p.write("skaffold.yaml", "apiVersion: skaffold/v4beta13\nkind: Config\nmetadata: {name: plain}\nmanifests: {rawYaml: [all.yaml]}\n")
}

// TestTwoConfigsOfOneNamespace prunes and moves objects of configs beside each other.
func TestTwoConfigsOfOneNamespace(t *testing.T) {
	p := newProject(t)
	p.write("skaffold.yaml", `apiVersion: skaffold/v4beta13
kind: Config
metadata: {name: one}
manifests: {rawYaml: [one.yaml]}
---
apiVersion: skaffold/v4beta13
kind: Config
metadata: {name: two}
manifests: {rawYaml: [two.yaml]}
`)
	object := func(name string) string {
		return "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: " + name + "}}\n"
	}
	p.write("one.yaml", object("a")+object("moves")+object("goes"))
	p.write("two.yaml", object("b"))
	p.davit("run").ok()
	p.write("one.yaml", object("a"))
	p.write("two.yaml", object("b")+object("moves"))
	p.davit("plan", "--prune").ok().says("- prune configmap/goes").saysNot("prune configmap/moves", "orphan")
	moved := p.davit("run", "--prune").ok().says("configmap/goes pruned", "configmap/moves configured")
	if moved.stderr != "" {
		t.Errorf("warned: %s", moved.stderr)
	}
	p.davit("run", "--prune", "-m", "one").ok().saysNot("pruned")
	p.davit("rollback").ok().says("configmap/moves configured", "configmap/goes created")
	p.davit("delete", "-m", "two").ok().says("configmap/b deleted").saysNot("configmap/a", "configmap/moves")
}

// TestKubectlChangesAndDavitToo works on the same objects with the real kubectl.
func TestKubectlChangesAndDavitToo(t *testing.T) {
	p := newProject(t)
	kubectl := func(args ...string) string {
		t.Helper()
		return p.output(filepath.Join(suite.root, "bin", "kubebox"), append([]string{"kubectl", "-n", p.namespace}, args...)...)
	}
	p.plain(1, 2)
	// What kubectl made goes over to davit, and no pod is touched.
	kubectl("apply", "-f", "all.yaml")
	generation := func() string { return kubectl("get", "deployment", "web", "-o", "jsonpath={.spec}") }
	before := generation()
	p.davit("diff").ok()
	p.davit("run").ok()
	if after := generation(); after != before {
		t.Errorf("the Deployment was\n%s\nand is\n%s", before, after)
	}
	p.davit("run").ok().saysNot("configured", "created")
	// kubectl finds nothing to change in what davit made, and davit nothing in what kubectl applied to it.
	kubectl("apply", "-f", "all.yaml")
	if after := generation(); after != before {
		t.Errorf("after kubectl the Deployment was\n%s\nand is\n%s", before, after)
	}
	p.davit("diff", "--exit-code").ok()
	// What kubectl changes shows, is put back, and what leaves the manifest goes, whoever applied it.
	kubectl("patch", "configmap", "c0", "-p", `{"data":{"generation":"hand"}}`)
	p.davit("diff", "--exit-code").fails(2).says("~ change configmap/c0", "data.generation", "- hand", `+ 1`)
	p.replace("all.yaml", `metadata: {name: c1}, data: {generation: "1"}`, `metadata: {name: c1}`)
	p.davit("run").ok().says("configmap/c0 configured", "configmap/c1 configured")
	if data := kubectl("get", "configmap", "c0", "c1", "-o", "jsonpath={.items[*].data}"); data != `{"generation":"1"}` {
		t.Errorf("the ConfigMaps hold %s", data)
	}
	// Flags of kubectl: those that davit carries out, and those that only kubectl does.
	p.write("skaffold.yaml", "apiVersion: skaffold/v4beta13\nkind: Config\nmetadata: {name: plain}\nmanifests: {rawYaml: [all.yaml]}\ndeploy: {kubectl: {flags: {apply: [--server-side]}}}\n")
	kubectl("patch", "configmap", "c0", "-p", `{"data":{"generation":"hand"}}`)
	p.davit("run").fails(1).complains("configmap/c0", `.data.generation owned by "kubectl-patch"`)
	p.replace("skaffold.yaml", "[--server-side]", "[--record=true]")
	p.env = append(p.env, "PATH="+t.TempDir())
	p.davit("run").fails(1).complains("skaffold.yaml:5:", "--record is a flag that only the kubectl command knows", "install kubectl")
	kubectlDir := t.TempDir()
	if out, err := exec.Command("ln", "-s", filepath.Join(suite.root, "bin", "kubebox"), filepath.Join(kubectlDir, "kubectl")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p.env = append(p.env, "PATH="+kubectlDir)
	p.davit("run").ok().says("Running kubectl apply --record=true", "configmap/c0 configured")
	if cause := kubectl("get", "configmap", "c0", "-o", "jsonpath={.metadata.annotations.kubernetes\\.io/change-cause}"); !strings.Contains(cause, "kubectl apply") {
		t.Errorf("kubectl was not run: %q", cause)
	}
	doomed := p.davit("delete", "--dry-run").ok()
	names := strings.Count(doomed.stdout, "kind: ConfigMap") + strings.Count(doomed.stdout, "kind: Deployment")
	if names != 4 {
		t.Errorf("would delete\n%s", doomed.stdout)
	}
	p.davit("delete").ok()
}

// TestPreflight refuses before anything is built what the cluster would refuse afterwards.
func TestPreflight(t *testing.T) {
	p := newProject(t)
	p.replace("k8s/deployment.yaml", "name: my-web-app\nspec", "name: my-web-app\n  namespace: e2e-nowhere\nspec")
	p.davit("run", "--preflight").fails(1).complains("so nothing was done", `namespace "e2e-nowhere" does not exist`).saysNot("Starting build")
	p.davit("plan").fails(1).says(`! namespace "e2e-nowhere" does not exist`)
	var preflight struct {
		Preflight struct {
			Version    string
			Namespaces map[string]string
		}
	}
	if err := json.Unmarshal([]byte(p.davit("plan", "-o", "json").stdout), &preflight); err != nil {
		t.Fatal(err)
	}
	if found := preflight.Preflight; !strings.HasPrefix(found.Version, "v1.") || found.Namespaces["e2e-nowhere"] != "missing" || found.Namespaces[p.namespace] != "exists" {
		t.Errorf("got %+v", found)
	}
}
