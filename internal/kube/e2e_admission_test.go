//go:build e2e

package kube_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/kube"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// webhook is an admission webhook on this machine, for ConfigMaps of c's namespace. answer says what it says of an object, by name: empty lets it in.
func (c *cluster) webhook(answer func(name string) string) (manifest string, start func()) {
	c.t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			APIVersion, Kind string
			Request          struct{ UID, Name string }
		}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			c.t.Error(err)
		}
		says := answer(review.Request.Name)
		_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": review.APIVersion, "kind": review.Kind, "response": map[string]any{
			"uid": review.Request.UID, "allowed": says == "", "status": map[string]any{"message": says},
		}})
	}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close() // until it starts, nobody is there
	certificates := httptest.NewUnstartedServer(nil)
	certificates.StartTLS()
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificates.Certificate().Raw}))
	certificates.Close()
	c.t.Cleanup(func() { server.Close() })
	return fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: %[1]s}
webhooks:
- name: hook.example.org
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {url: "https://%[2]s/", caBundle: %[3]s}
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
  objectSelector: {matchLabels: {checked: "yes"}}
  rules: [{apiGroups: [""], apiVersions: [v1], resources: [configmaps], operations: [CREATE, UPDATE]}]
`, c.namespace, address, ca), func() {
			l, err := net.Listen("tcp", address)
			if err != nil {
				c.t.Error(err)
				return
			}
			server.Listener = l
			server.StartTLS()
		}
}

// A webhook whose server is not up yet is waited for; one that denies is quoted.
func TestWebhook(t *testing.T) {
	c := newCluster(t)
	hook, start := c.webhook(func(name string) string {
		if name == "bad" {
			return "bad is not welcome here"
		}
		return ""
	})
	set := c.set
	c.set = kube.Set{} // the configuration of the webhook is for the whole cluster
	c.mustApply(hook)
	t.Cleanup(func() {
		if err := c.Delete(c.ctx, kube.Set{}, objects(t, hook), kube.DeleteOptions{}, c); err != nil {
			t.Error(err)
		}
	})
	c.set = set
	var wg sync.WaitGroup
	wg.Go(func() {
		time.Sleep(time.Second)
		start()
	})
	const checked = `{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, labels: {checked: "yes"}}}`
	c.expectVerbs(kube.ApplyOptions{}, []string{"created configmap/good"}, fmt.Sprintf(checked, "good"))
	wg.Wait()
	_, r, err := c.apply(kube.ApplyOptions{}, fmt.Sprintf(checked, "bad"), `{apiVersion: v1, kind: ConfigMap, metadata: {name: other}}`)
	if err == nil || !strings.Contains(err.Error(), "test.yaml:1: applying configmap/bad") || !strings.Contains(err.Error(), "bad is not welcome here") ||
		!strings.Contains(err.Error(), "hook.example.org") || !strings.Contains(err.Error(), "an admission webhook of the cluster refuses it") {
		t.Errorf("got %v", err)
	}
	if len(r.Objects) != 1 {
		t.Errorf("applied %v", r.Objects)
	}
}

// What a quota refuses is said with the quota's name, and what to do.
func TestQuota(t *testing.T) {
	c := newCluster(t)
	const quota = `{apiVersion: v1, kind: ResourceQuota, metadata: {name: few}, spec: {hard: {count/secrets: 2}}}`
	secret := func(name string) string {
		return `{apiVersion: v1, kind: Secret, metadata: {name: ` + name + `}}`
	}
	counted := func(want string) {
		t.Helper()
		eventually(t, "the quota counts "+want, func() bool {
			used, _, _ := unstructured.NestedString(c.get(namespaced("resourcequotas"), "few").Object, "status", "used", "count/secrets")
			return used == want
		})
	}
	c.mustApply(quota)
	counted("0") // what is created before that, it does not notice for minutes
	c.mustApply(quota, secret("a"), secret("b"))
	counted("2")
	_, _, err := c.apply(kube.ApplyOptions{}, quota, secret("a"), secret("b"), secret("c"))
	if err == nil || !strings.Contains(err.Error(), "applying secret/c") || !strings.Contains(err.Error(), "exceeded quota: few") || !strings.Contains(err.Error(), "raise the quota") {
		t.Errorf("got %v", err)
	}
}

// busy has no time for some writes of ConfigMaps.
type busy struct {
	next http.RoundTripper
	left *atomic.Int64 // how many it refuses
}

func (b busy) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPatch && strings.Contains(r.URL.Path, "/configmaps/c") && b.left.Add(-1) >= 0 {
		return &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}, "Content-Type": {"application/json"}}, Request: r,
			Body: io.NopCloser(bytes.NewReader([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"TooManyRequests","code":429}`)))}, nil
	}
	return b.next.RoundTrip(r)
}

// A server that is too busy is asked again after as long as it says, and everything is applied.
func TestTooManyRequests(t *testing.T) {
	c := newCluster(t)
	b := busy{left: &atomic.Int64{}}
	b.left.Store(30)
	c.wrap(func(next http.RoundTripper) http.RoundTripper { b.next = next; return b })
	var all []string
	for i := range 60 {
		all = append(all, fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: c%d}}", i))
	}
	if r := c.mustApply(all...); len(r.Objects) != 60 || b.left.Load() > 0 {
		t.Errorf("applied %d, %d answers left", len(r.Objects), b.left.Load())
	}
}
