//go:build e2e

package kube_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// road is the way to the API server, which can be cut.
type road struct {
	t        *testing.T
	to       string
	address  string
	listener net.Listener

	mu   sync.Mutex
	open map[net.Conn]bool
}

// byRoad makes c go to the cluster by a road, as the kubeconfig that it gets says.
func (c *cluster) byRoad() *road {
	c.t.Helper()
	config, err := clientcmd.LoadFromFile(kubeconfig(c.t))
	if err != nil {
		c.t.Fatal(err)
	}
	here := config.Clusters[config.Contexts[config.CurrentContext].Cluster]
	server, err := url.Parse(here.Server)
	if err != nil {
		c.t.Fatal(err)
	}
	r := &road{t: c.t, to: server.Host, open: map[net.Conn]bool{}, address: "127.0.0.1:0"}
	r.build()
	here.TLSServerName = server.Hostname()
	here.Server = "https://" + r.address
	file := filepath.Join(c.t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		c.t.Fatal(err)
	}
	c.kubeconfig = file
	c.reconnect()
	c.t.Cleanup(r.cut)
	return r
}

// build opens the road, or opens it again at the same address.
func (r *road) build() {
	l, err := net.Listen("tcp", r.address)
	if err != nil {
		r.t.Error(err)
		return
	}
	r.address = l.Addr().String()
	r.mu.Lock()
	r.listener = l
	r.mu.Unlock()
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", r.to)
			if err != nil {
				_ = from.Close()
				continue
			}
			r.mu.Lock()
			r.open[from], r.open[to] = true, true
			r.mu.Unlock()
			go r.carry(from, to)
			go r.carry(to, from)
		}
	}()
}

func (r *road) carry(from, to net.Conn) {
	_, _ = io.Copy(to, from)
	_ = from.Close()
	_ = to.Close()
}

// cut breaks all connections; nobody listens until the road is built again.
func (r *road) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.listener.Close()
	for conn := range r.open {
		_ = conn.Close()
	}
	r.open = map[net.Conn]bool{}
}

func TestConnectionBreaksInApply(t *testing.T) {
	c := newCluster(t)
	r := c.byRoad()
	var all strings.Builder
	for i := range 200 {
		fmt.Fprintf(&all, "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: c%d}, data: {a: b}}\n", i)
	}
	if _, err := c.LocalRegistry(c.ctx); err != nil { // before the first answer nothing is tried again
		t.Fatal(err)
	}
	var cuts sync.WaitGroup
	cuts.Go(func() {
		for range 5 {
			time.Sleep(200 * time.Millisecond)
			r.cut()
			time.Sleep(50 * time.Millisecond)
			r.build()
		}
	})
	result := c.mustApply(all.String())
	cuts.Wait()
	if len(result.Objects) != 200 {
		t.Errorf("applied %d objects", len(result.Objects))
	}
	c.reconnect()
	for _, a := range c.mustApply(all.String()).Objects {
		if a.Verb != kube.VerbUnchanged {
			t.Fatalf("%s is %s afterwards", a.Resource, a.Verb)
		}
	}
}

func TestConnectionBreaksInWait(t *testing.T) {
	c := newCluster(t)
	img := c.image("/bin/busybox sleep 3; >/tmp/ready; " + forever)
	r := c.byRoad()
	manifest := strings.Replace(deployment("web", img.ref), "image:", `readinessProbe: {periodSeconds: 1, exec: {command: [/bin/busybox, test, -f, /tmp/ready]}}, volumeMounts: [{name: tmp, mountPath: /tmp}], image:`, 1) +
		"      volumes: [{name: tmp, emptyDir: {}}]\n"
	applied := c.mustApply(manifest).Objects
	var cuts sync.WaitGroup
	cuts.Go(func() {
		for range 2 {
			time.Sleep(time.Second)
			r.cut()
			time.Sleep(200 * time.Millisecond)
			r.build()
		}
	})
	rollout, err := c.Wait(c.ctx, applied, kube.WaitOptions{}, c)
	cuts.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if err := kube.Prove(rollout, img.proof("web"), c); err != nil || c.proofs() == "" {
		t.Errorf("not proved: %v", err)
	}
}

// A second run finds what the first one left, wherever it was killed: here before the workload and the last writing of the inventory.
func TestRunAfterOneThatBroke(t *testing.T) {
	c := newCluster(t)
	const a, b = `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`, `{apiVersion: v1, kind: Secret, metadata: {name: b}}`
	broken := `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {c: d}}, spec: {containers: [{name: c, image: i}]}}}}`
	if _, _, err := c.apply(kube.ApplyOptions{}, a, b, broken); err == nil {
		t.Fatal("a Deployment that does not select its own pods is accepted")
	}
	c.reconnect()
	if r := c.mustApply(a); len(r.Orphans) != 1 || r.Orphans[0].Resource != "secret/b" {
		t.Errorf("orphans are %v", r.Orphans)
	}
}

func TestTwoAtOnce(t *testing.T) {
	c := newCluster(t)
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		o := objects(t, everyKind)
		wg.Go(func() {
			_, errs[i] = c.Apply(c.ctx, c.set, o, kube.ApplyOptions{}, event.SinkFunc(func(event.Event) {}))
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	c.reconnect()
	c.mustApply(everyKind)
	if len(c.writes()) > 0 {
		t.Errorf("afterwards wrote:\n%s", strings.Join(c.writes(), "\n"))
	}
}

func TestNamespaceThatIsGoing(t *testing.T) {
	c := newCluster(t)
	const held = `{apiVersion: v1, kind: ConfigMap, metadata: {name: held, finalizers: [example.org/never]}}`
	c.mustApply(held)
	namespace := object(t, `{apiVersion: v1, kind: Namespace, metadata: {name: `+c.namespace+`}}`)
	err := c.Delete(c.ctx, kube.Set{}, []kube.Object{namespace}, kube.DeleteOptions{Deadline: time.Second}, c)
	if err == nil || !strings.Contains(err.Error(), "namespace/"+c.namespace) {
		t.Errorf("deleting it: %v", err)
	}
	_, _, err = c.apply(kube.ApplyOptions{}, `{apiVersion: v1, kind: ConfigMap, metadata: {name: new}}`)
	if err == nil || !strings.Contains(err.Error(), "the namespace is being deleted") {
		t.Errorf("applying into it: %v", err)
	}
	u := c.get(configMaps, "held")
	u.SetFinalizers(nil)
	c.update(u)
}

func TestServerThatDoesNotAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := `{apiVersion: v1, kind: Config, current-context: box, clusters: [{name: c, cluster: {server: "https://` + l.Addr().String() + `"}}], contexts: [{name: box, context: {cluster: c}}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := kube.Connect(kube.Options{Kubeconfig: []string{file}})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err = c.LocalRegistry(t.Context())
	t.Logf("after %s: %v", time.Since(start), err)
	var unreachable *kube.UnreachableError
	if !errors.As(err, &unreachable) {
		t.Errorf("got %v", err)
	}
}

// A node that went away takes a pod and never says a word. The taint keeps everybody else's pods off it.
func TestNodeThatIsGone(t *testing.T) {
	c := newCluster(t)
	nodes := schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
	name := "gone-" + c.namespace
	node := object(t, `{apiVersion: v1, kind: Node, metadata: {name: `+name+`, labels: {gone: `+name+`}}, spec: {taints: [{key: gone, effect: NoExecute}]}}`)
	if _, err := c.others.Resource(nodes).Create(c.ctx, node.Unstructured, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.others.Resource(nodes).Delete(c.ctx, name, metav1.DeleteOptions{}) })
	img := c.image(forever)
	manifest := deployment("web", img.ref) + "      nodeName: " + name + "\n      tolerations: [{operator: Exists}]\n"
	applied := c.mustApply(manifest).Objects
	c.eventuallyPod("web", "is bound to the node", func(p *corev1.Pod) bool { return p.Spec.NodeName == name })
	c.waitFails(applied, kube.WaitOptions{Deadline: 3 * time.Second}, "deployment.apps/web", "not ready after 3s", "pod web-", "node "+name+" has not begun with it", "kubectl describe node")
	// Somewhere else it runs.
	c.mustRun(img.proof("web"), deployment("web", img.ref))
}

// guard stands before the API server and lets those in who bring the token of the day, slowly.
type guard struct {
	token atomic.Pointer[string]
	delay time.Duration
	next  http.Handler
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	time.Sleep(g.delay)
	if r.Header.Get("Authorization") != "Bearer "+*g.token.Load() {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}`)
		return
	}
	r.Header.Del("Authorization")
	g.next.ServeHTTP(w, r)
}

// A token that a command of the kubeconfig gives expires in the midst of the wait; the server is slow on top.
func TestTokenThatExpires(t *testing.T) {
	c := newCluster(t)
	img := c.image("/bin/busybox sleep 3; >/tmp/ready; " + forever)
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig(t))
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport, proxy.FlushInterval = transport, -1
	g := &guard{delay: 50 * time.Millisecond, next: proxy}
	server := httptest.NewTLSServer(g)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	use := func(token string) {
		text := `{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "` + token + `"}}`
		if err := os.WriteFile(filepath.Join(dir, "token"), []byte(text), 0o600); err != nil {
			t.Error(err)
		}
		g.token.Store(&token)
	}
	use("monday")
	c.kubeconfig = filepath.Join(dir, "kubeconfig")
	text := `{apiVersion: v1, kind: Config, current-context: box, clusters: [{name: c, cluster: {server: "` + server.URL + `", insecure-skip-tls-verify: true}}], contexts: [{name: box, context: {cluster: c, user: u}}],
  users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: cat, args: [` + filepath.Join(dir, "token") + `]}}}]}`
	if err := os.WriteFile(c.kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c.reconnect()
	manifest := strings.Replace(deployment("web", img.ref), "image:", `readinessProbe: {periodSeconds: 1, exec: {command: [/bin/busybox, test, -f, /tmp/ready]}}, volumeMounts: [{name: tmp, mountPath: /tmp}], image:`, 1) +
		"      volumes: [{name: tmp, emptyDir: {}}]\n"
	applied := c.mustApply(manifest).Objects
	time.AfterFunc(time.Second, func() {
		use("tuesday")
		server.CloseClientConnections()
	})
	rollout, err := c.Wait(c.ctx, applied, kube.WaitOptions{}, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := kube.Prove(rollout, img.proof("web"), c); err != nil || c.proofs() == "" {
		t.Errorf("not proved: %v", err)
	}
	// Nobody renews it any more: a clear end.
	wednesday := "wednesday"
	g.token.Store(&wednesday)
	_, _, err = c.apply(kube.ApplyOptions{}, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`)
	var unreachable *kube.UnreachableError
	if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "perhaps they expired") {
		t.Errorf("got %v", err)
	}
}

// A log that is followed loses no line and tells none twice when the connection breaks, and goes on in the next container.
func TestLogsOverABrokenConnection(t *testing.T) {
	c := newCluster(t)
	img := c.image(`i=0; while [ $i -lt 60 ]; do echo "$HOSTNAME $i"; i=$((i+1)); /bin/busybox usleep 100000; done; exit 1`)
	r := c.byRoad()
	began := time.Now()
	c.mustApply(`{apiVersion: v1, kind: Pod, metadata: {name: counter}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: "` + img.ref + `"}]}}`)
	ctx, stop := context.WithTimeout(c.ctx, 5*time.Minute)
	defer stop()
	var mu sync.Mutex
	var lines []string
	var cuts sync.WaitGroup
	cuts.Go(func() {
		for range 2 {
			time.Sleep(2 * time.Second)
			r.cut()
			time.Sleep(300 * time.Millisecond)
			r.build()
		}
	})
	err := c.Tail(ctx, kube.TailOptions{
		Namespaces: []string{c.namespace}, Since: began, Pick: func(*corev1.Pod) bool { return true }, Warn: func(string) {},
		Line: func(l kube.LogLine) {
			mu.Lock()
			defer mu.Unlock()
			if lines = append(lines, l.Text); len(lines) == 70 { // ten of the second container
				stop()
			}
		},
	})
	cuts.Wait()
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range lines[:min(len(lines), 70)] {
		if want := fmt.Sprintf("counter %d", i%60); line != want {
			t.Fatalf("line %d is %q, not %q, of\n%s", i, line, want, strings.Join(lines, "\n"))
		}
	}
	if len(lines) < 70 {
		t.Errorf("only %d lines came", len(lines))
	}
}
