package host

import (
	"errors"
	"fmt"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Unmount takes off everything that is mounted in or below the folders.
func Unmount(folders ...string) error {
	for _, folder := range folders {
		mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(folder))
		if err != nil {
			return fmt.Errorf("cannot list what is mounted below %s: %w", folder, err)
		}
		// Later mounts may lie on earlier ones.
		for i := len(mounts) - 1; i >= 0; i-- {
			point := strings.TrimSuffix(mounts[i].Mountpoint, "//deleted")
			err := unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
			if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
				return fmt.Errorf("cannot unmount %s: %w", point, err)
			}
		}
	}
	return nil
}
