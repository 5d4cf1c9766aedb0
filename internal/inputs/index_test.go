package inputs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/inputs/killtest"
)

// look reads a file through an index and says whether its content had to be read.
func look(t *testing.T, x *Index, path string) (Sum, bool) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	// A file without a name for the rest of this call: what is known needs no content.
	st, _ := statOf(info)
	known := x.known()[path].stat == st || x.fresh[path].stat == st
	sum, err := x.sum(context.Background(), path, stateOf(info))
	if err != nil {
		t.Fatal(err)
	}
	return sum, !known
}

func TestIndexKnowsWhatHasNotChanged(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(files(t, t.TempDir(), map[string]string{"x": "one"}), "x")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	now := info.ModTime()
	open := func() *Index { return OpenIndex(folder, "w", func() time.Time { return now }, noWarnings(t)) }
	save := func(x *Index) {
		t.Helper()
		if err := x.Save(); err != nil {
			t.Fatal(err)
		}
	}
	x := open()
	first, read := look(t, x, file)
	if !read {
		t.Error("known before it was read")
	}
	save(x)
	if _, read = look(t, open(), file); !read {
		t.Error("a file was believed that had changed within the clock's grain of being read")
	}

	now = now.Add(time.Hour)
	x = open()
	look(t, x, file)
	save(x)
	if sum, read := look(t, open(), file); read || sum != first {
		t.Error("read again, though nothing changed")
	}

	// The same size, and the modification time put back: the change time tells, as soon as the system's clock has moved on.
	for before, after := stateOf(info), stateOf(info); after == before; {
		err := os.WriteFile(file, []byte("two"), 0o644)
		if err == nil {
			err = os.Chtimes(file, info.ModTime(), info.ModTime())
		}
		if err != nil {
			t.Fatal(err)
		}
		again, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		after = stateOf(again)
	}
	if sum, read := look(t, open(), file); !read || sum == first {
		t.Error("a change with the old time was missed")
	}
	// Another file in its place.
	files(t, filepath.Dir(file), map[string]string{"y": "six"})
	if err := os.Rename(filepath.Join(filepath.Dir(file), "y"), file); err != nil {
		t.Fatal(err)
	}
	if sum, _ := look(t, open(), file); sum == first {
		t.Error("another file was taken for the one that is known")
	}
}

func TestIndexForgets(t *testing.T) {
	folder := t.TempDir()
	root := files(t, t.TempDir(), map[string]string{"kept": "1", "left": "2"})
	now := time.Now().Add(time.Minute)
	open := func() *Index { return OpenIndex(folder, "w", func() time.Time { return now }, noWarnings(t)) }
	x := open()
	look(t, x, filepath.Join(root, "kept"))
	look(t, x, filepath.Join(root, "left"))
	for range 6 {
		if err := x.Save(); err != nil {
			t.Fatal(err)
		}
		now = now.Add(8 * 24 * time.Hour)
		x = open()
		look(t, x, filepath.Join(root, "kept"))
	}
	if len(x.known()) != 1 {
		t.Errorf("after six weeks the index knows %d files", len(x.known()))
	}
}

func TestDamagedIndexIsSetAside(t *testing.T) {
	folder := t.TempDir()
	root := files(t, t.TempDir(), map[string]string{"x": "1"})
	later := func() time.Time { return time.Now().Add(time.Minute) }
	x := OpenIndex(folder, "w", later, noWarnings(t))
	look(t, x, filepath.Join(root, "x"))
	if err := x.Save(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(x.path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(whole) {
		for _, damaged := range [][]byte{whole[:i], bytes.Join([][]byte{whole[:i], {whole[i] ^ 0x40}, whole[i+1:]}, nil)} {
			if err := os.WriteFile(x.path, damaged, 0o644); err != nil {
				t.Fatal(err)
			}
			warned := ""
			again := OpenIndex(folder, "w", later, event.SinkFunc(func(e event.Event) { warned = e.(event.Warning).Message }))
			if len(again.known()) != 0 || !strings.Contains(warned, "is built anew: it is damaged (set aside as") {
				t.Fatalf("byte %d: %d entries, warning %q", i, len(again.known()), warned)
			}
		}
	}
	if _, err := os.Stat(x.path + ".damaged"); err != nil {
		t.Error(err)
	}
}

// FuzzIndex looks for files that are believed or crash the reader without being whole.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(indexMagic))
	f.Add(encodeIndex(map[string]indexEntry{"a": {}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := decodeIndex(data); err != nil {
			return
		}
		// A checksum that fits needs content that was meant: it is what would be written for it.
		entries, _ := decodeIndex(data)
		if again, err := decodeIndex(encodeIndex(entries)); err != nil || len(again) != len(entries) {
			t.Errorf("%v, %d and %d entries", err, len(again), len(entries))
		}
	})
}

// saveForever names the folder in which the test binary saves indexes until it is killed.
const saveForever = "DAVIT_TEST_SAVE_FOREVER"

func TestMain(m *testing.M) {
	if folder := os.Getenv(saveForever); folder != "" {
		saveUntilKilled(folder)
		return
	}
	os.Exit(m.Run())
}

func saveUntilKilled(folder string) {
	later := func() time.Time { return time.Now().Add(time.Minute) }
	killtest.Forever(func(i int) {
		x := OpenIndex(folder, "w", later, event.SinkFunc(func(e event.Event) {
			fmt.Fprintln(os.Stderr, e.(event.Warning).Message)
			os.Exit(3)
		}))
		x.remember("file", indexEntry{sum: Sum{byte(i)}, stat: stat{size: int64(i % 256)}, day: x.today()})
		for j := range 200 {
			x.remember(fmt.Sprint(i, j), indexEntry{day: x.today()})
		}
		if len(x.known()) > 5000 {
			x.known = func() map[string]indexEntry { return nil }
		}
		if err := x.Save(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(4)
		}
	})
}

func TestIndexSurvivesKills(t *testing.T) {
	folder := t.TempDir()
	later := func() time.Time { return time.Now().Add(time.Minute) }
	killtest.Twice(t, saveForever+"="+folder, func(run int) {
		x := OpenIndex(folder, "w", later, noWarnings(t))
		if e, ok := x.known()["file"]; ok && int64(e.sum[0]) != e.stat.size {
			t.Fatalf("run %d: an entry is a mixture: %v", run, e)
		}
	})
}
