package killtest

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// smallDisk is the variable that names the folder of OnSmallDisk for the process that works there.
const smallDisk = "DAVIT_TEST_SMALL_DISK"

// OnSmallDisk works in a folder of a real file system of 128 KiB, in a process and a mount namespace of its own, which is gone with it: it runs the test
// that calls it once more there. It needs root, or a system in which users may have namespaces.
func OnSmallDisk(t *testing.T, work func(folder string) error) {
	t.Helper()
	if folder := os.Getenv(smallDisk); folder != "" {
		if err := errors.Join(
			syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""),
			syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=128k"),
		); err != nil {
			t.Fatalf("mounting a small file system: %v", err)
		}
		if err := work(folder); err != nil {
			t.Error(err)
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), smallDisk+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
