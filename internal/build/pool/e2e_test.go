//go:build e2e && linux

package pool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/buildkit"
	"github.com/davit-dev/davit/internal/build/buildkitd"
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
	suite.image = suite.registry + "/davit-pool-test/buildkit:v1"
	return pooltest.Push(suite.image, exe, hidden)
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
	for range 900 {
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

// open brings up a pool in a namespace of the test's own.
func open(t *testing.T, ns, query string, sink event.Sink) (*pool.Builder, error) {
	t.Helper()
	o, err := pool.Parse("kubernetes://" + ns + "?network=host&wait=2m&image=" + suite.image + query)
	if err != nil {
		t.Fatal(err)
	}
	return pool.Open(t.Context(), connect(t), o, local(t), sink)
}

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
		"Dockerfile": "FROM scratch AS shell\nCOPY --chmod=755 busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n" + dockerfile,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return build.Request{
		Image: image, Ref: suite.registry + "/davit-pool-test/" + strings.ToLower(t.Name()) + "-" + image + ":v1", Push: true,
		Spec: build.Docker{Context: dir, Dockerfile: filepath.Join(dir, "Dockerfile")},
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
	ns, said := namespace(t), &lines{}
	b, err := open(t, ns, "&replicas=2", said)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	t.Logf("%s", said)
	r := project(t, "web", "RUN echo hello > /hello\n")
	res, err := b.Build(t.Context(), r, said)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	t.Logf("%s %s\n%s", res.Digest, replicaOf(t, said, "web"), said)
}
