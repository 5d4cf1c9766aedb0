package cache

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/inputs/killtest"
)

// recordForever names the folder in which the test binary records builds until it is killed.
const recordForever = "DAVIT_TEST_RECORD_FOREVER"

func TestMain(m *testing.M) {
	if folder := os.Getenv(recordForever); folder != "" {
		recordUntilKilled(folder)
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
