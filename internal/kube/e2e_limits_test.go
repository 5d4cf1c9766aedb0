//go:build e2e

package kube_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/davit-dev/davit/internal/kube"
)

// What is larger than the cluster takes is said with what to do; what kubectl apply cannot, as it keeps a copy in an annotation, works.
func TestObjectsOverTheLimits(t *testing.T) {
	c := newCluster(t)
	sized := func(kind, field string, size int) string {
		return fmt.Sprintf("{apiVersion: v1, kind: %s, metadata: {name: big}, %s: {a: %s}}", kind, field, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("abc"), size/4)))
	}
	c.mustApply(sized("ConfigMap", "data", 900<<10))
	for name, manifest := range map[string]string{
		"configmap/big":  sized("ConfigMap", "data", 1<<20+100),
		"secret/big":     sized("Secret", "data", 2<<20),
		"secret/noted":   `{apiVersion: v1, kind: Secret, metadata: {name: noted, annotations: {a: ` + strings.Repeat("x", 257<<10) + `}}}`,
		"configmap/huge": strings.Replace(sized("ConfigMap", "data", 4<<20), "big", "huge", 1),
	} {
		_, _, err := c.apply(kube.ApplyOptions{}, manifest)
		if err == nil || !strings.Contains(err.Error(), "test.yaml:1: applying "+name) || !strings.Contains(err.Error(), "split it, or bring large files by an image or a volume") {
			t.Errorf("%s: %.500v", name, err)
		}
	}
}

// The two versions of a kind are one kind to the inventory, and the same object twice is one object.
func TestOneKindInTwoVersions(t *testing.T) {
	c := newCluster(t)
	scaler := func(version, name string) string {
		return `{apiVersion: autoscaling/` + version + `, kind: HorizontalPodAutoscaler, metadata: {name: ` + name + `}, spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, maxReplicas: 3}}`
	}
	c.mustApply(scaler("v1", "a"), scaler("v2", "b"))
	c.reconnect()
	c.expectVerbs(kube.ApplyOptions{}, []string{"unchanged horizontalpodautoscaler.autoscaling/a", "unchanged horizontalpodautoscaler.autoscaling/b"}, scaler("v1", "a"), scaler("v2", "b"))
	if len(c.writes()) > 0 {
		t.Errorf("wrote %q", c.writes())
	}
	r := c.mustApply(scaler("v1", "a"))
	if want := []kube.Orphan{{Resource: "horizontalpodautoscaler.autoscaling/b", Namespace: c.namespace}}; !slices.Equal(r.Orphans, want) {
		t.Errorf("orphans are %v", r.Orphans)
	}
	c.reconnect()
	c.expectVerbs(kube.ApplyOptions{}, []string{"configured horizontalpodautoscaler.autoscaling/a"}, scaler("v1", "a"), strings.Replace(scaler("v2", "a"), "Replicas: 3", "Replicas: 5", 1))
	if w := c.warnings(); !strings.Contains(w, "horizontalpodautoscaler.autoscaling/a is written twice, in test.yaml:1 and test.yaml:2: the last one counts") {
		t.Errorf("warned: %s", w)
	}
}

// Whatever cannot change says so, and how to replace it, in all the words that the server has for that.
func TestImmutableFields(t *testing.T) {
	c := newCluster(t)
	cluster := c.namespace + "-class" // of no namespace
	pairs := [][2]string{
		{`{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, immutable: true, data: {a: b}}`, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, immutable: true, data: {a: c}}`},
		{`{apiVersion: v1, kind: Secret, metadata: {name: a}, type: Opaque}`, `{apiVersion: v1, kind: Secret, metadata: {name: a}, type: example.org/other}`},
		{`{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}]}}`, `{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {clusterIP: None, ports: [{port: 80}]}}`},
		{workload("Deployment", "a", "example.org/none", "replicas: 0"), strings.ReplaceAll(workload("Deployment", "a", "example.org/none", "replicas: 0"), "{app: a}", "{app: b}")},
		{workload("StatefulSet", "a", "example.org/none", "replicas: 0\n  serviceName: a"), workload("StatefulSet", "a", "example.org/none", "replicas: 0\n  serviceName: b")},
		{`{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: a}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: a}}`,
			`{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: a}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: b}}`},
		{`{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a}, spec: {accessModes: [ReadWriteOnce], storageClassName: none, resources: {requests: {storage: 1Gi}}}}`,
			`{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a}, spec: {accessModes: [ReadWriteMany], storageClassName: none, resources: {requests: {storage: 1Gi}}}}`},
		{`{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: ` + cluster + `}, provisioner: example.org/a}`,
			`{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: ` + cluster + `}, provisioner: example.org/b}`},
		{`{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: ` + cluster + `}, value: 1}`,
			`{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: ` + cluster + `}, value: 2}`},
	}
	var before, after, replaced []string
	for _, pair := range pairs {
		before, after = append(before, pair[0]), append(after, pair[1])
	}
	for _, a := range c.mustApply(before...).Objects {
		replaced = append(replaced, "replaced "+a.Resource)
	}
	t.Cleanup(func() {
		if err := c.Delete(c.ctx, c.set, nil, kube.DeleteOptions{}, c); err != nil {
			t.Error(err)
		}
	})
	for i, manifest := range after {
		_, _, err := c.apply(kube.ApplyOptions{}, manifest)
		if resource := strings.TrimPrefix(replaced[i], "replaced "); err == nil || !strings.Contains(err.Error(), "test.yaml:1: applying "+resource) ||
			!strings.Contains(err.Error(), "run again with --force to delete the object and create it anew") {
			t.Errorf("%s: %v", resource, err)
		}
	}
	c.expectVerbs(kube.ApplyOptions{Force: true}, replaced, after...)
}

// storm refuses all writes of one object, as long as it lasts.
type storm struct{ next http.RoundTripper }

func (s storm) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPatch || !strings.Contains(r.URL.Path, "/configmaps/unlucky") {
		return s.next.RoundTrip(r)
	}
	return &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}, "Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(`{"kind":"Status","apiVersion":"v1","status":"Failure","message":"too much at once","reason":"TooManyRequests","code":429}`))}, nil
}

// A storm that does not end is an end, which names the object; the rest is done.
func TestTooManyRequestsForever(t *testing.T) {
	c := newCluster(t)
	c.wrap(func(next http.RoundTripper) http.RoundTripper { return storm{next} })
	_, r, err := c.apply(kube.ApplyOptions{}, `{apiVersion: v1, kind: ConfigMap, metadata: {name: unlucky}}`, `{apiVersion: v1, kind: ConfigMap, metadata: {name: lucky}}`)
	if err == nil || !strings.Contains(err.Error(), "test.yaml:1: applying configmap/unlucky") || !strings.Contains(err.Error(), "too much at once") || !strings.Contains(err.Error(), "run again later") {
		t.Errorf("got %v", err)
	}
	if len(r.Objects) != 1 || r.Objects[0].Resource != "configmap/lucky" {
		t.Errorf("done: %v", r.Objects)
	}
	c.reconnect()
	c.expectVerbs(kube.ApplyOptions{}, []string{"created configmap/unlucky", "unchanged configmap/lucky"}, `{apiVersion: v1, kind: ConfigMap, metadata: {name: unlucky}}`, `{apiVersion: v1, kind: ConfigMap, metadata: {name: lucky}}`)
}

// lossy loses the first answer to the making of a Secret.
type lossy struct {
	next http.RoundTripper
	lost *atomic.Int32
}

func (l lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(r)
	if err == nil && r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/secrets") && l.lost.Add(1) == 1 {
		_ = resp.Body.Close()
		return nil, net.ErrClosed
	}
	return resp, err
}

// What was made, though nobody heard so, is not somebody else's: there is one revision of it.
func TestAnswerThatIsLost(t *testing.T) {
	c := newCluster(t)
	lost := &atomic.Int32{}
	c.wrap(func(next http.RoundTripper) http.RoundTripper { return lossy{next, lost} })
	if r := c.record(kube.RevisionDeployed, "1 created", 3, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`); r.Number != 1 || lost.Load() != 2 {
		t.Errorf("got %+v after %d tries", r, lost.Load())
	}
	if got := numbers(c.history()); got != "1 deployed" {
		t.Errorf("history: %s", got)
	}
	again := object(t, `{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: `+c.namespace+`}, data: {a: Yg==}}`)
	lost.Store(0)
	if err := c.Create(c.ctx, again, "test"); err != nil || lost.Load() != 2 {
		t.Errorf("after %d tries: %v", lost.Load(), err)
	}
	if err := c.Create(c.ctx, again, "test"); err == nil || !strings.Contains(err.Error(), "already exists") {
		t.Errorf("made twice: %v", err)
	}
}
