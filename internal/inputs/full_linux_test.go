package inputs

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/inputs/killtest"
)

// An index grows until the disk is full. What was saved before stays, and nothing unfinished is left.
func TestIndexOnADiskThatFills(t *testing.T) { killtest.OnSmallDisk(t, saveUntilFull) }

func saveUntilFull(folder string) error {
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
