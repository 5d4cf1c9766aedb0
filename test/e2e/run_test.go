//go:build e2e

package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const app = "my-web-app"

// TestTheWayThrough follows the example from a fresh checkout over a run that has nothing to do, an edit of the page and
// one of the source, to its deletion.
func TestTheWayThrough(t *testing.T) {
	p := newProject(t)

	first := p.davit("run").ok()
	first.says(
		"Generating tags...", "gcr.io/my-project/my-web-app -> localhost:", "Checking cache...", "Not found. Building",
		"Starting build...", "Successfully built and tagged localhost:", "Starting deploy...",
		"deployment.apps/my-web-app created", "Waiting for deployments to stabilize...",
		"deployment.apps/my-web-app: 1 pod runs sha256:", "as built")
	digest := p.running()
	if !strings.Contains(first.stdout, digest) {
		t.Errorf("the running digest %s is not in\n%s", digest, first.stdout)
	}
	if page := p.page(); !strings.Contains(page, "Hello from my-web-app") {
		t.Errorf("the service answers %q", page)
	}

	before := p.versions()
	again := p.davit("run").ok()
	again.says("Found Remotely", "deployment.apps/my-web-app unchanged", "1 pod runs "+digest)
	again.saysNot("Starting build", "created", "configured")
	if after := p.versions(); after != before {
		t.Errorf("a run with nothing to do moved resource versions:\nbefore %s\nafter  %s", before, after)
	}

	p.replace("page/index.html", "Hello", "Goodbye")
	edited := p.davit("run").ok()
	edited.says("Not found. Building", "page/index.html", "deployment.apps/my-web-app configured", "as built")
	if now := p.running(); now == digest || !strings.Contains(edited.stdout, now) {
		t.Errorf("after an edit %s runs, before it was %s\n%s", now, digest, edited.stdout)
	}
	if page := p.page(); !strings.Contains(page, "Goodbye from my-web-app") {
		t.Errorf("after an edit the service answers %q", page)
	}

	// The source is not copied into the image, the hook makes a binary of it: that must be seen too.
	p.replace("main.go", "listening on :8080", "listening at :8080")
	p.davit("run").ok().says("Not found. Building", "main.go", "deployment.apps/my-web-app configured")
	p.davit("run").ok().says("Found Remotely", "unchanged").saysNot("Starting build")

	p.davit("delete").ok().says("Cleaning up...", "deployment.apps/my-web-app deleted")
	_, err := suite.client.AppsV1().Deployments(p.namespace).Get(t.Context(), app, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("after delete, getting the deployment gives %v", err)
	}
	maps, err := suite.client.CoreV1().ConfigMaps(p.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "applyset.kubernetes.io/id"})
	if err != nil || len(maps.Items) != 0 {
		t.Errorf("after delete, inventories are left: %v %v", maps.Items, err)
	}
	p.davit("delete").ok()
}

// TestReferenceTextToTheLetter runs the config of the text that davit was asked to implement: v2beta10, an artifact named
// my-web-app, and a Deployment that knows it as gcr.io/my-project/my-web-app.
func TestReferenceTextToTheLetter(t *testing.T) {
	p := newProject(t)
	p.write("skaffold.yaml", `apiVersion: skaffold/v2beta10
kind: Config
build:
  artifacts:
  - image: my-web-app
    docker:
      dockerfile: Dockerfile
deploy:
  kubectl:
    manifests:
    - k8s/deployment.yaml
`)
	p.buildBinary()
	p.davit("run").ok().
		says("my-web-app -> localhost:", "Successfully built and tagged", "deployment.apps/my-web-app created", "as built").
		complains("gcr.io/my-project/my-web-app")
	p.running()
}

func TestNewestVersion(t *testing.T) {
	p := newProject(t)
	p.write("skaffold.yaml", `apiVersion: skaffold/v4beta14
kind: Config
metadata: {name: web}
build:
  artifacts:
  - image: gcr.io/my-project/my-web-app
manifests:
  rawYaml: ["k8s/*.yaml"]
deploy:
  kubectl: {}
`)
	p.buildBinary()
	p.davit("run").ok().says("deployment.apps/my-web-app created", "as built")
}

func TestTagIsTheCommit(t *testing.T) {
	p := newProject(t)
	head := strings.TrimSpace(p.output("git", "rev-parse", "--short", "HEAD"))
	p.davit("build").ok().says("localhost:", ":"+head+"\n")
	p.replace("page/index.html", "Hello", "Hi")
	p.davit("build").ok().says(":" + head + "-dirty\n")
}

func TestTwoRunsAtOnce(t *testing.T) {
	p := newProject(t)
	one, two := p.start("run"), p.start("run")
	one.wait().ok()
	two.wait().ok()
	p.running()
	p.davit("run").ok().says("Found Remotely", "unchanged")
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(p *project)
		wants []string
	}{
		{"Dockerfile step", func(p *project) {
			p.write("Dockerfile", "FROM scratch\nCOPY my-web-app /my-web-app\nCOPY nowhere /x\n")
		}, []string{"Dockerfile:3", "nowhere"}},
		{"Dockerfile syntax", func(p *project) {
			p.write("Dockerfile", "FROM scratch\nCPY a b\n")
		}, []string{"Dockerfile:2", "CPY"}},
		{"hook", func(p *project) {
			p.replace("main.go", "package main", "package main\nbroken")
		}, []string{"hook", "go build"}},
		{"manifest syntax", func(p *project) {
			p.write("k8s/deployment.yaml", "apiVersion: apps/v1\nkind: Deployment\n metadata: x\n")
		}, []string{"k8s/deployment.yaml:3", "mapping values are not allowed"}},
		{"manifest gone", func(p *project) {
			p.replace("skaffold.yaml", "k8s/deployment.yaml", "k8s/nothing.yaml")
		}, []string{"k8s/nothing.yaml", "does not exist"}},
		{"config field", func(p *project) {
			p.replace("skaffold.yaml", "dockerfile:", "dockerfil:")
		}, []string{"skaffold.yaml:8:7", "dockerfil", "dockerfile", "^"}},
		{"manifest that the server refuses", func(p *project) {
			p.replace("k8s/deployment.yaml", "replicas: 1", "replicas: many")
		}, []string{"deployment.apps/my-web-app", "replicas"}},
		{"registry that refuses", func(p *project) {
			p.env = []string{"SKAFFOLD_DEFAULT_REPO=" + refusingRegistry(p.t)}
		}, []string{"127.0.0.1:", "docker login"}},
		{"registry out of reach", func(p *project) {
			p.env = []string{"SKAFFOLD_DEFAULT_REPO=localhost:1"}
		}, []string{"localhost:1"}},
		{"cluster out of reach", func(p *project) {
			kubeconfig := filepath.Join(p.t.TempDir(), "config")
			p.writeTo(kubeconfig, `{apiVersion: v1, kind: Config, current-context: gone,
clusters: [{name: gone, cluster: {server: "https://127.0.0.1:1"}}], users: [{name: u, user: {}}],
contexts: [{name: gone, context: {cluster: gone, user: u}}]}`)
			p.env = []string{"KUBECONFIG=" + kubeconfig}
		}, []string{"cannot reach", `"gone"`, "https://127.0.0.1:1"}},
		{"no kubeconfig", func(p *project) {
			p.env = []string{"KUBECONFIG=/nowhere/config"}
		}, []string{"/nowhere/config", "KUBECONFIG"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProject(t)
			c.spoil(p)
			r := p.davit("run").fails(1).complains(c.wants...)
			if r.took > soon {
				t.Errorf("it took %s to fail", r.took)
			}
			p.nothingDeployed()
		})
	}
}

// soon is half of the time that davit gives a deployment: what takes longer, on the slowest machine, has waited for something to time out.
const soon = 5 * time.Minute

func TestPodThatCrashes(t *testing.T) {
	p := newProject(t)
	p.replace("main.go", `log.Print("listening on :8080")`, `log.Fatal("the database is not there")`)
	p.replace("k8s/deployment.yaml", "replicas: 1", "replicas: 1\n  minReadySeconds: 300") // it may take its time to crash
	r := p.davit("run").fails(1)
	r.complains("deployment.apps/my-web-app", "container my-web-app", "the database is not there")
	if r.took > soon {
		t.Errorf("it took %s to see the crash", r.took)
	}
	// Mended, it goes through.
	p.replace("k8s/deployment.yaml", "\n  minReadySeconds: 300", "")
	p.replace("main.go", `log.Fatal("the database is not there")`, `log.Print("listening on :8080")`)
	p.davit("run").ok().says("configured", "as built")
}

func TestImageThatCannotBePulled(t *testing.T) {
	p := newProject(t)
	p.replace("k8s/deployment.yaml", "      - name: my-web-app\n", "      - {name: side, image: \"localhost:5000/no/such:image\"}\n      - name: my-web-app\n")
	r := p.davit("run").fails(1)
	r.complains("container side", "localhost:5000/no/such:image")
	if r.took > soon {
		t.Errorf("it took %s to see it", r.took)
	}
}

func TestInterrupt(t *testing.T) {
	for _, c := range []struct {
		name, at string
		spoil    func(p *project)
	}{
		{"in a hook", "Building [", func(p *project) {
			p.replace("skaffold.yaml", `["env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-o", "my-web-app", "."]`, `["sleep", "3600"]`)
		}},
		{"in a build step", "RUN [\"/bin/busybox\"", func(p *project) {
			p.runStep(`"sleep", "3600"`)
		}},
		{"while waiting", "Waiting for deployments", func(p *project) {
			p.replace("k8s/deployment.yaml", "containerPort: 8080\n", "containerPort: 8080\n        readinessProbe: {httpGet: {port: 8080, path: /nothing}}\n")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProject(t)
			c.spoil(p)
			r := p.start("run")
			r.sees(c.at)
			if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			sent := time.Now()
			r.wait().fails(130).complains("interrupted")
			if waited := time.Since(sent); waited > soon {
				t.Errorf("it took %s to stop", waited)
			}
		})
	}
}

// TestRunStep runs a step inside the image that is built, by the BuildKit that davit carries.
func TestRunStep(t *testing.T) {
	p := newProject(t)
	p.runStep(`"sh", "-c", "echo made in a step > /page/index.html"`)
	p.davit("run").ok().says("RUN", "as built")
	if page := p.page(); !strings.Contains(page, "made in a step") {
		t.Errorf("the service answers %q", page)
	}

	p.runStep(`"sh", "-c", "echo the compiler says no; exit 3"`)
	p.davit("run").fails(1).complains("Dockerfile:5", "exit code 3", "the compiler says no", ">>>")
	if page := p.page(); !strings.Contains(page, "made in a step") {
		t.Errorf("after a build that failed the service answers %q", page)
	}
}

// TestKilled kills davit in the middle of a build; the next run finds nothing broken.
func TestKilled(t *testing.T) {
	p := newProject(t)
	// How long the step takes is a secret, which is no input: it does not end before davit is killed, nor does it hold up the last build.
	p.replace("skaffold.yaml", "dockerfile: Dockerfile", "dockerfile: Dockerfile\n      secret: {id: pause, src: ../pause}")
	p.runStep(`"sh", "-c", "/bin/busybox sleep $(/bin/busybox cat /run/secrets/pause)"`)
	p.replace("Dockerfile", "RUN [", "RUN --mount=type=secret,id=pause [")
	p.write("../pause", "120")
	for range 3 {
		r := p.start("run")
		r.sees("RUN --mount")
		if err := r.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		r.wait()
	}
	p.write("../pause", "0")
	p.davit("run").ok().says("Not found. Building", "as built")
	p.davit("run").ok().says("Found Remotely", "unchanged")
}

// runStep gives the example a Dockerfile with a RUN step, whose tools are Debian's busybox-static.
func (p *project) runStep(args string) {
	p.t.Helper()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		p.t.Fatalf("busybox-static is needed (apt-get install busybox-static): %v", err)
	}
	p.write("busybox", string(busybox))
	if err := os.Chmod(filepath.Join(p.dir, "busybox"), 0o755); err != nil {
		p.t.Fatal(err)
	}
	p.write("Dockerfile", `FROM scratch
COPY busybox /bin/busybox
COPY my-web-app /my-web-app
COPY page /page
RUN ["/bin/busybox", `+args+`]
ENTRYPOINT ["/my-web-app"]
`)
}

// refusingRegistry is a registry that wants credentials which nobody has.
func refusingRegistry(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="closed"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}`, http.StatusUnauthorized)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://") + "/team"
}

// buildBinary does what the example's hook does.
func (p *project) buildBinary() {
	p.t.Helper()
	p.output("env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-o", "my-web-app", ".")
}

// running returns the digest that the only pod of the example runs.
func (p *project) running() string {
	p.t.Helper()
	pods := p.pods()
	if len(pods) != 1 || len(pods[0].Status.ContainerStatuses) != 1 {
		p.t.Fatalf("want one pod with one container, there are %d pods", len(pods))
	}
	digest := regexp.MustCompile(`sha256:[0-9a-f]{64}$`).FindString(pods[0].Status.ContainerStatuses[0].ImageID)
	if digest == "" {
		p.t.Fatalf("image ID %q", pods[0].Status.ContainerStatuses[0].ImageID)
	}
	if image := pods[0].Spec.Containers[0].Image; !strings.HasSuffix(image, "@"+digest) {
		p.t.Fatalf("the pod was asked to run %s and runs %s", image, digest)
	}
	return digest
}

// pods are the pods of the namespace that are not on their way out.
func (p *project) pods() []corev1.Pod {
	p.t.Helper()
	list, err := suite.client.CoreV1().Pods(p.namespace).List(p.t.Context(), metav1.ListOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	var pods []corev1.Pod
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			pods = append(pods, pod)
		}
	}
	return pods
}

// page fetches the page through the API server.
func (p *project) page() string {
	p.t.Helper()
	body, err := suite.client.CoreV1().Pods(p.namespace).ProxyGet("http", p.pods()[0].Name, "8080", "/", nil).DoRaw(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return string(body)
}

// versions lists the resource versions of everything in the namespace that davit writes or that would change if it did.
func (p *project) versions() string {
	p.t.Helper()
	var b strings.Builder
	add := func(m metav1.ObjectMeta) { b.WriteString(m.Name + "=" + m.ResourceVersion + " ") }
	d := p.deployment()
	add(d.ObjectMeta)
	for _, pod := range p.pods() {
		add(pod.ObjectMeta)
	}
	maps, err := suite.client.CoreV1().ConfigMaps(p.namespace).List(p.t.Context(), metav1.ListOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, m := range maps.Items {
		add(m.ObjectMeta)
	}
	return b.String()
}

func (p *project) deployment() *appsv1.Deployment {
	p.t.Helper()
	d, err := suite.client.AppsV1().Deployments(p.namespace).Get(p.t.Context(), app, metav1.GetOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

func (p *project) nothingDeployed() {
	p.t.Helper()
	if _, err := suite.client.AppsV1().Deployments(p.namespace).Get(p.t.Context(), app, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		p.t.Errorf("the failed run left the deployment, or: %v", err)
	}
}

func (p *project) writeTo(path, text string) {
	p.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}
