//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/engine/enginetest"
)

// TestDockerEngine takes the example through a real Docker Engine: it builds by the Engine's BuildKit and pushes by the Engine.
func TestDockerEngine(t *testing.T) {
	docker := enginetest.Start(t)
	p := newProject(t)
	p.env = []string{"DOCKER_HOST=" + docker.Host}
	p.davit("run").ok().says("with Docker Engine at "+docker.Host, "Successfully built and tagged", "deployment.apps/my-web-app created", "as built")
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
	docker := enginetest.Start(t)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "docker" },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(docker.Host, "unix://"))
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

// freePort is a port of this machine that is free now, and that no program gets which takes any.
func freePort() string {
	for {
		port := fmt.Sprint(20000 + rand.N(9000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			_ = l.Close()
			return port
		}
	}
}

// fetch waits for a server that may not listen yet.
func fetch(t *testing.T, address string) string {
	t.Helper()
	answer, err := http.Get(address)
	for end := time.Now().Add(soon); err != nil; answer, err = http.Get(address) {
		if time.Now().After(end) {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
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
	p.env = []string{"DOCKER_HOST=" + enginetest.Start(t).Host}
	local := freePort()
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
	p.davit("plan", "--exit-code").fails(2).says("+ create deployment.apps/my-web-app", "Docker Engine at unix://", "+ create network/", "+ create container/my-web-app")
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
	p.davit("plan", "-p", "laptop", "--save", "../plan.json").ok().says("+ my-web-app: is built into the Docker Engine", "Docker Engine at unix://",
		"-/+ replace container/my-web-app", "image: my-web-app:", "→ my-web-app:(to be built)", "1 image to build, 1 object to replace.")
	p.output("docker", "--host", strings.TrimPrefix(p.env[0], "DOCKER_HOST="), "stop", "my-web-app")
	p.davit("run", "--plan", "../plan.json").fails(1).complains("container/my-web-app in the Docker Engine: it changed there")
	p.output("docker", "--host", strings.TrimPrefix(p.env[0], "DOCKER_HOST="), "start", "my-web-app")
	p.davit("run", "--plan", "../plan.json").ok().says("container/my-web-app replaced", "as built")
	p.davit("plan", "-p", "laptop", "--exit-code").ok().says("= 1 container unchanged", "Nothing to do.")
	p.davit("run", "-p", "laptop").ok().says("Found Locally", "container/my-web-app unchanged", "as built")
	followed := p.start("run", "-p", "laptop", "--tail", "--port-forward")
	followed.sees("Press Ctrl+C to exit")
	p.output("docker", "--host", strings.TrimPrefix(p.env[0], "DOCKER_HOST="), "restart", "my-web-app")
	followed.sees("listening on :8080")
	if err := followed.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	followed.wait().ok().says("container/my-web-app unchanged", "container/my-web-app: port 8080 is at 127.0.0.1:", "as built", "[my-web-app] ")
	nothingKept := p.namespace + ": a Docker Engine keeps no earlier versions of its containers: to go back, check out the commit that is wanted, and run again"
	p.davit("history", "-p", "laptop").ok().complains(nothingKept)
	p.davit("rollback", "-p", "laptop").fails(1).complains(nothingKept)
	p.davit("delete", "-p", "laptop").ok().says("container/my-web-app deleted", "network/", "deleted")
}
