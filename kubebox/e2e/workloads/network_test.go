//go:build e2e

package workloads

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/davit-dev/davit/kubebox/e2e/boxtest"
)

func TestServiceIsReachedByAddressAndName(t *testing.T) {
	t.Parallel()
	n := namespace(t)
	n.Apply(t, deployment("web", 2, pod(serve, ""))+service("web", "")+deployment("client", 1, pod(idle, "")))
	n.Kubectl(t, "rollout", "status", "deployment/web", "--timeout=2m")
	n.Kubectl(t, "rollout", "status", "deployment/client", "--timeout=2m")
	address := n.Kubectl(t, "get", "service", "web", "--output=jsonpath={.spec.clusterIP}")
	for _, host := range []string{address, "web", "web." + n.Name, "web." + n.Name + ".svc.cluster.local"} {
		answered := map[string]bool{}
		boxtest.Eventually(t, func() error {
			pod, err := n.TryKubectl("exec", "deployment/client", "--", "wget", "-q", "-O-", "http://"+host)
			if err != nil {
				return err
			}
			answered[pod] = true
			if len(answered) < 2 {
				return fmt.Errorf("%s is answered by %v alone, want both pods in turn", host, answered)
			}
			return nil
		})
	}
}

func TestPodReachesItselfThroughItsService(t *testing.T) {
	t.Parallel()
	n := namespace(t)
	n.Apply(t, deployment("web", 1, pod(serve, ""))+service("web", ""))
	n.Kubectl(t, "rollout", "status", "deployment/web", "--timeout=2m")
	boxtest.Eventually(t, func() error {
		_, err := n.TryKubectl("exec", "deployment/web", "--", "wget", "-q", "-O-", "http://web")
		return err
	})
}

func TestPodReachesTheAPIServer(t *testing.T) {
	t.Parallel()
	n := namespace(t)
	n.Apply(t, deployment("client", 1, pod(idle, "")))
	n.Kubectl(t, "rollout", "status", "deployment/client", "--timeout=2m")
	n.Kubectl(t, "exec", "deployment/client", "--", "sh", "-c", "nc -w 5 kubernetes.default 443 </dev/null")
}

func TestHostPortAndNodePortAreOpenOnLoopback(t *testing.T) {
	t.Parallel()
	n := namespace(t)
	n.Apply(t, deployment("web", 1, pod(serve, "        ports: [{containerPort: 8080, hostPort: 18080}]"))+service("web", "  type: NodePort"))
	n.Kubectl(t, "rollout", "status", "deployment/web", "--timeout=2m")
	port := n.Kubectl(t, "get", "service", "web", "--output=jsonpath={.spec.ports[0].nodePort}")
	for _, address := range []string{"127.0.0.1:18080", "127.0.0.1:" + port} {
		boxtest.Eventually(t, func() error {
			_, err := boxtest.Call("GET", "http://"+address, "", nil)
			return err
		})
	}
}

func TestPortForward(t *testing.T) {
	t.Parallel()
	n := namespace(t)
	n.Apply(t, deployment("web", 1, pod(serve, "")))
	n.Kubectl(t, "rollout", "status", "deployment/web", "--timeout=2m")
	forward := exec.Command(n.Binary, "kubectl", "--namespace", n.Name, "port-forward", "deployment/web", ":8080", "--address=127.0.0.1")
	forward.Stderr = os.Stderr
	out, err := forward.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := forward.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = forward.Process.Kill()
		_ = forward.Wait()
	}()
	line, err := bufio.NewReader(out).ReadString('\n') // Forwarding from 127.0.0.1:PORT -> 8080
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(line)
	if len(words) < 3 {
		t.Fatalf("kubectl port-forward said %q", line)
	}
	if _, err := boxtest.Call("GET", "http://"+words[2], "", nil); err != nil {
		t.Error(err)
	}
}

func TestReadinessKeepsAPodOutOfItsService(t *testing.T) {
	t.Parallel()
	n := namespace(t)
	n.Apply(t, deployment("web", 1, pod(serve, `
        readinessProbe: {exec: {command: [cat, /ready]}, periodSeconds: 1}`))+service("web", ""))
	const ready = "--output=jsonpath={.items[0].endpoints[0].conditions.ready}"
	expect := func(want string) {
		t.Helper()
		boxtest.Eventually(t, func() error {
			got, err := n.TryKubectl("get", "endpointslices", "--selector=kubernetes.io/service-name=web", ready)
			if err == nil && got != want {
				err = fmt.Errorf("the pod's endpoint is ready: %s, want %s", got, want)
			}
			return err
		})
	}
	expect("false")
	n.Kubectl(t, "exec", "deployment/web", "--", "touch", "/ready")
	expect("true")
	n.Kubectl(t, "exec", "deployment/web", "--", "rm", "/ready")
	expect("false")
}
