//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// skaffold deploys the project as Skaffold does: with the real one where DAVIT_COMPAT_SKAFFOLD names it, else by its way of working, which is kubectl apply
// with a label that is another on each run.
func (p *project) skaffold(run string) {
	p.t.Helper()
	box := filepath.Join(suite.root, "bin", "kubebox")
	skaffold := os.Getenv("DAVIT_COMPAT_SKAFFOLD")
	if skaffold == "" {
		p.davit("render", "-a", "build.json", "-l", "skaffold.dev/run-id="+run, "-o", "rendered.yaml").ok()
		p.output(box, "kubectl", "-n", p.namespace, "apply", "-f", "rendered.yaml")
		return
	}
	tools := p.t.TempDir()
	if err := os.Symlink(box, filepath.Join(tools, "kubectl")); err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.CommandContext(p.t.Context(), skaffold, "deploy", "-a", "build.json", "-n", p.namespace, "--status-check=false")
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "KUBECONFIG="+suite.kubeconfig, "PATH="+tools+":"+os.Getenv("PATH"), "SKAFFOLD_UPDATE_CHECK=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("skaffold: %v\n%s", err, out)
	}
}

// TestAdoption goes from Skaffold to davit, back, and to davit again, on a set that runs.
func TestAdoption(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.webServer()
	p.write("skaffold.yaml", `apiVersion: skaffold/v4beta11
kind: Config
metadata: {name: shop}
build: {artifacts: [{image: web, context: web}]}
manifests: {rawYaml: [web.yaml, more.yaml]}
`)
	p.write("web.yaml", sleeper("web")+`---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec: {suspend: true, template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, containers: [{name: main, image: web}]}}}
`)
	p.write("more.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: more}, data: {a: b}}\n")
	p.davit("build", "--file-output", "build.json").ok()
	kubectl := func(args ...string) string {
		t.Helper()
		return p.output(filepath.Join(suite.root, "bin", "kubebox"), append([]string{"kubectl", "-n", p.namespace}, args...)...)
	}
	pod := func() (uid, run string) {
		t.Helper()
		kubectl("rollout", "status", "deployment", "web", "--timeout=120s")
		all := p.pods()
		if len(all) != 1 {
			t.Fatalf("there are %d pods", len(all))
		}
		return string(all[0].UID), all[0].Labels["skaffold.dev/run-id"]
	}
	p.skaffold("monday")
	before, run := pod()
	if run == "" {
		t.Fatal("the pod does not carry the label of a run")
	}
	// Nothing restarts, and what is immutable is left alone.
	p.davit("deploy", "-a", "build.json").ok().says("configmap/more configured", "deployment.apps/web configured", "job.batch/once configured", "as built")
	if after, _ := pod(); after != before {
		t.Error("adopting the Deployment replaced its pod")
	}
	p.davit("deploy", "-a", "build.json").ok().says("deployment.apps/web unchanged").saysNot("configured", "created")
	// It knows from then on what is its own.
	p.write("more.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: other}}\n")
	p.davit("deploy", "-a", "build.json", "--prune").ok().says("configmap/more pruned").saysNot("web pruned", "once pruned")

	// And back: Skaffold works with it, davit with what that leaves, and the label goes with the next change of the pods.
	p.skaffold("tuesday")
	if _, now := pod(); now == run {
		t.Error("the second run of Skaffold put no label of its own on the pod")
	}
	p.davit("deploy", "-a", "build.json").ok().says("as built")
	p.replace("web.yaml", "terminationGracePeriodSeconds: 0", "terminationGracePeriodSeconds: 1")
	p.davit("deploy", "-a", "build.json").ok().says("deployment.apps/web configured", "as built")
	if _, now := pod(); now != "" {
		t.Errorf("the pod still carries the label %s", now)
	}
	p.skaffold("wednesday")
	p.davit("delete").ok().says("deployment.apps/web deleted")
	if left := strings.TrimSpace(kubectl("get", "deploy,job,cm,secret,pod", "-o", "name", "--field-selector", "metadata.name!=kube-root-ca.crt")); left != "" && !strings.HasPrefix(left, "pod/web-") {
		t.Errorf("after delete there is %s", left)
	}
}
