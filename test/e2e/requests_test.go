//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// gate stands before the API server and writes down what reaches it.
type gate struct {
	mu       sync.Mutex
	requests []string
	writes   int           // that still pass before the gate closes
	closed   chan struct{} // once it has; nil: it never does
}

func (g *gate) take() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken := g.requests
	g.requests = nil
	return taken
}

// pass writes a request down, and says whether it passes.
func (g *gate) pass(r *http.Request) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests = append(g.requests, r.Method+" "+r.URL.RequestURI())
	if g.closed == nil || !writes(r.Method+" "+r.URL.RequestURI()) {
		return true
	}
	if g.writes--; g.writes == -1 {
		close(g.closed)
	}
	return g.writes >= 0
}

// closeAfter lets some writes pass, and then none: the channel says when.
func (g *gate) closeAfter(writes int) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writes, g.closed = writes, make(chan struct{})
	return g.closed
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = nil
}

// writes says whether a request changes something.
func writes(request string) bool {
	return !strings.HasPrefix(request, http.MethodGet) && !strings.Contains(request, "authorization.k8s.io") && !strings.Contains(request, "dryRun=")
}

// newGate gives a gate and the kubeconfig that leads through it, with the suite's rights.
func newGate(t *testing.T) (*gate, string) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", suite.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{}
	proxy := &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorLog: log.New(io.Discard, "", 0)} // clients that are killed
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.pass(r) {
			_, _ = io.Copy(io.Discard, r.Body) // only then it is seen that the client goes
			<-r.Context().Done()
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: gate, clusters: [{name: gate, cluster: {server: "%s"}}],
contexts: [{name: gate, context: {cluster: gate, user: gate}}], users: [{name: gate, user: {}}]}`, server.URL)
	(&project{t: t}).writeTo(file, text)
	return g, file
}

// TestRequests counts at the API server what a run costs: nearly nothing where nothing changed, and a write for each object that did.
func TestRequests(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	g, kubeconfig := newGate(t)
	p.env = []string{"KUBECONFIG=" + kubeconfig}
	const services, maps, releases = 30, 60, 10
	for i := range services {
		manifest := strings.Replace(sleeper(fmt.Sprintf("service-%d", i)), "\nspec:\n", "\nspec:\n  replicas: 0\n", 1)
		p.write(fmt.Sprintf("many/service-%d.yaml", i), manifest+
			fmt.Sprintf("---\n{apiVersion: v1, kind: Service, metadata: {name: service-%d}, spec: {selector: {app: x}, ports: [{port: 80}]}}\n", i))
	}
	for i := range maps {
		p.write(fmt.Sprintf("many/map-%d.yaml", i), fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: map-%d}, data: {a: b}}\n", i))
	}
	p.write("chart/Chart.yaml", "apiVersion: v2\nname: small\nversion: 0.1.0\n")
	p.write("chart/templates/maps.yaml", `{{ range until 5 }}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: "{{ $.Release.Name }}-{{ . }}"}, data: {greeting: {{ $.Values.greeting }}}}
{{ end }}`)
	var all strings.Builder
	for i := range releases {
		fmt.Fprintf(&all, "    - {name: release-%d, chartPath: chart, setValues: {greeting: hello-%[1]d}}\n", i)
	}
	p.write("skaffold.yaml", "apiVersion: skaffold/v4beta11\nkind: Config\nmetadata: {name: many}\nmanifests: {rawYaml: [many/*.yaml]}\ndeploy:\n  kubectl: {}\n  helm:\n    releases:\n"+all.String())
	p.davit("run").ok().says("created")
	first := g.take()
	p.davit("run").ok().says("release/release-0 unchanged", "configmap/map-0 unchanged").saysNot("created", "configured")
	again := g.take()
	p.write("many/map-7.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: map-7}, data: {a: c}}\n")
	p.replace("skaffold.yaml", "hello-7", "goodbye")
	p.davit("run").ok().says("release/release-7 configured", "configmap/map-7 configured")
	changed := g.take()
	const objects = 2*services + maps + 5*releases
	t.Logf("%d objects, of %d releases: %d requests first, %d again, %d with one of both changed", objects, releases, len(first), len(again), len(changed))
	if len(first) > objects+6*releases+30 {
		t.Errorf("%d requests for the first run:\n%s", len(first), strings.Join(first, "\n"))
	}
	if len(again) > 15 {
		t.Errorf("%d requests without a change:\n%s", len(again), strings.Join(again, "\n"))
	}
	for _, r := range again {
		if writes(r) {
			t.Errorf("without a change, this was sent: %s", r)
		}
	}
	if len(changed) > len(again)+30 {
		t.Errorf("%d requests with one change:\n%s", len(changed), strings.Join(changed, "\n"))
	}
}
