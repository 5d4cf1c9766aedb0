package buildkitd

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// cgroupParent is the cgroup in which a daemon's steps run: each daemon has its own, to be able to clean it.
func cgroupParent(dir string) string {
	return fmt.Sprintf("davit-buildkit-%x", sha256.Sum256([]byte(dir)))[:24]
}

// removeCgroups removes the cgroups that a daemon that was killed left empty, in either version's layout. Those that are in
// use, or not this user's, stay: the kernel refuses.
func removeCgroups(dir string) {
	parent := cgroupParent(dir)
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		for _, inner := range []string{"buildkit/*", "buildkit", ""} { // a step's, then the two that hold them
			found, err := filepath.Glob(filepath.Join(root, parent, inner))
			if err != nil {
				continue // not with these patterns
			}
			for _, path := range found {
				_ = unix.Rmdir(path)
			}
		}
	}
}
