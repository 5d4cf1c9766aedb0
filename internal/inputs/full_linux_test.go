package inputs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/event"
)

// saveOnTmpfs names the folder in which the test, run once more in a namespace of its own, mounts a file system and fills it.
const saveOnTmpfs = "DAVIT_TEST_SAVE_ON_TMPFS"

// An index grows on a file system of 128 KiB until that is full. What was saved before stays, and nothing unfinished is left.
func TestIndexOnADiskThatFills(t *testing.T) {
	if folder := os.Getenv(saveOnTmpfs); folder != "" {
		if err := saveUntilFull(folder); err != nil {
			t.Error(err)
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), saveOnTmpfs+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func saveUntilFull(folder string) error {
	if err := errors.Join(
		syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""),
		syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=128k"),
	); err != nil {
		return fmt.Errorf("mounting a small file system: %w", err)
	}
	warnings := 0
	open := func() *Index {
		later := func() time.Time { return time.Now().Add(time.Minute) }
		return OpenIndex(folder, "w", later, event.SinkFunc(func(event.Event) { warnings++ }))
	}
	for files, full := 100, 0; full < 5; files += 100 {
		x := open()
		known := len(x.known())
		for i := range files {
			x.remember(fmt.Sprint("file", i), indexEntry{sum: Sum{byte(i)}, day: x.today()})
		}
		err := x.Save()
		switch {
		case err == nil:
			known = files
		case strings.Contains(err.Error(), "no space left on device"):
			full++
		default:
			return err
		}
		left, readErr := os.ReadDir(folder)
		if again := open(); len(again.known()) != known || warnings > 0 || len(left) != 1 || readErr != nil {
			return errors.Join(err, readErr, fmt.Errorf("after %d files %d are known, %d files are left, with %d warnings", files, len(again.known()), len(left), warnings))
		}
	}
	return nil
}
