package inputs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/davit-dev/davit/internal/event"
)

const (
	indexMagic = "davit stat index 1\n"

	// indexGrain is how far apart two changes of a file may be and still leave the same times on it: two seconds on FAT, a few milliseconds
	// elsewhere, and some more for clocks of file servers. A file that changed less than this before it was read is read again next time.
	indexGrain = 2 * time.Second

	// indexForget is after how many days an entry that nobody asked for is dropped, indexRefresh after how many the day of the last look is renewed.
	indexForget, indexRefresh = 30, 7
)

// Index remembers the hash of files by what lstat says of them, so that a second look costs one lstat per file. It is one file per workspace,
// read whole and replaced whole by rename: several processes may use it at once, and the last to save wins, which costs the others nothing but
// a second read of their files. It is safe for concurrent use.
type Index struct {
	path  string
	now   func() time.Time
	known func() map[string]indexEntry // as loaded, never written

	mu    sync.Mutex
	fresh map[string]indexEntry
	dirty bool
}

type indexEntry struct {
	stat stat
	sum  Sum
	day  uint64 // of the last look, since 1970
}

// state is what lstat says of a file.
type state struct {
	stat    stat
	trusted bool // the system says enough to know the file again
	mode    fs.FileMode
}

func stateOf(info fs.FileInfo) state {
	st, trusted := statOf(info)
	return state{st, trusted, info.Mode()}
}

// stat is what must be the same for a file to count as unchanged.
type stat struct {
	size, mtime, ctime int64
	inode, device      uint64
}

// OpenIndex begins to read the index of a workspace (any text that names it; an absolute path does) from folder. One that is damaged, or cannot be
// read, is set aside with a warning and counts as empty. Without a folder, nothing is kept.
func OpenIndex(folder, workspace string, now func() time.Time, sink event.Sink) *Index {
	name := sha256.Sum256([]byte(workspace))
	x := &Index{now: now, fresh: map[string]indexEntry{}, known: func() map[string]indexEntry { return nil }}
	if folder == "" {
		return x
	}
	x.path = filepath.Join(folder, hex.EncodeToString(name[:16]))
	x.known = sync.OnceValue(func() map[string]indexEntry { return x.load(sink) })
	go x.known() // while the config is planned
	return x
}

func (x *Index) load(sink event.Sink) map[string]indexEntry {
	data, err := os.ReadFile(x.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var known map[string]indexEntry
	if err == nil {
		known, err = decodeIndex(data)
	}
	if err != nil {
		aside := x.path + ".damaged"
		sink.Emit(event.Warning{Message: fmt.Sprintf("the index of file hashes cannot be used and is built anew: %v (set aside as %s)", err, aside)})
		_ = os.Rename(x.path, aside)
		x.mu.Lock()
		x.dirty = true
		x.mu.Unlock()
	}
	return known
}

// sum is the hash of a regular file's content, from the index when its stat is the one that is known.
func (x *Index) sum(ctx context.Context, path string, s state) (Sum, error) {
	if e, ok := x.known()[path]; ok && s.trusted && e.stat == s.stat {
		if today := x.today(); today >= e.day+indexRefresh {
			x.remember(path, indexEntry{stat: s.stat, sum: e.sum, day: today})
		}
		return e.sum, nil
	}
	if e, ok := x.learned(path); ok && s.trusted && e.stat == s.stat {
		return e.sum, nil
	}
	if err := ctx.Err(); err != nil {
		return Sum{}, err
	}
	started := x.now()
	sum, st, trusted, err := hashFile(path)
	if err != nil {
		return Sum{}, err
	}
	if changed := time.Unix(0, max(st.mtime, st.ctime)); trusted && started.Sub(changed) > indexGrain {
		x.remember(path, indexEntry{stat: st, sum: sum, day: x.today()})
	}
	return sum, nil
}

func (x *Index) today() uint64 { return uint64(max(0, x.now().Unix()/86400)) }

func (x *Index) learned(path string) (indexEntry, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, ok := x.fresh[path]
	return e, ok
}

func (x *Index) remember(path string, e indexEntry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.fresh[path] = e
	x.dirty = true
}

var copyBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// hashFile reads a file. trusted is false when it changed while it was read.
func hashFile(path string) (sum Sum, before stat, trusted bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, before, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return sum, before, false, err
	}
	before, trusted = statOf(info)
	h := sha256.New()
	buf := copyBuffers.Get().(*[64 << 10]byte)
	defer copyBuffers.Put(buf)
	// The wrapper hides File.WriteTo, which would leave the buffer unused.
	if _, err := io.CopyBuffer(h, struct{ io.Reader }{f}, buf[:]); err != nil {
		return sum, before, false, fmt.Errorf("reading %s: %w", path, err)
	}
	if info, err = f.Stat(); err != nil {
		return sum, before, false, err
	}
	after, _ := statOf(info)
	h.Sum(sum[:0])
	return sum, before, trusted && before == after, nil
}

// Save writes what was learned since, if anything. Entries that nobody asked for in a month are dropped.
func (x *Index) Save() error {
	known := x.known()
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.dirty || x.path == "" {
		return nil
	}
	merged := make(map[string]indexEntry, len(known)+len(x.fresh))
	today := x.today()
	for path, e := range known {
		if e.day+indexForget > today {
			merged[path] = e
		}
	}
	for path, e := range x.fresh {
		merged[path] = e
	}
	if err := ReplaceFile(x.path, encodeIndex(merged)); err != nil {
		return fmt.Errorf("saving the index of file hashes: %w", err)
	}
	x.dirty = false
	sweep(filepath.Dir(x.path), x.now())
	return nil
}

// The file is the magic line, the SHA-256 of the rest, and the rest: the number of entries, then each as lengths and numbers.

func encodeIndex(entries map[string]indexEntry) []byte {
	b := make([]byte, len(indexMagic)+sha256.Size, 1024+len(entries)*160)
	b = binary.AppendUvarint(b, uint64(len(entries)))
	for path, e := range entries {
		b = append(binary.AppendUvarint(b, uint64(len(path))), path...)
		b = binary.AppendVarint(b, e.stat.size)
		b = binary.AppendVarint(b, e.stat.mtime)
		b = binary.AppendVarint(b, e.stat.ctime)
		b = binary.AppendUvarint(b, e.stat.inode)
		b = binary.AppendUvarint(b, e.stat.device)
		b = binary.AppendUvarint(b, e.day)
		b = append(b, e.sum[:]...)
	}
	copy(b, indexMagic)
	sum := sha256.Sum256(b[len(indexMagic)+sha256.Size:])
	copy(b[len(indexMagic):], sum[:])
	return b
}

var errDamaged = errors.New("it is damaged")

func decodeIndex(b []byte) (map[string]indexEntry, error) {
	b, ok := bytes.CutPrefix(b, []byte(indexMagic))
	if !ok || len(b) < sha256.Size {
		return nil, errDamaged
	}
	if sum := sha256.Sum256(b[sha256.Size:]); !bytes.Equal(sum[:], b[:sha256.Size]) {
		return nil, errDamaged
	}
	r := numberReader{b: string(b[sha256.Size:])} // one string, of which all paths are parts
	n := r.unsigned()
	if r.failed || n > uint64(len(r.b)) {
		return nil, errDamaged
	}
	entries := make(map[string]indexEntry, n)
	for range n {
		path := r.text(r.unsigned())
		var e indexEntry
		e.stat = stat{size: r.signed(), mtime: r.signed(), ctime: r.signed(), inode: r.unsigned(), device: r.unsigned()}
		e.day = r.unsigned()
		copy(e.sum[:], r.text(sha256.Size))
		if r.failed {
			return nil, errDamaged
		}
		entries[path] = e
	}
	return entries, nil
}

type numberReader struct {
	b      string
	failed bool
}

func (r *numberReader) unsigned() uint64 {
	var n uint64
	for i := 0; i < len(r.b) && i < binary.MaxVarintLen64; i++ {
		n |= uint64(r.b[i]&0x7f) << (7 * i)
		if r.b[i] < 0x80 {
			r.b = r.b[i+1:]
			return n
		}
	}
	r.failed = true
	return 0
}

func (r *numberReader) signed() int64 {
	n := r.unsigned()
	return int64(n>>1) ^ -int64(n&1)
}

func (r *numberReader) text(length uint64) string {
	if length > uint64(len(r.b)) {
		r.failed = true
		return ""
	}
	s := r.b[:length]
	r.b = r.b[length:]
	return s
}
