//go:build e2e

package e2e

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDockerEngine takes the example through a real Docker Engine: it builds by the Engine's BuildKit and pushes by the Engine.
func TestDockerEngine(t *testing.T) {
	socket := startDocker(t)
	p := newProject(t)
	p.env = []string{"DOCKER_HOST=unix://" + socket}
	p.davit("run").ok().says("with Docker Engine at unix://"+socket, "Successfully built and tagged", "deployment.apps/my-web-app created", "as built")
	digest := p.running()
	p.davit("run").ok().says("Found Remotely", "unchanged", digest).saysNot("Starting build")
	if page := p.page(); !strings.Contains(page, "Hello from my-web-app") {
		t.Errorf("the service answers %q", page)
	}
}

func TestDockerEngineThatIsGone(t *testing.T) {
	p := newProject(t)
	p.env = []string{"DOCKER_HOST=unix:///nowhere/docker.sock"}
	p.davit("run").fails(1).complains("DOCKER_HOST", "unix:///nowhere/docker.sock")
	p.nothingDeployed()
	// Builders by the names that `davit builder ls` gives them.
	p.davit("build", "--builder", "docker").fails(1).complains("no Docker Engine answers at unix:///nowhere/docker.sock", "start it, or build elsewhere (--builder)")
	p.davit("build", "--builder", "davit").ok().says("with BuildKit carried by davit", "Successfully built and tagged")
}

// TestDockerEngineWithoutBuildKit hides the BuildKit of a real Docker Engine, as one that is too old has none.
func TestDockerEngineWithoutBuildKit(t *testing.T) {
	socket := startDocker(t)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "docker" },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}},
		ModifyResponse: func(r *http.Response) error { r.Header.Del("Builder-Version"); return nil },
		FlushInterval:  -1,
	}
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/grpc") || strings.HasSuffix(r.URL.Path, "/session") {
			http.NotFound(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(engine.Close)
	p := newProject(t)
	p.env = []string{"DOCKER_HOST=tcp://" + engine.Listener.Addr().String()}
	p.davit("run").ok().says("with Docker Engine at tcp://", "Step 1/", "Successfully built and tagged", "as built").complains("has no BuildKit: its own builder builds")
	p.davit("run").ok().says("Found Remotely").saysNot("Starting build")
	p.replace("skaffold.yaml", "dockerfile: Dockerfile", "dockerfile: Dockerfile\n      secret: {id: token, src: go.mod}")
	p.davit("build").fails(1).complains("docker.secrets needs BuildKit, which the Docker Engine at tcp://", "--builder davit")
	p.davit("builder", "ls").ok().says("no BuildKit")
}

// startDocker runs a Docker Engine of the test's own, which leaves the machine's network alone.
func startDocker(t *testing.T) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "davit-docker") // not t.TempDir: a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "docker.sock")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dockerd", "--host", "unix://"+socket, "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"), "--iptables=false", "--ip6tables=false", "--bridge=none")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting dockerd (apt-get install docker.io): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Logf("dockerd: %v", err)
		}
		_ = os.RemoveAll(dir)
	})
	for range 300 {
		if _, err := os.Stat(socket); err == nil {
			ping := exec.Command("docker", "version")
			ping.Env = append(os.Environ(), "DOCKER_HOST=unix://"+socket)
			if ping.Run() == nil {
				return socket
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
	out, _ := os.ReadFile(log.Name())
	t.Fatalf("dockerd does not answer:\n%s", out)
	return ""
}

// freePort is a port of this machine that is free now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func fetch(t *testing.T, address string) string {
	t.Helper()
	answer, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestContainers deploys to a Docker Engine and to the cluster side by side, then to the Engine alone, where no cluster is needed.
func TestContainers(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.env = []string{"DOCKER_HOST=unix://" + startDocker(t)}
	local := freePort(t)
	config := strings.NewReplacer("PORT", local, "NAME", p.namespace).Replace(`apiVersion: skaffold/v4beta11
kind: Config
metadata: {name: NAME}
build: {artifacts: [{image: my-web-app, hooks: {before: [{command: [env, CGO_ENABLED=0, go, build, -trimpath, -o, my-web-app, .]}]}}]}
manifests: {rawYaml: [k8s/deployment.yaml]}
deploy:
  kubectl: {}
  docker: {images: [my-web-app]}
portForward: [{resourceType: container, resourceName: my-web-app, port: 8080, localPort: PORT}]
profiles:
- name: laptop
  patches: [{op: remove, path: /manifests}, {op: remove, path: /deploy/kubectl}]
`)
	p.write("skaffold.yaml", config)
	p.davit("run").ok().says("container/my-web-app created", "deployment.apps/my-web-app created", "container/my-web-app: port 8080 is at 127.0.0.1:"+local)
	p.davit("run").ok().says("container/my-web-app unchanged", "deployment.apps/my-web-app unchanged")
	p.davit("delete").ok().says("container/my-web-app deleted")
	p.nothingDeployed()

	p.env = append(p.env, "KUBECONFIG="+t.TempDir()+"/none")
	p.davit("run", "-p", "laptop").ok().says("container/my-web-app created", "as built")
	if page := fetch(t, "http://127.0.0.1:"+local); !strings.Contains(page, "Hello from my-web-app") {
		t.Errorf("the container answers %q", page)
	}
	p.write("page/which.txt", p.namespace+" again")
	p.davit("run", "-p", "laptop").ok().says("container/my-web-app replaced", "as built")
	p.davit("run", "-p", "laptop").ok().says("Found Locally", "container/my-web-app unchanged", "as built")
	p.davit("delete", "-p", "laptop").ok().says("container/my-web-app deleted", "network/", "deleted")
}
