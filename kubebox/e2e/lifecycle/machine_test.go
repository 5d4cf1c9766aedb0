//go:build e2e

package lifecycle

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/kubebox/e2e/boxtest"
)

// machine is what a box makes on the machine, each thing as lines that can be compared.
type machine map[string][]string

// traces are words one of which is in whatever a box leaves on a machine.
var traces = []string{"kube", "KUBE", "CNI-", "cni", "coredns", "etcd --", "registry --dir", "/pause", "sleep 123456"}

// look returns what on the machine a box could have made.
func look(t *testing.T) machine {
	t.Helper()
	m := machine{
		"processes": lines(t, "ps", "-e", "-o", "args="),
		"mounts":    lines(t, "cat", "/proc/self/mounts"),
		"links":     lines(t, "ls", "/sys/class/net"),
		"routes":    lines(t, "cat", "/proc/net/route"),
		"cgroups":   folders(t, "/sys/fs/cgroup"),
		"firewall":  rules(t),
	}
	for _, folder := range []string{
		"/var/lib/kubebox", "/var/lib/kubelet", "/var/lib/cni", "/var/log/containers", "/var/log/pods", "/run/kubebox", "/run/netns",
		"/etc/cni", "/etc/kubernetes", "/opt/containerd", "/opt/cni", "/tmp/hostpath_pv", "/usr/libexec/kubernetes",
	} {
		m["files"] = append(m["files"], folders(t, folder)...)
	}
	for what := range m {
		m[what] = slices.DeleteFunc(m[what], func(line string) bool {
			// The registry's images and the test itself stay.
			return strings.HasPrefix(line, "/var/lib/kubebox/registry") || line == "/var/lib/kubebox" ||
				what == "processes" && strings.Contains(line, "e2e") ||
				what != "files" && !slices.ContainsFunc(traces, func(trace string) bool { return strings.Contains(line, trace) })
		})
	}
	return m
}

// rules are the firewall's rules and the chains that somebody made, without the empty
// built-in ones that merely looking at a table brings up.
func rules(t *testing.T) []string {
	t.Helper()
	var kept []string
	for _, tool := range []string{"iptables-save", "ip6tables-save"} {
		for _, line := range lines(t, tool) {
			if strings.HasPrefix(line, "-A") || strings.HasPrefix(line, ":") && strings.Contains(line, " - [") {
				kept = append(kept, line)
			}
		}
	}
	return kept
}

func lines(t *testing.T, name string, args ...string) []string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	all := slices.DeleteFunc(strings.Split(string(out), "\n"), func(line string) bool { return strings.TrimSpace(line) == "" })
	slices.Sort(all)
	return all
}

// folders returns the folder and all below it.
func folders(t *testing.T, root string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err == nil && entry.IsDir() {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// same fails the test unless the machine is as it was. The kernel takes network
// namespaces apart at its leisure, so it is given a moment.
func same(t *testing.T, before machine) {
	t.Helper()
	var after machine
	for deadline := time.Now().Add(boxtest.Limit); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if after = look(t); equal(before, after) {
			return
		}
	}
	for what := range after {
		for _, line := range after[what] {
			if !slices.Contains(before[what], line) {
				t.Errorf("left in %s: %s", what, line)
			}
		}
	}
	for what := range before {
		for _, line := range before[what] {
			if !slices.Contains(after[what], line) {
				t.Errorf("lost from %s: %s", what, line)
			}
		}
	}
}

func equal(a, b machine) bool {
	for _, m := range []machine{a, b} {
		for what := range m {
			if !slices.Equal(a[what], b[what]) {
				return false
			}
		}
	}
	return true
}
