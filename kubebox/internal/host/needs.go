package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Path is the search path of everything that a box starts.
const Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// needs are the programs that the box uses, with the Debian packages they are in.
var needs = []struct{ program, pkg string }{
	{"containerd", "containerd"},
	{"containerd-shim-runc-v2", "containerd"},
	{"ctr", "containerd"},
	{"runc", "runc"},
	{"iptables-restore", "iptables"},
	{"mount", "mount"},
}

// MinimumSpace is the disk space in bytes below which a box is not started.
const MinimumSpace = 1 << 30

// CheckRoot returns an error that says what to do unless this process is root's.
func CheckRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("this needs root, for network devices, mounts and cgroups: run it with sudo")
	}
	return nil
}

// Check returns an error that says what is missing on this machine for a
// box with its state in dir, and how to get it; nil if nothing is.
func Check(dir string) error {
	var programs, packages []string
	miss := func(program, pkg string) {
		programs = append(programs, program)
		if !slices.Contains(packages, pkg) {
			packages = append(packages, pkg)
		}
	}
	for _, need := range needs {
		if _, err := Find(need.program); err != nil {
			miss(need.program, need.pkg)
		}
	}
	if _, err := Plugins(); err != nil {
		miss("the CNI plugins", "containernetworking-plugins")
	}
	if len(programs) > 0 {
		return fmt.Errorf("missing on this machine: %s: install them with kubebox/deps.sh or with apt-get install -y --no-install-recommends %s",
			strings.Join(programs, ", "), strings.Join(packages, " "))
	}
	return checkSpace(dir)
}

func checkSpace(dir string) error {
	for dir != "/" {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("cannot see how much space is free in %s: %w", dir, err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < MinimumSpace {
		return fmt.Errorf("only %d MiB are free in %s, a box needs %d MiB: make room or choose another place with --state-dir",
			free>>20, dir, MinimumSpace>>20)
	}
	return nil
}

// OnOverlay says whether dir lies on an overlay file system, on which no other can be stacked.
func OnOverlay(dir string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(dir, &fs) == nil && fs.Type == unix.OVERLAYFS_SUPER_MAGIC
}

// MayRaisePriority says whether this process may lower the kernel's wish to kill a
// process when memory is short (CAP_SYS_RESOURCE). Some machines keep that from root.
func MayRaisePriority() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}

// Find returns where a program is on this machine.
func Find(program string) (string, error) {
	for dir := range strings.SplitSeq(Path, ":") {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not in %s", program, Path)
}

// Plugins returns the folder of the CNI plugins.
func Plugins() (string, error) {
	dirs := []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}
	for _, dir := range dirs {
		if _, err := exec.LookPath(filepath.Join(dir, "bridge")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no CNI plugins in any of %v", dirs)
}

// BootID names the machine's present run: it changes with every reboot.
func BootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("cannot read the boot id: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}
