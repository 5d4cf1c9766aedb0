package cache

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/inputs"
)

// Entry says where the image of a key is.
type Entry struct {
	Key     inputs.Key `json:"key"`
	Image   string     `json:"image"` // the artifact it was last recorded for
	Places  []Place    `json:"places,omitempty"`
	ImageID string     `json:"imageId,omitempty"` // in the Docker Engine
	When    time.Time  `json:"when"`
}

// Place is a repository that an image was pushed to.
type Place struct {
	Ref    string `json:"ref"` // name:tag when it was recorded
	Digest string `json:"digest"`
}

// Last is what is known of the last build of an artifact. Its manifest is kept beside it: see Cache.Manifest.
type Last struct {
	Identity string           `json:"identity"`
	Image    string           `json:"image"`
	Key      inputs.Key       `json:"key"`
	When     time.Time        `json:"when"`
	Products []inputs.Product `json:"products,omitempty"`
}

// maxPlaces is how many repositories are remembered per key.
const maxPlaces = 8

func (e Entry) digestIn(repo string) string {
	for _, p := range e.Places {
		if repository(p.Ref) == repo {
			return p.Digest
		}
	}
	return ""
}

// with is the entry with what was built in front.
func (e Entry) with(b Built, now time.Time) Entry {
	e.Key, e.Image, e.When = b.Key, b.Image, now
	if b.ImageID != "" {
		e.ImageID = b.ImageID
	}
	if b.Pushed {
		others := slices.DeleteFunc(slices.Clone(e.Places), func(p Place) bool { return repository(p.Ref) == repository(b.Ref) })
		e.Places = append([]Place{{Ref: b.Ref, Digest: b.Digest}}, others...)
		e.Places = e.Places[:min(len(e.Places), maxPlaces)]
	}
	return e
}

// disk is the part of the cache on this machine: a file per key, and one per artifact. Each is replaced in one step and carries its checksum,
// so that several processes may read and write at once, a process may be killed at any moment and the disk may fill, and what is read is either
// right or known to be damaged.
type disk struct {
	folder string // empty: nothing is kept
	sink   event.Sink
	failed *sync.Once // to say it once that files cannot be read
}

func (d disk) entryFile(k inputs.Key) string {
	return filepath.Join(d.folder, "keys", string(k[:2]), string(k))
}

func (d disk) lastFile(identity string) string {
	return filepath.Join(d.folder, "last", hexSum(identity))
}

func (d disk) entry(k inputs.Key) (Entry, bool) {
	var e Entry
	if len(k) < 2 || !d.read(d.entryFile(k), &e) || e.Key != k {
		return Entry{}, false
	}
	return e, true
}

func (d disk) putEntry(e Entry) error { return d.write(d.entryFile(e.Key), e) }

func (d disk) last(identity string) (Last, bool) {
	var l Last
	if !d.read(d.lastFile(identity), &l) || l.Identity != identity {
		return Last{}, false
	}
	return l, true
}

// lastManifest reads more than last does, which is called for every artifact of every run.
func (d disk) lastManifest(identity string) (inputs.Manifest, bool) {
	var l Last
	var m inputs.Manifest
	if !d.read(d.lastFile(identity), &l, &m) || l.Identity != identity {
		return inputs.Manifest{}, false
	}
	return m, true
}

func (d disk) putLast(l Last, m inputs.Manifest) error { return d.write(d.lastFile(l.Identity), l, m) }

// usedGrain is how exactly it is known when a file was last of use.
const usedGrain = 24 * time.Hour

// used notes that an entry was of use, so that it is not pruned.
func (d disk) used(k inputs.Key, identity string, now time.Time) {
	if d.folder == "" {
		return
	}
	for _, file := range []string{d.entryFile(k), d.lastFile(identity)} {
		if info, err := os.Stat(file); err == nil && now.Sub(info.ModTime()) > usedGrain {
			_ = os.Chtimes(file, now, now) // at worst it is pruned too early
		}
	}
}

// header begins each file. After it come JSON values, a line each, with the SHA-256 of the value, in hexadecimal digits, and a space before it.
const header = "davit cache 2\n"

const sumLength = 2*sha256.Size + 1

// write writes JSON values, a line each.
func (d disk) write(file string, values ...any) error {
	if d.folder == "" {
		return nil
	}
	text := []byte(header)
	for _, v := range values {
		line, err := json.Marshal(v)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(line)
		text = append(hex.AppendEncode(text, sum[:]), ' ')
		text = append(append(text, line...), '\n')
	}
	return inputs.ReplaceFile(file, text)
}

var errDamaged = errors.New("it is damaged")

// read reads a file's first lines into values. One that is damaged is set aside with a warning and counts as missing, as does one of another version.
func (d disk) read(file string, values ...any) bool {
	if d.folder == "" {
		return false
	}
	found, err := decode(file, values)
	switch {
	case err == nil:
		return found
	case errors.Is(err, fs.ErrNotExist):
		return false
	case !errors.Is(err, errDamaged):
		d.failed.Do(func() {
			d.sink.Emit(event.Warning{Message: "the cache on this machine cannot be read: " + err.Error()})
		})
		return false
	}
	message := fmt.Sprintf("the cache file %s cannot be used: %v", file, err)
	if os.Rename(file, file+damagedSuffix) == nil {
		message += " (set aside as " + filepath.Base(file) + damagedSuffix + ")"
	}
	d.sink.Emit(event.Warning{Message: message})
	return false
}

const damagedSuffix = ".damaged"

// decode reads no more than it needs: the first line of most files is what every run wants, the second a long list.
func decode(file string, values []any) (found bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<10)
	begin, err := r.Peek(len(header))
	switch {
	case errors.Is(err, io.EOF):
		return false, errDamaged
	case err != nil:
		return false, err
	case string(begin) != header:
		if bytes.HasPrefix(begin, []byte(header[:len(header)-2])) {
			return false, nil
		}
		return false, errDamaged
	}
	_, _ = r.Discard(len(header))
	for _, v := range values {
		line, err := r.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if err != nil || len(line) < sumLength+1 {
			return false, errDamaged
		}
		text := line[sumLength : len(line)-1]
		sum := sha256.Sum256(text)
		if string(line[:sumLength]) != hex.EncodeToString(sum[:])+" " || json.Unmarshal(text, v) != nil {
			return false, errDamaged
		}
	}
	return true, nil
}

// List returns all entries on disk, the newest first.
func (c *Cache) List(ctx context.Context) ([]Entry, error) {
	var entries []Entry
	err := c.disk.each(ctx, "keys", func(file string) {
		var e Entry
		if c.disk.read(file, &e) {
			entries = append(entries, e)
		}
	})
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(b.When.Compare(a.When), cmp.Compare(a.Image, b.Image), cmp.Compare(a.Key, b.Key))
	})
	return entries, err
}

// Lasts returns what is known of all artifacts, by image.
func (c *Cache) Lasts(ctx context.Context) ([]Last, error) {
	var lasts []Last
	err := c.disk.each(ctx, "last", func(file string) {
		var l Last
		if c.disk.read(file, &l) {
			lasts = append(lasts, l)
		}
	})
	slices.SortFunc(lasts, func(a, b Last) int {
		return cmp.Or(cmp.Compare(a.Image, b.Image), cmp.Compare(a.Identity, b.Identity))
	})
	return lasts, err
}

// each calls f for each file of a part of the cache.
func (d disk) each(ctx context.Context, part string, f func(file string)) error {
	if d.folder == "" {
		return nil
	}
	err := filepath.WalkDir(filepath.Join(d.folder, part), func(file string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.Contains(e.Name(), ".") {
			f(file)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("reading the cache: %w", err)
	}
	return nil
}

// PruneOptions say what Prune removes.
type PruneOptions struct {
	OlderThan time.Duration // since it was last of use, to the day
	DryRun    bool          // only count
}

// Pruned says what Prune removed.
type Pruned struct {
	Entries int
	Bytes   int64
}

// Prune removes what was not of use for a time, and what damaged files and killed processes left behind. Tags in registries are left
// to the registry's own retention.
func (c *Cache) Prune(ctx context.Context, o PruneOptions) (Pruned, error) {
	var p Pruned
	if c.disk.folder == "" {
		return p, nil
	}
	limit := c.o.Now().Add(-o.OlderThan)
	err := filepath.WalkDir(c.disk.folder, func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
			return errors.Join(err, ctx.Err())
		}
		info, err := e.Info()
		if err != nil {
			return nil // gone by now
		}
		unfinished := strings.Contains(e.Name(), inputs.TempPattern)
		old := !unfinished && info.ModTime().Before(limit)
		if inputs.Abandoned(info, c.o.Now()) || old || strings.HasSuffix(e.Name(), damagedSuffix) {
			if o.DryRun || os.Remove(file) == nil {
				p.Entries++
				p.Bytes += info.Size()
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return p, fmt.Errorf("pruning the cache: %w", err)
	}
	return p, nil
}
