//go:build e2e

package lifecycle

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/davit-dev/davit/kubebox/e2e/boxtest"
	"github.com/davit-dev/davit/kubebox/internal/host"
)

// status is what kubebox status --output json says.
type status struct {
	Supervisor int    `json:"supervisor"`
	Trouble    string `json:"trouble"`
	Components []struct {
		Name     string `json:"name"`
		PID      int    `json:"pid"`
		Restarts int    `json:"restarts"`
		LastExit string `json:"lastExit"`
	} `json:"components"`
}

// read returns the status, also of a box in trouble.
func read(t *testing.T) status {
	t.Helper()
	out, _ := kubebox.Try("status", "--output", "json")
	var s status
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	return s
}

// healthy waits until the cluster is of use.
func healthy(t *testing.T) {
	t.Helper()
	boxtest.Eventually(t, func() error {
		_, err := kubebox.Try("status")
		return err
	})
}

// up brings a box up for the test.
func up(t *testing.T) {
	t.Helper()
	kubebox.Run(t, "up")
	t.Cleanup(func() { kubebox.Run(t, "down") })
}

// busy makes a box carry something of every kind that leaves traces on the machine.
func busy(t *testing.T) boxtest.Namespace {
	t.Helper()
	registry, err := kubebox.Registry()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := boxtest.PushBusybox(registry, "kubebox-e2e/busybox"); err != nil {
		t.Fatal(err)
	}
	n := boxtest.Namespace{Kubebox: kubebox, Name: "default"}
	n.Kubectl(t, "create", "secret", "generic", "keys", "--from-literal=file=secret")
	n.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: busy, labels: {app: busy}}
spec:
  shareProcessNamespace: true
  containers:
  - name: main
    image: %s/kubebox-e2e/busybox
    command: [sleep, "123456"]
    ports: [{containerPort: 8080, hostPort: 18080}]
    volumeMounts:
    - {name: keys, mountPath: /keys}
    - {name: keys, mountPath: /one, subPath: file}
    - {name: host, mountPath: /host}
    - {name: claim, mountPath: /claim}
  volumes:
  - {name: keys, secret: {secretName: keys}}
  - {name: host, hostPath: {path: %s}}
  - {name: claim, persistentVolumeClaim: {claimName: claim}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: claim}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: busy}
spec:
  type: NodePort
  selector: {app: busy}
  ports: [{port: 80, targetPort: 8080}]
`, registry, t.TempDir()))
	n.Await(t, "condition=Ready", "pod/busy")
	return n
}

// identity tells whether the pod and its container are still the same.
func identity(t *testing.T, n boxtest.Namespace) string {
	t.Helper()
	return n.Kubectl(t, "get", "pod", "busy", "--output=jsonpath={.metadata.uid} {.status.containerStatuses[0].containerID} restarts={.status.containerStatuses[0].restartCount}")
}

func TestDownLeavesNothing(t *testing.T) {
	before := look(t)
	kubebox.Run(t, "up")
	busy(t)
	kubebox.Run(t, "down")
	same(t, before)
	if _, err := kubebox.Try("status"); err == nil || !strings.Contains(err.Error(), "kubebox up") {
		t.Errorf("status without a box says: %v; want it to fail and name kubebox up", err)
	}
	kubebox.Run(t, "down")
	same(t, before)
}

// These break one box in turn, and each leaves it whole.
func TestBox(t *testing.T) {
	up(t)
	n := busy(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, boxtest.Namespace)
	}{
		{"up again changes nothing", upAgain},
		{"a component that dies is started again", componentsDie},
		{"pods talk whatever the firewall does", firewallForgets},
		{"up goes on after the supervisor crashed", supervisorCrashes},
		{"there is no second box", secondBox},
	} {
		t.Run(test.name, func(t *testing.T) {
			pod := identity(t, n)
			test.run(t, n)
			n.Await(t, "condition=Ready", "pod/busy")
			// Ready may be from before: a kubelet that was started again needs a moment until it knows its pods.
			boxtest.Eventually(t, func() error {
				_, err := n.TryKubectl("exec", "busy", "--", "cat", "/keys/file")
				return err
			})
			if again := identity(t, n); again != pod {
				t.Errorf("the pod was %s and is %s", pod, again)
			}
		})
	}
}

func upAgain(t *testing.T, _ boxtest.Namespace) {
	supervisor := read(t).Supervisor
	kubebox.Run(t, "up")
	if again := read(t).Supervisor; again != supervisor {
		t.Errorf("the supervisor was process %d and is %d after a second up", supervisor, again)
	}
}

func componentsDie(t *testing.T, _ boxtest.Namespace) {
	for _, victim := range read(t).Components {
		if err := syscall.Kill(victim.PID, syscall.SIGKILL); err != nil {
			t.Fatalf("%s: %v", victim.Name, err)
		}
	}
	boxtest.Eventually(t, func() error {
		for _, c := range read(t).Components {
			if c.Restarts == 0 || c.PID == 0 || !strings.Contains(c.LastExit, "killed") {
				return fmt.Errorf("status says of %s that was killed: %+v", c.Name, c)
			}
		}
		return nil
	})
	healthy(t)
}

func supervisorCrashes(t *testing.T, _ boxtest.Namespace) {
	crash(t)
	if s := read(t); s.Supervisor != 0 || !strings.Contains(s.Trouble, "kubebox up") {
		t.Errorf("status of a crashed box is %+v; want it to name kubebox up", s)
	}
	kubebox.Run(t, "up")
}

func secondBox(t *testing.T, _ boxtest.Namespace) {
	other := t.TempDir()
	refuse(t, exec.Command(kubebox.Binary, "up", "--state-dir", other+"/state", "--run-dir", other+"/run"),
		"/var/lib/kubebox", "kubebox down")
}

// A Docker Engine drops all packets that it does not know, and a firewall that is loaded anew knows none.
func firewallForgets(t *testing.T, n boxtest.Namespace) {
	policy := "ACCEPT"
	if strings.HasPrefix(strings.Join(lines(t, "iptables", "-S", "FORWARD"), "\n"), "-P FORWARD DROP") {
		policy = "DROP"
	}
	lines(t, "iptables", "-P", "FORWARD", "DROP")
	defer lines(t, "iptables", "-P", "FORWARD", policy)
	lines(t, "iptables", "-D", "FORWARD", "-j", "KUBEBOX-FORWARD")
	n.Kubectl(t, "run", "server", "--image="+image(t), "--expose", "--port=8080", "--command", "--", "httpd", "-f", "-p", "8080")
	n.Await(t, "condition=Ready", "pod/server")
	boxtest.Eventually(t, func() error {
		_, err := n.TryKubectl("exec", "busy", "--", "sh", "-c", "nc -w 5 server 8080 </dev/null")
		return err
	})
	boxtest.Eventually(t, func() error {
		for _, rule := range rules(t) {
			if strings.HasPrefix(rule, "-A FORWARD") && strings.Contains(rule, "KUBEBOX-FORWARD") {
				return nil
			}
		}
		return fmt.Errorf("the rules that let pods talk have not come back")
	})
}

func TestDownAfterTheSupervisorCrashed(t *testing.T) {
	before := look(t)
	up(t)
	busy(t)
	crash(t)
	kubebox.Run(t, "down")
	same(t, before)
}

// crash kills the supervisor and waits until its children have followed it.
func crash(t *testing.T) {
	t.Helper()
	s := read(t)
	if err := syscall.Kill(s.Supervisor, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	boxtest.Eventually(t, func() error {
		for _, c := range s.Components {
			if syscall.Kill(c.PID, 0) == nil {
				return fmt.Errorf("%s still runs after its supervisor was killed", c.Name)
			}
		}
		return nil
	})
}

// A reboot takes processes, mounts, devices, rules and cgroups, and leaves the disk.
func TestUpAndDownAfterAReboot(t *testing.T) {
	before := look(t)
	up(t)
	n := busy(t)
	crash(t)
	for _, loss := range []func() error{
		host.KillAll,
		func() error { return host.Unmount("/run/kubebox", "/var/lib/kubebox") },
		host.CloseFirewall, host.RemoveBridge, host.RemoveCgroups,
	} {
		if err := loss(); err != nil {
			t.Fatal(err)
		}
	}
	const settings = "/var/lib/kubebox/box.json"
	content, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	boot, err := host.BootID()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(settings, []byte(strings.Replace(string(content), boot, "earlier", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	kubebox.Run(t, "up")
	boxtest.Eventually(t, func() error {
		_, err := n.TryKubectl("exec", "busy", "--", "cat", "/keys/file")
		return err
	})
	kubebox.Run(t, "down")
	same(t, before)
}

func TestTakenPortsAreReplaced(t *testing.T) {
	for _, port := range []string{"127.0.0.1:6443", "127.0.0.1:10250", "127.0.0.1:5000", "0.0.0.0:53"} {
		taker, err := net.Listen("tcp", port)
		if err != nil {
			t.Fatal(err)
		}
		defer taker.Close()
	}
	up(t)
	if registry, err := kubebox.Registry(); err != nil || registry == "localhost:5000" {
		t.Errorf("the registry is at %s, %v; want another port than the one taken", registry, err)
	}
	n := busy(t) // pulled from the registry at its other port
	n.Kubectl(t, "exec", "busy", "--", "nslookup", "kubernetes.default.svc.cluster.local")
}

func image(t *testing.T) string {
	t.Helper()
	registry, err := kubebox.Registry()
	if err != nil {
		t.Fatal(err)
	}
	return registry + "/kubebox-e2e/busybox"
}

func TestRegistryOutlivesTheBox(t *testing.T) {
	up(t)
	registry, err := kubebox.Registry()
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := boxtest.PushBusybox(registry, "kubebox-e2e/kept")
	if err != nil {
		t.Fatal(err)
	}
	at := "http://" + registry + "/v2/kubebox-e2e/kept/manifests/" + pushed.String()
	kubebox.Run(t, "down")
	kubebox.Run(t, "up")
	if _, err := boxtest.Call("GET", at, "", nil); err != nil {
		t.Errorf("after down and up the image is gone: %v", err)
	}
}
