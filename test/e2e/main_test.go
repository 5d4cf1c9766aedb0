//go:build e2e

// Package e2e runs the davit binary against a real Kubernetes and a real registry, and looks at what users would see:
// its output, its exit code, the cluster. DAVIT_TEST_KUBECONFIG names the cluster, `make test` brings one up.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

var suite struct {
	davit      string // the binary under test
	root       string // the repository
	cache      string // XDG_CACHE_HOME of all runs: one carried BuildKit for all
	gocache    string // Go's own, or the hooks would compile the standard library anew
	kubeconfig string
	client     *kubernetes.Clientset
}

func TestMain(m *testing.M) {
	code, err := setUp(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func setUp(m *testing.M) (int, error) {
	suite.kubeconfig = os.Getenv("DAVIT_TEST_KUBECONFIG")
	if suite.kubeconfig == "" {
		return 1, errors.New("DAVIT_TEST_KUBECONFIG is not set: run `make test`, or `bin/kubebox up` and point it at the kubeconfig")
	}
	config, err := clientcmd.BuildConfigFromFlags("", suite.kubeconfig)
	if err != nil {
		return 1, err
	}
	config.QPS, config.Burst = 100, 100
	if suite.client, err = kubernetes.NewForConfig(config); err != nil {
		return 1, err
	}
	if suite.root, err = filepath.Abs("../.."); err != nil {
		return 1, err
	}
	gocache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		return 1, fmt.Errorf("asking go for its cache: %w", err)
	}
	suite.gocache = strings.TrimSpace(string(gocache))
	dir, err := os.MkdirTemp("", "davit-e2e")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	suite.cache = filepath.Join(dir, "cache")
	suite.davit = filepath.Join(dir, "davit")
	build := exec.Command("go", "build", "-o", suite.davit, "./cmd/davit")
	build.Dir = suite.root
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building davit: %w\n%s", err, out)
	}
	defer stopBuilder()
	return m.Run(), nil
}

// stopBuilder ends the BuildKit that the runs left idle: the process at the other end of its socket.
func stopBuilder() {
	conn, err := net.Dial("unix", filepath.Join(suite.cache, "davit", "buildkit", "buildkitd.sock"))
	if err != nil {
		return // none was started, or it is gone
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		if peer, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			_ = syscall.Kill(int(peer.Pid), syscall.SIGTERM)
		}
	})
}

// project is a copy of examples/getting-started in a folder and a git repository of its own, with a namespace of its own.
type project struct {
	t         *testing.T
	dir       string
	namespace string
	env       []string // on top of the suite's
}

func newProject(t *testing.T) *project {
	t.Helper()
	p := &project{t: t, dir: filepath.Join(t.TempDir(), "getting-started")}
	ns, err := suite.client.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.namespace = ns.Name
	copyTree(t, filepath.Join(suite.root, "examples", "getting-started"), p.dir)
	p.write("page/which.txt", p.namespace) // no other test has these inputs: the registry's cache would find its image
	p.git("init", "--quiet")
	p.git("add", ".")
	p.git("commit", "--quiet", "-m", "first")
	t.Cleanup(func() {
		if err := suite.client.CoreV1().Namespaces().Delete(context.Background(), p.namespace, metav1.DeleteOptions{}); err != nil {
			t.Errorf("deleting namespace %s: %v", p.namespace, err)
		}
	})
	return p
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		if d.Name() == "my-web-app" {
			return nil // what an earlier run by hand left
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (p *project) git(args ...string) {
	p.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
	cmd.Dir = p.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func (p *project) write(name, text string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *project) replace(name, old, with string) {
	p.t.Helper()
	data, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	if !strings.Contains(string(data), old) {
		p.t.Fatalf("%s does not hold %q", name, old)
	}
	p.write(name, strings.ReplaceAll(string(data), old, with))
}

// result is what a command left.
type result struct {
	t              *testing.T
	code           int
	stdout, stderr string
	took           time.Duration
}

// davit runs the binary in the project, in its namespace.
func (p *project) davit(args ...string) result {
	p.t.Helper()
	c := p.start(args...)
	return c.wait()
}

// running is a davit that has not ended yet.
type running struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr *output
	began          time.Time
	ended          chan struct{}
	err            error // once it ended
}

// output can be read while it is written.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

var _ io.Writer = (*output)(nil)

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func (p *project) start(args ...string) *running {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	p.t.Cleanup(cancel)
	r := &running{t: p.t, cmd: exec.CommandContext(ctx, suite.davit, args...), stdout: &output{}, stderr: &output{}, began: time.Now(), ended: make(chan struct{})}
	r.cmd.Dir = p.dir
	r.cmd.Env = append(os.Environ(), "KUBECONFIG="+suite.kubeconfig, "XDG_CACHE_HOME="+suite.cache,
		"GOCACHE="+suite.gocache, "SKAFFOLD_NAMESPACE="+p.namespace, "DOCKER_HOST=", "BUILDKIT_HOST=")
	r.cmd.Env = append(r.cmd.Env, p.env...)
	r.cmd.Stdout, r.cmd.Stderr = r.stdout, r.stderr
	if err := r.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		r.err = r.cmd.Wait()
		close(r.ended)
	}()
	return r
}

func (r *running) wait() result {
	r.t.Helper()
	<-r.ended
	var exit *exec.ExitError
	if r.err != nil && !errors.As(r.err, &exit) {
		r.t.Fatal(r.err)
	}
	return result{r.t, r.cmd.ProcessState.ExitCode(), r.stdout.String(), r.stderr.String(), time.Since(r.began)}
}

// sees waits until the running command has printed a text.
func (r *running) sees(text string) {
	r.t.Helper()
	for over := false; !strings.Contains(r.stdout.String()+r.stderr.String(), text); {
		if over {
			r.t.Fatalf("%q never showed in\n%s\n%s", text, r.stdout, r.stderr)
		}
		select {
		case <-r.ended:
			over = true
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (r result) ok() result {
	r.t.Helper()
	if r.code != 0 {
		r.t.Fatalf("exit code %d\nstdout:\n%s\nstderr:\n%s", r.code, r.stdout, r.stderr)
	}
	return r
}

func (r result) fails(code int) result {
	r.t.Helper()
	if r.code != code {
		r.t.Fatalf("exit code %d, want %d\nstdout:\n%s\nstderr:\n%s", r.code, code, r.stdout, r.stderr)
	}
	return r
}

// says checks that stdout has these texts in this order.
func (r result) says(texts ...string) result {
	r.t.Helper()
	rest := r.stdout
	for _, text := range texts {
		i := strings.Index(rest, text)
		if i < 0 {
			r.t.Fatalf("%q is not (or not in this order) in stdout:\n%s\nstderr:\n%s", text, r.stdout, r.stderr)
		}
		rest = rest[i+len(text):]
	}
	return r
}

func (r result) saysNot(texts ...string) {
	r.t.Helper()
	for _, text := range texts {
		if strings.Contains(r.stdout, text) {
			r.t.Fatalf("%q is in stdout:\n%s", text, r.stdout)
		}
	}
}

// complains checks that stderr has these texts.
func (r result) complains(texts ...string) result {
	r.t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.stderr, text) {
			r.t.Fatalf("%q is not in stderr:\n%s\nstdout:\n%s", text, r.stderr, r.stdout)
		}
	}
	return r
}

// output runs a command in the project and returns what it prints.
func (p *project) output(name string, args ...string) string {
	p.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = p.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}
