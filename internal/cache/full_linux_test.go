package cache

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/inputs"
	"github.com/davit-dev/davit/internal/inputs/killtest"
)

// A disk fills while builds are recorded. What was recorded before stays right, what cannot be is not there, and once there is room again, all goes on.
func TestCacheOnADiskThatFills(t *testing.T) { killtest.OnSmallDisk(t, recordUntilFull) }

func recordUntilFull(folder string) error {
	var warnings []string
	c := New(Options{Folder: folder, Now: time.Now, Sink: event.SinkFunc(func(e event.Event) {
		warnings = append(warnings, e.(event.Warning).Message)
	})})
	check := func(upTo int) error {
		for n := range upTo {
			b := numbered(0, n)
			if e, ok := c.disk.entry(b.Key); ok && e.digestIn(repository(b.Ref)) != b.Digest {
				return fmt.Errorf("the entry of build %d is wrong: %+v", n, e)
			}
		}
		last, ok := c.Last("web0")
		if made, _ := c.Manifest("web0"); ok && last.Key != made.Key() {
			return fmt.Errorf("the last build is a mixture: %+v", last)
		}
		return nil
	}
	n := 0
	for ; len(warnings) < 20; n++ {
		c.Remember(numbered(0, n))
		if err := check(n); err != nil {
			return err
		}
	}
	for _, w := range warnings {
		if !strings.Contains(w, "no space left on device") {
			return fmt.Errorf("an unexpected warning: %s", w)
		}
	}
	unfinished := 0
	_ = filepath.WalkDir(folder, func(file string, _ fs.DirEntry, _ error) error {
		if strings.Contains(file, inputs.TempPattern) {
			unfinished++
		}
		return nil
	})
	if unfinished > 0 {
		return fmt.Errorf("%d unfinished files are left", unfinished)
	}
	if _, err := c.Prune(context.Background(), PruneOptions{}); err != nil {
		return err
	}
	warnings = nil
	c.Remember(numbered(0, n))
	if e, ok := c.disk.entry(numbered(0, n).Key); !ok || len(warnings) > 0 || e.digestIn("reg.io/web0") != numbered(0, n).Digest {
		return fmt.Errorf("with room again: %+v, %q", e, warnings)
	}
	return nil
}
