package imagetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/davit-dev/davit/internal/inputs"
)

// Passed remembers which tests passed on this machine, by image, test and what the test depends on. A file stands for each, so that runs side by
// side do not get in each other's way.
type Passed struct {
	folder string
	now    func() time.Time
}

// remembered is how long a test that passed need not run again.
const remembered = 30 * 24 * time.Hour

// NewPassed remembers in a folder, which need not exist yet; nothing when folder is "".
func NewPassed(folder string, now func() time.Time) *Passed { return &Passed{folder, now} }

func (p *Passed) has(k inputs.Key) bool {
	if p.folder == "" {
		return false
	}
	info, err := os.Stat(filepath.Join(p.folder, string(k)))
	return err == nil && p.now().Sub(info.ModTime()) < remembered
}

func (p *Passed) add(k inputs.Key) error {
	if p.folder == "" {
		return nil
	}
	err := os.MkdirAll(p.folder, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(p.folder, string(k)), nil, 0o600)
	}
	if err = errors.Join(err, p.forget()); err != nil {
		return fmt.Errorf("noting that it passed: %w", err)
	}
	return nil
}

// forget takes away what is too old to count.
func (p *Passed) forget() error {
	entries, err := os.ReadDir(p.folder)
	for _, e := range entries {
		info, infoErr := e.Info()
		if infoErr != nil || p.now().Sub(info.ModTime()) < remembered {
			continue // gone already, or young enough
		}
		if removeErr := os.Remove(filepath.Join(p.folder, e.Name())); removeErr != nil && !errors.Is(removeErr, os.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
	}
	return err
}
