//go:build linux

package imagetest_test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/classic"
	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/engine/enginetest"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/imagetest"
)

// TestStructure looks at how container-structure-test is called. A script that prints its arguments stands in for the program, which no package of the
// test's machines brings.
func TestStructure(t *testing.T) {
	dir := enginetest.Project(t, map[string]string{
		"program": "#!/bin/sh\necho \"$@\"\ncase \"$*\" in *fail*) exit 1;; esac\n", "tests/b.yaml": "b", "tests/a.yaml": "a", "tests/note.txt": "n", "more/c.yaml": "c",
	})
	o := options(t)
	o.LookPath = func(name string) (string, error) {
		if name != "container-structure-test" {
			t.Errorf("looked for %s", name)
		}
		return filepath.Join(dir, "program"), nil
	}
	c := imagetest.Case{
		Image: "app", Ref: "app:v1", Digest: "sha256:1", Local: true, Dir: dir,
		Structure: imagetest.Structure{Files: []string{"tests/*.yaml", filepath.Join(dir, "more"), "gone*"}, Args: []string{"--driver=tar"}},
		Custom:    []imagetest.Custom{{Command: "echo afterwards"}},
	}
	want := []string{
		"warning: structureTests of app: " + dir + "/gone* matches no file",
		"app: running container-structure-test",
		"app: test -v warn --image app:v1 --config " + dir + "/more/c.yaml --config " + dir + "/tests/a.yaml --config " + dir + "/tests/b.yaml --driver=tar",
		`app: running the command "echo afterwards"`, "app: afterwards",
	}
	if lines, err := run(t, o, c); err != nil || !slices.Equal(lines, want) {
		t.Errorf("error %v, lines\n%s\nwant\n%s", err, strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if lines, err := run(t, o, c); err != nil || !slices.Contains(lines, "app: container-structure-test passed before: neither the image nor what the test depends on changed") {
		t.Errorf("error %v, lines\n%s", err, strings.Join(lines, "\n"))
	}
	c.Structure.Args = []string{"fail"}
	if _, err := run(t, o, c); err == nil || !strings.Contains(err.Error(), "testing app: container-structure-test failed with exit code 1") {
		t.Errorf("error %v", err)
	}
	c.Structure.Files = []string{"gone"}
	if _, err := run(t, o, c); err == nil || !strings.Contains(err.Error(), "structureTests: no file matches") {
		t.Errorf("error %v", err)
	}
	o.LookPath = func(string) (string, error) { return "", exec.ErrNotFound }
	c.Structure.Files = []string{"tests"}
	if _, err := run(t, o, c); err == nil || !strings.Contains(err.Error(), "structureTests need the program container-structure-test, which is not on PATH: install it from ") {
		t.Errorf("error %v", err)
	}
}

// TestPulled brings an image that is in a registry only into the Docker Engine for structure tests.
func TestPulled(t *testing.T) {
	t.Parallel()
	docker := enginetest.Start(t)
	host := enginetest.Registry(t)
	dir := enginetest.Project(t, map[string]string{"program": "#!/bin/sh\n", "test.yaml": "", "Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
	ref := host + "/app:v1"
	result, err := classic.New(classic.Options{Docker: docker, DockerConfig: t.TempDir()}).Build(t.Context(), build.Request{
		Image: "app", Ref: ref, Push: true, Spec: build.Docker{Context: dir, Dockerfile: filepath.Join(dir, "Dockerfile")},
	}, event.SinkFunc(func(event.Event) {}))
	if err != nil {
		t.Fatal(err)
	}
	o := options(t)
	o.Docker, o.DockerConfig = enginetest.Start(t), t.TempDir()
	o.LookPath = func(string) (string, error) { return filepath.Join(dir, "program"), nil }
	c := imagetest.Case{Image: "app", Ref: ref + "@" + result.Digest, Digest: result.Digest, Dir: dir, Structure: imagetest.Structure{Files: []string{"test.yaml"}}}
	if _, err := run(t, o, c); err != nil {
		t.Fatal(err)
	}
	if id, err := engine.ImageID(t.Context(), enginetest.Open(t, o.Docker), c.Ref); err != nil || id != result.ImageID {
		t.Errorf("the Engine has %q (%v), want %s", id, err, result.ImageID)
	}
	c.Ref, c.Digest = host+"/none:v1", "sha256:2"
	if _, err := run(t, o, c); err == nil || !strings.Contains(err.Error(), "getting it into the Docker Engine at "+o.Docker.Host+" for container-structure-test: pulling "+host+"/none") {
		t.Errorf("error %v", err)
	}
}
