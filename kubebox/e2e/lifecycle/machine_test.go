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
)

// machine is what a box may change on the machine, each thing as lines that can be compared.
type machine map[string][]string

// look returns how the machine is. What other programs on it do is left out.
func look(t *testing.T) machine {
	t.Helper()
	m := machine{
		"mounts":   lines(t, "cat", "/proc/self/mounts"),
		"links":    lines(t, "sh", "-c", "ls /sys/class/net"),
		"routes":   lines(t, "cat", "/proc/net/route"),
		"netns":    lines(t, "sh", "-c", "ls /run/netns 2>/dev/null || true"),
		"firewall": rules(t),
	}
	for _, cgroup := range subfolders(t, "/sys/fs/cgroup") {
		if strings.Contains(cgroup, "kube") {
			m["cgroups"] = append(m["cgroups"], cgroup)
		}
	}
	for _, process := range lines(t, "ps", "-e", "-o", "args=") {
		for _, ours := range []string{"kube", "etcd", "containerd", "coredns", "registry --dir", "/pause", "sleep 123456"} {
			if strings.HasPrefix(filepath.Base(strings.Fields(process)[0]), ours) || strings.HasPrefix(process, ours) {
				m["processes"] = append(m["processes"], process)
				break
			}
		}
	}
	for _, folder := range []string{
		"/var/lib/kubebox", "/var/lib/kubelet", "/var/lib/cni", "/var/log/containers", "/var/log/pods", "/run/kubebox",
		"/run/containerd", "/etc/cni", "/etc/kubernetes", "/opt/containerd", "/opt/cni", "/tmp/hostpath_pv", "/usr/libexec/kubernetes",
	} {
		for _, path := range subfolders(t, folder) {
			if !strings.HasPrefix(path, "/var/lib/kubebox") || path != "/var/lib/kubebox" && !strings.HasPrefix(path, "/var/lib/kubebox/registry") {
				m["files"] = append(m["files"], path)
			}
		}
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

func subfolders(t *testing.T, root string) []string {
	t.Helper()
	var folders []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err == nil && entry.IsDir() {
			folders = append(folders, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return folders
}

// same fails the test unless the machine is as it was. The kernel takes network
// namespaces apart at its leisure, so it is given a moment.
func same(t *testing.T, before machine) {
	t.Helper()
	var after machine
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
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
