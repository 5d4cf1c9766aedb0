package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// MakeCgroups makes the box's cgroup in every hierarchy and moves the calling
// process, and so all that it starts, into a leaf of it.
func MakeCgroups() error {
	hierarchies, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range hierarchies {
		if err := makeCgroup(h); err != nil {
			return fmt.Errorf("cannot make the cgroup %s: %w", filepath.Join(h.Mountpoint, Cgroup), err)
		}
	}
	// One hierarchy is enough to find the processes again; pids asks for no settings.
	home := hierarchies[0]
	for _, h := range hierarchies {
		if controls(h, "pids") {
			home = h
		}
	}
	leaf := filepath.Join(home.Mountpoint, Cgroup, "system")
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		return fmt.Errorf("cannot make the cgroup %s: %w", leaf, err)
	}
	if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
		return fmt.Errorf("cannot join the cgroup %s: %w", leaf, err)
	}
	return nil
}

func makeCgroup(h *mountinfo.Info) error {
	dir := filepath.Join(h.Mountpoint, Cgroup)
	if h.FSType == "cgroup2" {
		// Each controller by itself: one that the kernel will not hand out must not keep the others back.
		for _, controller := range []string{"cpu", "cpuset", "memory", "pids", "io", "hugetlb"} {
			_ = os.WriteFile(filepath.Join(h.Mountpoint, "cgroup.subtree_control"), []byte("+"+controller), 0)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if h.FSType == "cgroup" && controls(h, "cpuset") {
		// A new cpuset of version 1 is empty and takes no process.
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(h.Mountpoint, name))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, name), value, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// KillAll kills every process in the box's cgroups, containers included, and
// returns when none is left.
func KillAll() error {
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		pids, err := processes()
		if err != nil {
			return err
		}
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v of the box do not end although they were killed: look at them with ps", pids)
		}
		for _, pid := range pids {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("cannot kill process %d: %w", pid, err)
			}
		}
	}
}

// processes returns the ids of the processes in the box's cgroups, but for the caller's own.
func processes() ([]int, error) {
	var pids []int
	err := eachCgroup(func(dir string) error {
		content, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, field := range strings.Fields(string(content)) {
			if pid, err := strconv.Atoi(field); err == nil && pid != os.Getpid() && !slices.Contains(pids, pid) {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids, err
}

// RemoveCgroups removes the box's cgroups, which must be without processes.
func RemoveCgroups() error {
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		var left error
		err := eachCgroup(func(dir string) error {
			if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
				left = fmt.Errorf("cannot remove the cgroup %s: %w", dir, err)
			}
			return nil
		})
		if err != nil || left == nil {
			return err
		}
		// A killed process leaves its cgroup only once the kernel has buried it.
		if time.Now().After(deadline) {
			return left
		}
	}
}

// eachCgroup calls visit with every cgroup folder of the box, children before parents.
func eachCgroup(visit func(dir string) error) error {
	hierarchies, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range hierarchies {
		var dirs []string
		err := filepath.WalkDir(filepath.Join(h.Mountpoint, Cgroup), func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("cannot walk the box's cgroups: %w", err)
		}
		for _, dir := range slices.Backward(dirs) {
			if err := visit(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

func hierarchies() ([]*mountinfo.Info, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return nil, fmt.Errorf("cannot list the cgroup hierarchies: %w", err)
	}
	if len(mounts) == 0 {
		return nil, errors.New("no cgroup hierarchy is mounted on this machine: mount one at /sys/fs/cgroup")
	}
	return mounts, nil
}

func controls(h *mountinfo.Info, controller string) bool {
	return slices.Contains(strings.Split(h.VFSOptions, ","), controller)
}
