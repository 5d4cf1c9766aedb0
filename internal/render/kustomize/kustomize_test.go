package kustomize_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/render/kustomize"
)

var update = flag.Bool("update", false, "write what comes out into the golden files")

var silent = event.SinkFunc(func(event.Event) {})

// TestBuild renders every archive of testdata: "build" has the path and the arguments, "values" those of parameters, "out" what comes of it.
func TestBuild(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal(archives, err)
	}
	for _, archive := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(archive), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(archive)
			if err != nil {
				t.Fatal(err)
			}
			dir, sections := unpack(t, a)
			got := build(options(dir, sections))
			if *update {
				a.Files = append(withoutOut(a.Files), txtar.File{Name: "out", Data: []byte(got)})
				if err := os.WriteFile(archive, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != sections["out"] {
				t.Errorf("got\n%s\nwant\n%s", got, sections["out"])
			}
		})
	}
}

func options(dir string, sections map[string]string) kustomize.Options {
	words := strings.Fields(sections["build"])
	o := kustomize.Options{Dir: dir, Path: words[0], Args: words[1:], Values: map[string]string{}}
	for _, pair := range strings.Fields(sections["values"]) {
		name, value, _ := strings.Cut(pair, "=")
		o.Values[name] = value
	}
	return o
}

// build gives the objects, each under a comment with its origin, or the error.
func build(o kustomize.Options) string {
	objects, err := kustomize.Build(context.Background(), o, silent)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var b bytes.Buffer
	for _, object := range objects {
		fmt.Fprintf(&b, "# %s\n", object.File)
		if err := manifest.Write(&b, []manifest.Object{object}); err != nil {
			return err.Error()
		}
	}
	return b.String()
}

func unpack(t *testing.T, a *txtar.Archive) (dir string, sections map[string]string) {
	t.Helper()
	dir, sections = t.TempDir(), map[string]string{}
	for _, f := range a.Files {
		if !strings.Contains(f.Name, "/") {
			sections[f.Name] = string(f.Data)
			continue
		}
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, sections
}

func withoutOut(files []txtar.File) (out []txtar.File) {
	for _, f := range files {
		if f.Name != "out" {
			out = append(out, f)
		}
	}
	return out
}

// TestSideBySide has all archives built at once, kustomizations with a schema of their own among them: each comes out as it does alone.
func TestSideBySide(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for _, archive := range archives {
		a, err := txtar.ParseFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		dir, sections := unpack(t, a)
		for i := range 4 {
			group.Go(func() {
				o := options(dir, sections)
				o.Several = i > 0
				if got := build(o); got != sections["out"] {
					t.Errorf("%s: got\n%s", archive, got)
				}
			})
		}
	}
	group.Wait()
}

func TestUnknownFlagsGoToTheCommand(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "kustomize")
	text := "#!/bin/sh\necho \"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {args: '$*'}}\"\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	o := kustomize.Options{Dir: dir, Path: "k8s", Args: []string{"--new-flag x"}, LookPath: func(name string) (string, error) {
		return filepath.Join(dir, name), nil
	}}
	if got, want := build(o), "args: 'build --new-flag x "+dir+"/k8s'"; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}

	if err := os.WriteFile(script, []byte("#!/bin/sh\necho no such flag >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, want := build(o), "error: kustomization k8s: "+script+" build --new-flag x "+dir+"/k8s: no such flag\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := kustomize.Build(ctx, kustomize.Options{Dir: t.TempDir(), Path: "."}, silent)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
