package helm

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"
)

// claims are files in a folder of this machine, one for each revision that is being made. A run holds a lock on its own, which the kernel takes from it however
// it ends: a later run then knows that the revision was left half-way. Nothing depends on them but that.
type claims struct {
	dir  string // empty: none are made
	mu   sync.Mutex
	held map[string]*flock.Flock
}

func (c *claims) file(r *record) string {
	return filepath.Join(c.dir, fmt.Sprintf("%s-%s-%d-%d", r.Namespace, r.Name, r.Version, r.Info.LastDeployed.UnixNano()))
}

// take is called before the revision is there.
func (c *claims) take(r *record) {
	if c.dir == "" || os.MkdirAll(c.dir, 0o755) != nil {
		return
	}
	lock := flock.New(c.file(r))
	if taken, err := lock.TryLock(); err != nil || !taken {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held[c.file(r)] = lock
}

// drop is called when nobody is at work on the revision any more.
func (c *claims) drop(r *record) {
	if c.dir == "" {
		return
	}
	_ = os.Remove(c.file(r))
	c.mu.Lock()
	defer c.mu.Unlock()
	if lock := c.held[c.file(r)]; lock != nil {
		_ = lock.Unlock()
		delete(c.held, c.file(r))
	}
}

// abandoned says whether the revision was surely begun on this machine, by a run that is no more.
func (c *claims) abandoned(r *record) bool {
	if c.dir == "" {
		return false
	}
	if _, err := os.Stat(c.file(r)); err != nil {
		return false
	}
	lock := flock.New(c.file(r))
	free, err := lock.TryLock()
	if free {
		_ = lock.Unlock()
	}
	return err == nil && free
}
