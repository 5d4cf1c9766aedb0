package kube

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// kubeconfigFor writes a kubeconfig whose context "box" leads to server.
func kubeconfigFor(t *testing.T, server string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	text := `apiVersion: v1
kind: Config
current-context: box
clusters: [{name: c, cluster: {server: "` + server + `"}}]
users: [{name: u, user: {token: x}}]
contexts: [{name: box, context: {cluster: c, user: u, namespace: shop}}, {name: other, context: {cluster: c, user: u}}]
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func connect(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := Connect(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConnectReadsContextAndNamespace(t *testing.T) {
	file := kubeconfigFor(t, "http://127.0.0.1:1")
	tests := []struct{ context, namespace, wantContext, wantNamespace string }{
		{"", "", "box", "shop"}, {"other", "", "other", "default"}, {"", "mine", "box", "mine"},
	}
	for _, test := range tests {
		c := connect(t, Options{Kubeconfig: []string{file}, Context: test.context, Namespace: test.namespace})
		if c.Context() != test.wantContext || c.Namespace() != test.wantNamespace {
			t.Errorf("%+v: got context %q, namespace %q", test, c.Context(), c.Namespace())
		}
	}
}

func TestConnectSaysWhatIsMissing(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	_, err := Connect(Options{Kubeconfig: []string{missing}})
	var none *NoKubeconfigError
	if !errors.As(err, &none) || !strings.Contains(err.Error(), missing) {
		t.Errorf("without a kubeconfig: %v", err)
	}
	_, err = Connect(Options{Kubeconfig: []string{kubeconfigFor(t, "http://127.0.0.1:1")}, Context: "bocks"})
	if err == nil || !strings.Contains(err.Error(), `no context "bocks": use one of box, other`) {
		t.Errorf("with an unknown context: %v", err)
	}
}

func TestUnreachableNamesTheCluster(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil { // nobody listens there now
		t.Fatal(err)
	}
	c := connect(t, Options{Kubeconfig: []string{kubeconfigFor(t, "http://"+l.Addr().String())}})
	_, err = c.LocalRegistry(t.Context())
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) {
		t.Fatalf("got %v", err)
	}
	for _, part := range []string{`context "box"`, l.Addr().String(), "connection refused", "check that the cluster is running"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
	object := Object{Unstructured: parse(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`), Origin: "a.yaml:1"}
	if _, err = c.Apply(t.Context(), Set{}, []Object{object}, ApplyOptions{}, nil); !errors.As(err, &unreachable) {
		t.Errorf("apply: got %v", err)
	}
}

func TestRefusedCredentials(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "who?", http.StatusUnauthorized) }))
	defer server.Close()
	c := connect(t, Options{Kubeconfig: []string{kubeconfigFor(t, server.URL)}})
	_, err := c.LocalRegistry(t.Context())
	if err == nil || !strings.Contains(err.Error(), "credentials are refused") {
		t.Errorf("got %v", err)
	}
}

// An API server from before aggregated discovery (1.26) is asked group by group.
func TestDiscoveryOfOldServers(t *testing.T) {
	answers := map[string]string{
		"/api":    `{"kind":"APIVersions","versions":["v1"]}`,
		"/apis":   `{"kind":"APIGroupList","groups":[{"name":"apps","versions":[{"groupVersion":"apps/v1"}]}]}`,
		"/api/v1": `{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"configmaps","kind":"ConfigMap","namespaced":true,"verbs":["get","list"]}]}`,
		"/apis/apps/v1": `{"kind":"APIResourceList","groupVersion":"apps/v1","resources":[{"name":"deployments","kind":"Deployment","namespaced":true,"verbs":["get"]},` +
			`{"name":"deployments/status","kind":"Deployment","namespaced":true,"verbs":["get"]}]}`,
	}
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(answers[r.URL.Path]))
	}))
	defer server.Close()
	o := Options{Kubeconfig: []string{kubeconfigFor(t, server.URL)}, CacheDir: t.TempDir()}
	deployments := schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	r, err := connect(t, o).discovery.kind(t.Context(), deployments)
	if err != nil || r.Name != "deployments" || !r.Namespaced || !r.Status {
		t.Fatalf("got %+v, %v", r, err)
	}
	// The next process asks nobody.
	before := requests.Load()
	if r, err = connect(t, o).discovery.kind(t.Context(), deployments); err != nil || r.Name != "deployments" || requests.Load() != before {
		t.Errorf("got %+v, %v after %d more requests", r, err, requests.Load()-before)
	}
	// A kind that is not remembered is asked for once, and then known to be missing.
	c := connect(t, o)
	for range 2 {
		var unknown *UnknownKindError
		if _, err = c.discovery.kind(t.Context(), schema.GroupVersionKind{Group: "apps", Version: "v1beta1", Kind: "Deployment"}); !errors.As(err, &unknown) {
			t.Errorf("got %v", err)
		}
	}
	if err == nil || !strings.Contains(err.Error(), "it serves apps/v1") {
		t.Errorf("got %v", err)
	}
	if got := requests.Load() - before; got != 4 {
		t.Errorf("asked %d times, want 4", got)
	}
}

func TestLimiterGoesDownWhenTheServerSaysSo(t *testing.T) {
	answered := 0
	busy := true
	l := newLimiter(roundTripper(func(*http.Request) (*http.Response, error) {
		if busy {
			return &http.Response{StatusCode: http.StatusTooManyRequests, Body: http.NoBody}, nil
		}
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	}), func(*http.Response) { answered++ })
	send := func(r *http.Request) error {
		resp, err := l.RoundTrip(r)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	for range 10 {
		_ = send(request)
	}
	if l.limit != 1 {
		t.Errorf("after ten refusals %v requests may go side by side", l.limit)
	}
	busy = false
	for range 200 {
		_ = send(request)
	}
	if l.limit < 2 || answered != 210 {
		t.Errorf("after two hundred answers only %v may go side by side", l.limit)
	}
	l.limit = 0
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := send(request.WithContext(ctx)); !errors.Is(err, context.Canceled) {
		t.Errorf("a request that is given up still waits: %v", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
