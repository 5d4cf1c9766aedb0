//go:build e2e && linux

package pool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/buildkit"
	"github.com/davit-dev/davit/internal/build/buildkitd"
	"github.com/davit-dev/davit/internal/build/buildtest"
	"github.com/davit-dev/davit/internal/build/pool"
	"github.com/davit-dev/davit/internal/build/pool/pooltest"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
)

// hidden makes the test's own binary the BuildKit in the pool's pods.
const hidden = "as-buildkit"

var suite struct {
	kubeconfig string
	registry   string
	image      string
	run        string // no layers of an earlier run are found
	admin      *kubernetes.Clientset
}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == hidden {
		if err := buildkitd.Main(context.Background(), os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if err := setUp(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func setUp() error {
	suite.kubeconfig = os.Getenv("DAVIT_TEST_KUBECONFIG")
	if suite.kubeconfig == "" {
		return errors.New("DAVIT_TEST_KUBECONFIG is not set: run `make test`, or `bin/kubebox up` and point it at the kubeconfig")
	}
	config, err := clientcmd.BuildConfigFromFlags("", suite.kubeconfig)
	if err != nil {
		return err
	}
	if suite.admin, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	suite.registry = "localhost:5000"
	suite.run = fmt.Sprint(time.Now().UnixNano())
	suite.image, err = pooltest.Push(suite.registry+"/davit-pool-test/buildkit:v1", exe, hidden)
	return err
}

// lines collects what people would read.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Emit(e event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e := e.(type) {
	case event.ArtifactLog:
		l.all = append(l.all, "["+e.Image+"] "+e.Line)
	case event.BuildStep:
		l.all = append(l.all, fmt.Sprintf("%s [%s] %s", e.State, e.Image, e.Name))
	case event.Note:
		l.all = append(l.all, e.Message)
	case event.Warning:
		l.all = append(l.all, "WARNING "+e.Message)
	}
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

// sees waits until a text is there.
func (l *lines) sees(t *testing.T, text string) {
	t.Helper()
	for range 6000 {
		if strings.Contains(l.String(), text) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%q never showed in\n%s", text, l)
}

func connect(t *testing.T) *kube.Client {
	t.Helper()
	client, err := kube.Connect(kube.Options{Kubeconfig: []string{suite.kubeconfig}, CacheDir: t.TempDir(), UserAgent: "davit/test"})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func namespace(t *testing.T) string {
	t.Helper()
	ns, err := suite.admin.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "pool-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := suite.admin.CoreV1().Namespaces().Delete(context.Background(), ns.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	return ns.Name
}

func local(t *testing.T) pool.Local {
	return pool.Local{BuildKit: buildkit.Options{Getenv: func(string) string { return "" }, DockerConfig: t.TempDir()}}
}

func options(t *testing.T, ns, query string) pool.Options {
	t.Helper()
	o, err := pool.Parse("kubernetes://" + ns + "?network=host&wait=10m&image=" + suite.image + query)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// open brings up a pool in a namespace of the test's own.
func open(t *testing.T, ns, query string, sink event.Sink) (*pool.Builder, error) {
	t.Helper()
	return pool.Open(t.Context(), connect(t), options(t, ns, query), local(t), sink)
}

// shell begins a Dockerfile by an image with a shell, made from the machine's busybox.
const shell = "FROM scratch AS shell\nCOPY --chmod=755 busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n"

// project is a build of a Dockerfile on top of an image with a shell.
func project(t *testing.T, image, dockerfile string) build.Request {
	t.Helper()
	dir := t.TempDir()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"busybox":    string(busybox),
		"Dockerfile": shell + dockerfile,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return build.Request{
		Image: image, Ref: suite.registry + "/davit-pool-test/" + suite.run + "/" + image + ":v1", Push: true,
		Spec: build.Docker{Context: dir, Dockerfile: filepath.Join(dir, "Dockerfile")},
	}
}

// edit gives a project another end.
func edit(t *testing.T, r build.Request, dockerfile string) {
	t.Helper()
	if err := os.WriteFile(r.Spec.(build.Docker).Dockerfile, []byte(shell+dockerfile), 0o644); err != nil {
		t.Fatal(err)
	}
}

func replicaOf(t *testing.T, l *lines, image string) string {
	t.Helper()
	for _, line := range slices.Backward(strings.Split(l.String(), "\n")) {
		if name, ok := strings.CutPrefix(line, "["+image+"] building on the replica "); ok {
			return name
		}
	}
	t.Fatalf("no replica was named for %s in\n%s", image, l)
	return ""
}

// TestPool follows a pool of two from its making to its end.
func TestPool(t *testing.T) {
	t.Parallel()
	ns, said := namespace(t), &lines{}
	// Two davits that make the same pool at once.
	var both errgroup.Group
	var b *pool.Builder
	both.Go(func() error {
		_, err := open(t, ns, "&replicas=2", &lines{})
		return err
	})
	both.Go(func() (err error) {
		b, err = open(t, ns, "&replicas=2", said)
		return err
	})
	if err := both.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	set := statefulSet(t, ns)
	if set.Generation != 1 || set.Status.ReadyReplicas != 2 {
		t.Errorf("the StatefulSet has generation %d and %d ready replicas, want 1 and 2", set.Generation, set.Status.ReadyReplicas)
	}

	t.Run("all that a Dockerfile can ask for", func(t *testing.T) { contract(t, ns) })
	t.Run("artifacts have their replica", func(t *testing.T) { keepTheirReplica(t, b) })
	t.Run("a Dockerfile that fails is not tried elsewhere", func(t *testing.T) { failsOnce(t, b) })
	t.Run("a replica dies in mid-build", func(t *testing.T) { survivesDeath(t, ns, b) })
	t.Run("the connection is cut in mid-build", func(t *testing.T) { survivesCut(t, ns) })
	t.Run("layers come from the registry", func(t *testing.T) { sharesCache(t, ns, b) })
	t.Run("other options change the pool", func(t *testing.T) { changes(t, ns) })
	t.Run("it is removed", func(t *testing.T) { isRemoved(t, ns) })
}

// contract is what every place where davit builds is asked for.
func contract(t *testing.T, ns string) {
	o := options(t, ns, "&replicas=2")
	client := connect(t)
	buildtest.Run(t, buildtest.Place{
		Registry: suite.registry + "/davit-pool-test/" + suite.run,
		New: func(t *testing.T, getenv func(string) string) build.Builder {
			b, err := pool.Open(t.Context(), client, o, pool.Local{BuildKit: buildkit.Options{Getenv: getenv, DockerConfig: t.TempDir()}}, &lines{})
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
	})
}

func statefulSet(t *testing.T, ns string) *appsv1.StatefulSet {
	t.Helper()
	set, err := suite.admin.AppsV1().StatefulSets(ns).Get(t.Context(), pool.DefaultName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func mustBuild(t *testing.T, b *pool.Builder, r build.Request, said *lines) build.Result {
	t.Helper()
	result, err := b.Build(t.Context(), r, said)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return result
}

func keepTheirReplica(t *testing.T, b *pool.Builder) {
	said, used := &lines{}, map[string]bool{}
	for _, image := range []string{"a", "b", "c", "d", "e"} {
		r := project(t, image, "RUN echo 1 > /n\n")
		mustBuild(t, b, r, said)
		first := replicaOf(t, said, image)
		used[first] = true
		edit(t, r, "RUN echo 2 > /n\n")
		r.Key = "another"
		mustBuild(t, b, r, said)
		if second := replicaOf(t, said, image); second != first {
			t.Errorf("%s was built on %s, and after an edit on %s", image, first, second)
		}
	}
	if len(used) != 2 {
		t.Errorf("five artifacts were all built on %v", used)
	}
	// What was pushed is there, by another client.
	r := project(t, "a", "RUN echo 1 > /n\n")
	digest := mustBuild(t, b, r, said).Digest
	pushed, err := crane.Digest(r.Ref)
	if err != nil || pushed != digest {
		t.Errorf("the registry has %s (%v), want %s", pushed, err, digest)
	}
}

func failsOnce(t *testing.T, b *pool.Builder) {
	said := &lines{}
	_, err := b.Build(t.Context(), project(t, "bad", "RUN echo so; exit 3\n"), said)
	var step *build.StepError
	if !errors.As(err, &step) || step.ExitCode != 3 {
		t.Errorf("want a step that failed with exit code 3, have %v", err)
	}
	if n := strings.Count(said.String(), "building on the replica"); n != 1 {
		t.Errorf("it was tried %d times:\n%s", n, said)
	}
}

// slow is a build that works for long, until hurry is called: then it will not when it is begun again. How long is a secret, which is no input; what it makes is
// another thing in each test, as the pool's shared cache would have it otherwise.
func slow(t *testing.T, image string) (r build.Request, hurry func()) {
	t.Helper()
	r = project(t, image, "RUN --mount=type=secret,id=pause echo working; sleep $(cat /run/secrets/pause); echo "+image+" of "+suite.run+" > /done\n")
	spec := r.Spec.(build.Docker)
	pause := build.Secret{ID: "pause", Source: filepath.Join(t.TempDir(), "pause")}
	spec.Secrets = []build.Secret{pause}
	r.Spec = spec
	last := func(seconds string) {
		if err := os.WriteFile(pause.Source, []byte(seconds), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	last("120")
	return r, func() { last("0") }
}

func survivesDeath(t *testing.T, ns string, b *pool.Builder) {
	said := &lines{}
	r, hurry := slow(t, "slow")
	var result build.Result
	built := make(chan error, 1)
	go func() {
		var err error
		result, err = b.Build(t.Context(), r, said)
		built <- err
	}()
	said.sees(t, "[slow] working")
	first := replicaOf(t, said, "slow")
	hurry()
	kill(t, ns, first)
	if err := <-built; err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	second := replicaOf(t, said, "slow")
	if second == first || !strings.Contains(said.String(), "the replica "+first+" went away: its pod was deleted") {
		t.Errorf("want another replica than %s, and a word about it:\n%s", first, said)
	}
	if pushed, err := crane.Digest(r.Ref); err != nil || pushed != result.Digest {
		t.Errorf("the registry has %s (%v), want %s", pushed, err, result.Digest)
	}
}

// kill ends a pod at once, as the loss of its node does.
func kill(t *testing.T, ns, pod string) {
	t.Helper()
	now := int64(0)
	if err := suite.admin.CoreV1().Pods(ns).Delete(t.Context(), pod, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
}

// survivesCut cuts all connections to the cluster in mid-build. The replica lives, and the build goes on there.
func survivesCut(t *testing.T, ns string) {
	wire := &proxy{}
	client := wire.connect(t)
	b, err := pool.Open(t.Context(), client, options(t, ns, "&replicas=2"), local(t), &lines{})
	if err != nil {
		t.Fatal(err)
	}
	bothReady(t, ns) // another one that comes back meanwhile may be the artifact's own
	said := &lines{}
	r, hurry := slow(t, "cut")
	built := make(chan error, 1)
	go func() {
		_, err := b.Build(t.Context(), r, said)
		built <- err
	}()
	said.sees(t, "[cut] working")
	first := replicaOf(t, said, "cut")
	hurry()
	wire.cut()
	if err := <-built; err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if second := replicaOf(t, said, "cut"); second != first || !strings.Contains(said.String(), "the connection to the replica "+first+" was cut") {
		t.Errorf("want the same replica again, and a word about it:\n%s", said)
	}
}

// bothReady waits until a pool of two is whole.
func bothReady(t *testing.T, ns string) {
	t.Helper()
	for ready := 0; ready != 2; time.Sleep(100 * time.Millisecond) {
		pods, err := suite.admin.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ready = 0
		for _, p := range pods.Items {
			if pool.Ready(&p) && p.DeletionTimestamp == nil {
				ready++
			}
		}
	}
}

// proxy stands between the client and the API server.
type proxy struct {
	mu    sync.Mutex
	conns []net.Conn
}

// connect gives a client that goes through the proxy.
func (p *proxy) connect(t *testing.T) *kube.Client {
	t.Helper()
	config, err := clientcmd.LoadFromFile(suite.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	for _, cluster := range config.Clusters {
		server := strings.TrimPrefix(cluster.Server, "https://")
		cluster.Server = "https://" + l.Addr().String()
		go p.serve(l, server)
	}
	return connectBy(t, config)
}

func (p *proxy) serve(l net.Listener, server string) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", server)
		if err != nil {
			_ = in.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, in, out)
		p.mu.Unlock()
		pass := func(to, from net.Conn) {
			_, _ = io.Copy(to, from)
			_ = to.Close()
		}
		go pass(in, out)
		go pass(out, in)
	}
}

// cut ends all connections that there are.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// connectBy makes a client of a kubeconfig.
func connectBy(t *testing.T, config *clientcmdapi.Config) *kube.Client {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	client, err := kube.Connect(kube.Options{Kubeconfig: []string{file}, CacheDir: t.TempDir(), UserAgent: "davit/test"})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func sharesCache(t *testing.T, ns string, b *pool.Builder) {
	said := &lines{}
	r := project(t, "shared", "RUN echo costly-step > /costly\n")
	mustBuild(t, b, r, said)
	kill(t, ns, replicaOf(t, said, "shared"))
	said = &lines{}
	edit(t, r, "RUN echo costly-step > /costly\nRUN echo more > /more\n")
	mustBuild(t, b, r, said)
	if !strings.Contains(said.String(), "cached [shared] [3/4] RUN echo costly-step") {
		t.Errorf("a replica that never built it did not take the step from the registry:\n%s", said)
	}
}

func changes(t *testing.T, ns string) {
	said := &lines{}
	if _, err := open(t, ns, "&replicas=1&keep=5GB&insecure=registry.example.com:5000", said); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if set := statefulSet(t, ns); *set.Spec.Replicas != 1 || set.Status.UpdatedReplicas != 1 {
		t.Errorf("after the change it has %d replicas, %d of them new", *set.Spec.Replicas, set.Status.UpdatedReplicas)
	}
	p, err := pool.Find(t.Context(), connect(t), pool.Options{Namespace: ns, Name: pool.DefaultName})
	if err != nil {
		t.Fatal(err)
	}
	pods := slices.DeleteFunc(p.Pods, func(pod *corev1.Pod) bool { return !pool.Ready(pod) })
	if len(pods) != 1 || p.Image != suite.image || !p.HostNetwork {
		t.Fatalf("the cluster shows %d ready replicas of %+v", len(pods), p.Options)
	}
	b := buildkit.New(p.Where(pods[0]), local(t).BuildKit)
	state, err := b.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(state.Workers) != 1 || state.Workers[0].GC[1].MaxUsed != 5<<30 || !strings.HasPrefix(state.Version, "v0.") {
		t.Errorf("the replica does not keep 5 GB, or says no version: %+v", state)
	}
}

func isRemoved(t *testing.T, ns string) {
	p, err := pool.Find(t.Context(), connect(t), pool.Options{Namespace: ns, Name: pool.DefaultName})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Remove(t.Context(), &lines{}); err != nil {
		t.Fatal(err)
	}
	pods, err := suite.admin.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) != 0 {
		t.Errorf("%d pods are left (%v)", len(pods.Items), err)
	}
	maps, err := suite.admin.CoreV1().ConfigMaps(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=davit"})
	if err != nil || len(maps.Items) != 0 {
		t.Errorf("%d ConfigMaps are left (%v)", len(maps.Items), err)
	}
}

// TestRootlessPool builds where neither the pod nor its steps have root's rights on the node.
func TestRootlessPool(t *testing.T) {
	t.Parallel()
	ns, said := namespace(t), &lines{}
	b, err := open(t, ns, "&rootless=true", said)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	mustBuild(t, b, project(t, "rootless", "RUN cat /proc/self/uid_map; touch /x; chown 1234 /x\n"), said)
	if !matches(`(?m)^\[rootless\] +0 +1000 +1$`, said.String()) {
		t.Errorf("root in a step is not an ordinary user outside of it:\n%s", said)
	}
	pods, err := suite.admin.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) != 1 || pods.Items[0].Spec.Containers[0].SecurityContext.Privileged != nil {
		t.Errorf("want one pod without privileges, have %v (%v)", pods, err)
	}
}

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

// TestPoolThatCannotBe makes pools that something is in the way of: each ends at once, with the cause.
func TestPoolThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		query  string
		hinder func(t *testing.T, ns string)
		says   []string
	}{
		"an image that does not exist": {query: "&image=" + "localhost:5000/davit-pool-test/nowhere:v1", says: []string{"cannot pull image", "nowhere:v1"}},
		"a quota":                      {hinder: noPods, says: []string{"its pods cannot be created", "exceeded quota"}},
		"a node that is too small":     {query: "&requests.memory=900Ti", says: []string{"no node takes the pod", "Insufficient memory"}},
		"a StatefulSet of others":      {hinder: foreignSet, says: []string{"not a pool of davit's", "name="}},
		"an image without buildkitd":   {query: "&image=localhost:5000/davit-pool-test/other:v1", hinder: otherImage, says: []string{"davit-builder-0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns, said := namespace(t), &lines{}
			if c.hinder != nil {
				c.hinder(t, ns)
			}
			o, err := pool.Parse("kubernetes://" + ns + "?network=host&" + strings.TrimPrefix(c.query, "&"))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(c.query, "image=") {
				o.Image = suite.image
			}
			_, err = pool.Open(t.Context(), connect(t), o, local(t), said)
			if err == nil {
				t.Fatalf("it is there:\n%s", said)
			}
			t.Log(err)
			for _, text := range append(c.says, "kubernetes://"+ns) {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("the error does not say %q: %v", text, err)
				}
			}
		})
	}
}

func noPods(t *testing.T, ns string) {
	_, err := suite.admin.CoreV1().ResourceQuotas(ns).Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "none"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"pods": resource.MustParse("0")}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func foreignSet(t *testing.T, ns string) {
	labels := map[string]string{"app": "other"}
	none := int32(0)
	_, err := suite.admin.AppsV1().StatefulSets(ns).Create(t.Context(), &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: pool.DefaultName},
		Spec: appsv1.StatefulSetSpec{Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "scratch"}}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func otherImage(t *testing.T, _ string) {
	image, err := random.Image(64, 1)
	if err == nil {
		err = crane.Push(image, "localhost:5000/davit-pool-test/other:v1")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestPoolByRights lets somebody who has the rights that docs/pool.md lists, and nothing else, make a pool, build in it and remove it; and
// says which right is missing to somebody who may run no programs in its pods.
func TestPoolByRights(t *testing.T) {
	t.Parallel()
	ns, said := namespace(t), &lines{}
	role := documentedRole(t, ns)
	client := limited(t, role)
	b, err := pool.Open(t.Context(), client, options(t, ns, ""), local(t), said)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	mustBuild(t, b, project(t, "rights", ""), said)

	role.Rules = slices.DeleteFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return r.Resources[0] == "pods/exec" })
	if _, err := suite.admin.RbacV1().Roles(ns).Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	said = &lines{}
	_, err = b.Build(t.Context(), project(t, "rights", ""), said)
	if err == nil || !strings.Contains(err.Error(), "pods/exec") || strings.Count(said.String(), "building on") != 1 {
		t.Errorf("want one try and an error that names the right to create pods/exec, have %v\n%s", err, said)
	}

	p, err := pool.Find(t.Context(), client, pool.Options{Namespace: ns, Name: pool.DefaultName})
	if err == nil {
		err = p.Remove(t.Context(), said)
	}
	if err != nil {
		t.Error(err)
	}
}

// documentedRole is the role that docs/pool.md shows, in a namespace of the test's.
func documentedRole(t *testing.T, ns string) *rbacv1.Role {
	t.Helper()
	page, err := os.ReadFile("../../../docs/pool.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```yaml\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\n")
	text, _, _ = strings.Cut(text, "```")
	role := &rbacv1.Role{}
	if err := yaml.Unmarshal([]byte(text), role); err != nil || len(role.Rules) < 4 {
		t.Fatalf("docs/pool.md shows no role: %v", err)
	}
	role.Namespace = ns
	return role
}

// limited is a client that has a role and nothing else.
func limited(t *testing.T, role *rbacv1.Role) *kube.Client {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ns := role.Namespace
	account := metav1.ObjectMeta{Name: "limited", Namespace: ns}
	_, err := suite.admin.CoreV1().ServiceAccounts(ns).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: account}, metav1.CreateOptions{})
	must(err)
	_, err = suite.admin.RbacV1().Roles(ns).Create(t.Context(), role, metav1.CreateOptions{})
	must(err)
	_, err = suite.admin.RbacV1().RoleBindings(ns).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: account, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "limited", Namespace: ns}},
	}, metav1.CreateOptions{})
	must(err)
	token, err := suite.admin.CoreV1().ServiceAccounts(ns).CreateToken(t.Context(), "limited", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	must(err)
	config, err := clientcmd.LoadFromFile(suite.kubeconfig)
	must(err)
	for _, user := range config.AuthInfos {
		*user = clientcmdapi.AuthInfo{Token: token.Status.Token}
	}
	return connectBy(t, config)
}
