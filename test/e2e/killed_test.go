//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// killedAfter runs davit and kills it when it has written so many times and wants to write once more. It says whether davit wanted to.
func (p *project) killedAfter(g *gate, writes int, args ...string) bool {
	p.t.Helper()
	closed := g.closeAfter(writes)
	defer g.open()
	r := p.start(args...)
	ended := make(chan result, 1)
	go func() { ended <- r.wait() }()
	select {
	case <-closed:
		if err := r.cmd.Process.Kill(); err != nil {
			p.t.Fatal(err)
		}
		<-ended
		return true
	case result := <-ended:
		result.ok()
		return false
	}
}

// maps are the ConfigMaps of the namespace that davit or helm wrote: "c0 7, only-7 ".
func (p *project) maps() string {
	p.t.Helper()
	all, err := suite.client.CoreV1().ConfigMaps(p.namespace).List(p.t.Context(), metav1.ListOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	var text []string
	for _, m := range all.Items {
		if m.Name != "kube-root-ca.crt" {
			text = append(text, m.Name+" "+m.Data["generation"])
		}
	}
	return strings.Join(text, ", ")
}

// TestKilledBetweenWrites kills davit between any two writes of a first deployment, of a change, and of a deletion; the next run puts everything right.
func TestKilledBetweenWrites(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	g, kubeconfig := newGate(t)
	p.env = []string{"KUBECONFIG=" + kubeconfig}
	generation := 0
	for n, more := 0, true; more; n++ {
		deployed := fmt.Sprintf("c0 %d, davit-plain , only-%[1]d ", generation)
		p.plain(generation, 1)
		if more = p.killedAfter(g, n, "run"); more {
			p.davit("run").ok()
		}
		if got := p.maps(); got != deployed {
			t.Errorf("killed after %d writes of the first deployment, and run again: %s", n, got)
		}
		if p.killedAfter(g, n, "delete") {
			p.davit("delete").ok()
		}
		if got := p.maps(); got != "" || strings.Contains(p.historyVersions(), "davit-plain=") {
			t.Errorf("killed after %d writes of the deletion, and deleted again: %s", n, got)
		}
	}
	p.davit("run").ok()
	for n, more := 0, true; more; n++ {
		generation++
		p.plain(generation, 1)
		if more = p.killedAfter(g, n, "run", "--prune"); more {
			p.davit("run", "--prune").ok()
		}
		if got := p.maps(); got != fmt.Sprintf("c0 %d, davit-plain , only-%[1]d ", generation) {
			t.Errorf("killed after %d writes of a change, and run again: %s", n, got)
		}
	}
	t.Logf("%d changes were killed", generation-1)
	p.davit("run", "--prune").ok().says("unchanged").saysNot("created", "configured", "pruned")
	p.davit("history").ok().says("deployed")
	p.davit("rollback").ok().says("is back at revision")
}

// TestReleaseKilledBetweenWrites does that to a release. The next run on the same machine goes on from there; elsewhere davit cannot know whether whoever began a
// revision is still at work on it, and says how to go on.
func TestReleaseKilledBetweenWrites(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	g, kubeconfig := newGate(t)
	p.env = []string{"KUBECONFIG=" + kubeconfig}
	p.write("chart/Chart.yaml", "apiVersion: v2\nname: small\nversion: 0.1.0\n")
	p.write("chart/templates/config.yaml", `{apiVersion: v1, kind: ConfigMap, metadata: {name: always}, data: {generation: {{ .Values.generation | quote }}}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: "only-{{ .Values.generation }}"}}
`)
	set := func(generation int) {
		p.write("skaffold.yaml", fmt.Sprintf(`apiVersion: skaffold/v4beta13
kind: Config
metadata: {name: small}
deploy: {helm: {releases: [{name: small, chartPath: chart, setValues: {generation: %d}}]}}
`, generation))
	}
	here, elsewhere := p.env, append(slices.Clone(p.env), "XDG_CACHE_HOME="+t.TempDir())
	mend := func(elsewhereToo bool) {
		t.Helper()
		if elsewhereToo {
			p.env = elsewhere
			if r := p.davit("run"); r.code != 0 {
				r.fails(1).complains("release small in namespace "+p.namespace, "run again with --force")
				p.davit("run", "--force").ok()
			}
			p.env = here
		}
		p.davit("run").ok()
	}
	right := func(doing string, writes, generation int) {
		t.Helper()
		if got := p.maps(); got != fmt.Sprintf("always %d, davit-small , only-%[1]d ", generation) {
			t.Errorf("killed after %d writes of %s, and run again: %s", writes, doing, got)
		}
		if records := p.records("small"); strings.Count(records, "deployed") != 1 || strings.Contains(records, "pending") {
			t.Errorf("killed after %d writes of %s, and run again, the records are %s", writes, doing, records)
		}
	}
	for n, more := 0, true; more; n++ {
		set(0)
		if more = p.killedAfter(g, n, "run"); more {
			mend(n%2 == 0)
		}
		right("the installation", n, 0)
		if p.killedAfter(g, n, "delete") {
			p.davit("delete").ok()
		}
		if got := p.maps() + p.records("small"); got != "" {
			t.Errorf("killed after %d writes of the deletion, and deleted again: %s", n, got)
		}
	}
	p.davit("run").ok()
	for n, more := 0, true; more; n++ {
		set(n + 1)
		if more = p.killedAfter(g, n, "run"); more {
			mend(n%2 == 1)
		}
		right("an upgrade", n, n+1)
	}
	p.davit("run").ok().says("release/small unchanged").saysNot("created", "configured", "deleted")
}

// TestTwoRunsOfARelease deploys the same release twice at once: one of them may be told that the other is at it, and what comes out is right.
func TestTwoRunsOfARelease(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.write("chart/Chart.yaml", "apiVersion: v2\nname: small\nversion: 0.1.0\n")
	p.write("chart/templates/config.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: always}, data: {generation: {{ .Values.generation | quote }}}}\n")
	for generation := range 3 {
		p.write("skaffold.yaml", fmt.Sprintf("apiVersion: skaffold/v4beta13\nkind: Config\nmetadata: {name: small}\ndeploy: {helm: {releases: [{name: small, chartPath: chart, setValues: {generation: %d}}]}}\n", generation))
		both := []*running{p.start("run"), p.start("run")}
		good := 0
		for _, r := range both {
			if result := r.wait(); result.code == 0 {
				good++
			} else if said := result.fails(1).stderr; !strings.Contains(said, "somebody else") {
				t.Errorf("it failed otherwise: %s", said)
			}
		}
		if good == 0 {
			t.Error("both gave way")
		}
		p.davit("run").ok().says("release/small unchanged", "configmap/always unchanged")
		if got := p.maps(); got != fmt.Sprintf("always %d, davit-small ", generation) || strings.Count(p.records("small"), "deployed") != 1 {
			t.Errorf("the cluster has %s, and the records are %s", got, p.records("small"))
		}
	}
}
