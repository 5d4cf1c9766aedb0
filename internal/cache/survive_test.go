package cache

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/inputs"
	"github.com/davit-dev/davit/internal/inputs/killtest"
)

// The test binary run with one of these variables records builds in the folder it names: until it is killed, or twice on a full disk.
const (
	recordForever = "DAVIT_TEST_RECORD_FOREVER"
	recordOnFull  = "DAVIT_TEST_RECORD_ON_FULL"
)

func TestMain(m *testing.M) {
	if folder := os.Getenv(recordForever); folder != "" {
		recordUntilKilled(folder)
		return
	}
	if folder := os.Getenv(recordOnFull); folder != "" {
		recordOnFullDisk(folder)
		return
	}
	os.Exit(m.Run())
}

// numbered is a build whose parts all have the same number, so that a mixture shows.
func numbered(artifact, n int) Built {
	m := manifest(fmt.Sprint(n))
	return Built{Image: fmt.Sprint("web", artifact), Key: m.Key(), Manifest: m, Ref: fmt.Sprintf("reg.io/web%d:v%d", artifact, n), Digest: fmt.Sprintf("sha256:%064d", n), Pushed: true}
}

func recordUntilKilled(folder string) {
	warned := event.SinkFunc(func(e event.Event) {
		fmt.Fprintln(os.Stderr, e.(event.Warning).Message)
		os.Exit(3)
	})
	c := New(Options{Folder: folder, Now: time.Now, Sink: warned})
	killtest.Forever(func(n int) { c.Remember(numbered(n%3, n%10)) })
}

func TestCacheSurvivesKills(t *testing.T) {
	w := newWorld(t)
	folder := t.TempDir()
	c := w.cache(folder)
	killtest.Twice(t, recordForever+"="+folder, func(run int) {
		for artifact := range 3 {
			last, ok := c.Last(fmt.Sprint("web", artifact))
			made, _ := c.Manifest(fmt.Sprint("web", artifact))
			if ok && last.Key != made.Key() {
				t.Errorf("run %d: the record of %s is a mixture: %+v", run, last.Image, last)
			}
			for n := range 10 {
				b := numbered(artifact, n)
				e, ok := c.disk.entry(b.Key)
				if !ok {
					continue
				}
				if d := e.digestIn(repository(b.Ref)); d != "" && d != b.Digest {
					t.Errorf("run %d: %s has the digest %s", run, b.Ref, d)
				}
			}
		}
	})
	if list, err := c.List(t.Context()); err != nil || len(list) == 0 {
		t.Errorf("the processes recorded nothing: %v, %v", list, err)
	}
	if len(w.warnings) > 0 {
		t.Errorf("something was damaged: %q", w.warnings)
	}
}

// A full disk is a file size limit here, which fails in the same place of the same call.
func recordOnFullDisk(folder string) {
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 100, Max: 100}); err != nil {
		panic(err)
	}
	c := New(Options{Folder: folder, Now: time.Now, Sink: event.SinkFunc(func(e event.Event) { fmt.Println(e.(event.Warning).Message) })})
	c.Remember(numbered(0, 1))
	c.Remember(numbered(0, 2))
}

func TestCacheOnAFullDisk(t *testing.T) {
	w := newWorld(t)
	folder := t.TempDir()
	c := w.cache(folder)
	c.Remember(numbered(0, 1))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), recordOnFull+"="+folder)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "is not remembered on this machine") != 2 {
		t.Errorf("%v: %s", err, out)
	}
	if e, ok := c.disk.entry(numbered(0, 1).Key); !ok || e.digestIn("reg.io/web0") != numbered(0, 1).Digest {
		t.Errorf("what was recorded before is gone: %+v", e)
	}
	if e, ok := c.disk.entry(numbered(0, 2).Key); ok {
		t.Errorf("what could not be recorded is there: %+v", e)
	}
	err = filepath.WalkDir(folder, func(file string, _ fs.DirEntry, err error) error {
		if strings.Contains(file, inputs.TempPattern) {
			t.Errorf("left behind: %s", file)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
