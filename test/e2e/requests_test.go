//go:build e2e

package e2e

import (
	"fmt"
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
}

func (g *gate) take() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken := g.requests
	g.requests = nil
	return taken
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
	proxy := &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		g.requests = append(g.requests, r.Method+" "+r.URL.RequestURI())
		g.mu.Unlock()
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
	const services, maps = 30, 60
	p.write("skaffold.yaml", "apiVersion: skaffold/v4beta11\nkind: Config\nmetadata: {name: many}\nmanifests: {rawYaml: [many/*.yaml]}\ndeploy: {kubectl: {}}\n")
	for i := range services {
		manifest := strings.Replace(sleeper(fmt.Sprintf("service-%d", i)), "\nspec:\n", "\nspec:\n  replicas: 0\n", 1)
		p.write(fmt.Sprintf("many/service-%d.yaml", i), manifest+
			fmt.Sprintf("---\n{apiVersion: v1, kind: Service, metadata: {name: service-%d}, spec: {selector: {app: x}, ports: [{port: 80}]}}\n", i))
	}
	for i := range maps {
		p.write(fmt.Sprintf("many/map-%d.yaml", i), fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: map-%d}, data: {a: b}}\n", i))
	}
	p.davit("run").ok().says("created")
	first := g.take()
	p.davit("run").ok().says("unchanged").saysNot("created", "configured")
	again := g.take()
	p.write("many/map-7.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: map-7}, data: {a: c}}\n")
	p.davit("run").ok().says("configmap/map-7 configured")
	changed := g.take()
	t.Logf("%d objects: %d requests first, %d again, %d with one changed", 2*services+maps, len(first), len(again), len(changed))
	if len(first) > 2*services+maps+30 {
		t.Errorf("%d requests for the first run:\n%s", len(first), strings.Join(first, "\n"))
	}
	if len(again) > 15 {
		t.Errorf("%d requests without a change:\n%s", len(again), strings.Join(again, "\n"))
	}
	for _, r := range again {
		if method, path, _ := strings.Cut(r, " "); method != http.MethodGet && !strings.Contains(path, "authorization.k8s.io") {
			t.Errorf("without a change, this was sent: %s", r)
		}
	}
	if len(changed) > len(again)+10 {
		t.Errorf("%d requests with one change:\n%s", len(changed), strings.Join(changed, "\n"))
	}
}
