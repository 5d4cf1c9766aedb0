//go:build e2e

package workloads

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/davit-dev/davit/kubebox/e2e/boxtest"
)

func TestVolumes(t *testing.T) {
	t.Parallel()
	n := namespace(t)
	host := t.TempDir()
	if err := os.WriteFile(filepath.Join(host, "file"), []byte("from the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	n.Kubectl(t, "create", "configmap", "settings", "--from-literal=file=from a config map")
	n.Kubectl(t, "create", "secret", "generic", "keys", "--from-literal=file=from a secret")
	n.Apply(t, deployment("reader", 1, pod("echo from a neighbour > /shared/file; exec sleep 100000", fmt.Sprintf(`
        volumeMounts: [{name: shared, mountPath: /shared}]
      - name: second
        image: %s
        command: [sh, -c, %q]
        env: [{name: KEY, valueFrom: {secretKeyRef: {name: keys, key: file}}}]
        volumeMounts:
        - {name: settings, mountPath: /settings}
        - {name: keys, mountPath: /keys}
        - {name: shared, mountPath: /shared}
        - {name: host, mountPath: /host}
      volumes:
      - {name: settings, configMap: {name: settings}}
      - {name: keys, secret: {secretName: keys}}
      - {name: shared, emptyDir: {}}
      - {name: host, hostPath: {path: %s, type: Directory}}`, busybox, idle, host))))
	n.Kubectl(t, "rollout", "status", "deployment/reader", "--timeout=2m")
	for folder, want := range map[string]string{
		"/settings": "from a config map", "/keys": "from a secret", "/shared": "from a neighbour", "/host": "from the host",
	} {
		if got := n.Kubectl(t, "exec", "deployment/reader", "-c", "second", "--", "cat", folder+"/file"); got != want {
			t.Errorf("%s/file holds %q, want %q", folder, got, want)
		}
	}
	if got := n.Kubectl(t, "exec", "deployment/reader", "-c", "second", "--", "sh", "-c", "echo $KEY"); got != "from a secret" {
		t.Errorf("the variable KEY holds %q, want what is in the secret", got)
	}
}

func TestLivenessRestartsAContainer(t *testing.T) {
	t.Parallel()
	n := namespace(t)
	n.Apply(t, deployment("web", 1, pod("touch /alive; sleep 3; rm /alive; exec sleep 100000", `
        livenessProbe: {exec: {command: [cat, /alive]}, periodSeconds: 1, failureThreshold: 1}`)))
	boxtest.Eventually(t, func() error {
		restarts, err := n.TryKubectl("get", "pods", "--output=jsonpath={.items[0].status.containerStatuses[0].restartCount}")
		if err == nil && (restarts == "" || restarts == "0") {
			err = fmt.Errorf("the container that does not live has not been restarted")
		}
		return err
	})
}

func TestLogsAndExec(t *testing.T) {
	t.Parallel()
	n := namespace(t)
	n.Apply(t, deployment("web", 1, pod("seq 1 5; exec sleep 100000", "")))
	n.Kubectl(t, "rollout", "status", "deployment/web", "--timeout=2m")
	if got := n.Kubectl(t, "logs", "deployment/web", "--tail=2"); got != "4\n5" {
		t.Errorf("the last two lines of the log are %q, want 4 and 5", got)
	}
	if got := n.Kubectl(t, "exec", "deployment/web", "--", "echo", "hello"); got != "hello" {
		t.Errorf("echo in the container said %q, want hello", got)
	}
	if _, err := n.TryKubectl("exec", "deployment/web", "--", "sh", "-c", "exit 7"); err == nil || !strings.Contains(err.Error(), "exit code 7") {
		t.Errorf("a command that fails with 7 gave: %v", err)
	}
}

func TestImagePullBackOff(t *testing.T) {
	t.Parallel()
	n := namespace(t)
	n.Apply(t, strings.ReplaceAll(deployment("web", 1, pod(idle, "")), busybox, registry+"/kubebox-e2e/never-pushed:1"))
	reason(t, n, "ImagePullBackOff")
}

func TestCrashLoopBackOff(t *testing.T) {
	t.Parallel()
	n := namespace(t)
	n.Apply(t, deployment("web", 1, pod("echo cannot go on; exit 1", "")))
	reason(t, n, "CrashLoopBackOff")
	if got := n.Kubectl(t, "logs", "deployment/web", "--previous"); got != "cannot go on" {
		t.Errorf("the log of the container that crashed is %q, want its last words", got)
	}
}

// reason waits until the only container of the namespace waits for that reason.
func reason(t *testing.T, n boxtest.Namespace, want string) {
	t.Helper()
	boxtest.Eventually(t, func() error {
		got, err := n.TryKubectl("get", "pods", "--output=jsonpath={.items[0].status.containerStatuses[0].state.waiting.reason}")
		if err == nil && got != want {
			err = fmt.Errorf("the container waits for %q, want %s", got, want)
		}
		return err
	})
}
