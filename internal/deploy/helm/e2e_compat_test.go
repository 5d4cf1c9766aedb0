//go:build e2e

package helm_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/deploy/helm"
)

// TestWithHelm lets the helm command that DAVIT_COMPAT_HELM names, of Helm 3 or 4, read and change what davit deployed, and the other way round.
func TestWithHelm(t *testing.T) {
	binary := os.Getenv("DAVIT_COMPAT_HELM")
	if binary == "" {
		t.Skip("set DAVIT_COMPAT_HELM to a helm binary")
	}
	p := newPlace(t)
	command := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(binary, append(args, "-n", p.namespace)...)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+os.Getenv("DAVIT_TEST_KUBECONFIG"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("helm %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	r := p.chart("web", plainChart+"-- templates/NOTES.txt --\nThanks for {{ .Release.Name }}.\n")
	p.mustDeploy(set(r, "greeting", "one"))
	expect(t, command("list"), "web", p.namespace, "1", "deployed", "web-0.1.0")
	expect(t, command("get", "values", "web"), "greeting: one")
	expect(t, command("get", "manifest", "web"), "# Source: web/templates/config.yaml", "greeting: \"one\"")
	expect(t, command("get", "notes", "web"), "Thanks for web.")
	expect(t, command("status", "web"), "STATUS: deployed", "REVISION: 1")

	command("upgrade", "web", r.Chart, "--set", "greeting=two,kept=true")
	if got := p.data("web", "greeting"); got != "two" || !p.has(kind("", "ConfigMap"), "dropped") {
		t.Fatalf("helm's upgrade gave %q", got)
	}
	said := p.mustDeploy(set(r, "greeting", "one"))
	expect(t, said, "values changed: greeting, kept", "configmap/web configured", "configmap/dropped deleted")
	if strings.Contains(said, "took over") {
		t.Errorf("davit and helm got into each other's way:\n%s", said)
	}
	command("rollback", "web", "2")
	expect(t, p.mustDeploy(set(r, "greeting", "one")), "configmap/web configured")
	p.expectHistory("web", "1 superseded, 2 superseded, 3 superseded, 4 superseded, 5 deployed")

	// Each of the two reads how the tests went that the other ran.
	tested := set(p.chart("tested", strings.ReplaceAll(testedChart, "IMAGE", p.image())), "script", "sleep 1")
	if _, _, err := p.tested(tested); err != nil {
		t.Fatal(err)
	}
	expect(t, command("status", "tested"), "TEST SUITE:", "tested-ping", "Phase:", "Succeeded", "TEST SUITE:", "tested-smoke", "Phase:", "Succeeded")
	expect(t, command("test", "tested"), "STATUS: deployed", "REVISION: 1", "Phase:", "Succeeded", "Phase:", "Succeeded")
	if tests, _, err := p.tested(tested); tests != 2 || err != nil {
		t.Errorf("after helm's, davit ran %d tests: %v", tests, err)
	}
	p.expectHistory("tested", "1 deployed")

	command("uninstall", "web")
	if p.has(kind("", "ConfigMap"), "web") {
		t.Error("helm's uninstall left what davit deployed")
	}

	// What helm installed of the same chart and values stays as it is.
	command("install", "fresh", r.Chart, "--set", "greeting=one")
	r.Name = "fresh"
	w, err := p.deployer(helm.Options{}).Prepare(t.Context(), []helm.Release{set(r, "greeting", "one")}, untouched)
	if err != nil {
		t.Fatal(err)
	}
	p.said()
	if _, err := w.Deploy(t.Context()); err != nil {
		t.Fatal(err)
	}
	writes := p.writes
	expect(t, p.said(), "release/fresh unchanged", "configmap/fresh unchanged")
	if len(writes) > 0 {
		t.Errorf("helm deployed the same, and davit wrote %q", writes)
	}
}
