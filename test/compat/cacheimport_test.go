package compat

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/davit-dev/davit/internal/cache/skaffold"
	"github.com/davit-dev/davit/internal/cache/skaffold/skaffoldtest"
	"github.com/davit-dev/davit/internal/cli"
	"github.com/davit-dev/davit/internal/engine/enginetest"
)

// switcher is somebody who goes from Skaffold to davit.
type switcher struct {
	t         *testing.T
	skaffold  string
	dir, home string
	environ   []string
}

func (s *switcher) builds(args ...string) map[string]skaffold.Image {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), s.skaffold, append([]string{"build"}, args...)...)
	cmd.Dir, cmd.Env = s.dir, s.environ
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("skaffold %v: %v\n%s", args, err, out)
	}
	images, err := skaffold.Read(filepath.Join(s.home, ".skaffold", "cache"))
	if err != nil {
		s.t.Fatal(err)
	}
	return images
}

// imports wants all artifacts to be imported, and nothing to be built then, by a davit that knows nothing.
func (s *switcher) imports(args ...string) {
	s.t.Helper()
	before := readFile(s.t, filepath.Join(s.home, ".skaffold", "cache"))
	w := cli.World{Dir: s.dir, Home: s.home, CacheDir: s.t.TempDir(), Environ: s.environ, Now: time.Now}
	run := func(args ...string) string {
		s.t.Helper()
		var out, errs bytes.Buffer
		w.Stdout, w.Stderr = &out, &errs
		if code := cli.Main(w, args); code != 0 {
			s.t.Fatalf("davit %v: %s%s", args, out.String(), errs.String())
		}
		return out.String()
	}
	if out := run(append([]string{"cache", "import", "--for", "build"}, args...)...); strings.Contains(out, "not imported") || !strings.Contains(out, ": imported") {
		s.t.Errorf("davit cache import %v:\n%s", args, out)
	}
	if out := run(append([]string{"build"}, args...)...); strings.Contains(out, "Not found") || !strings.Contains(out, ": Found ") {
		s.t.Errorf("davit build %v:\n%s", args, out)
	}
	if before != readFile(s.t, filepath.Join(s.home, ".skaffold", "cache")) {
		s.t.Error("Skaffold's cache was written")
	}
}

// TestCacheImport takes over what Skaffold built: into a Docker Engine, with a push, for the cluster's platform, with a profile, from an image with
// ONBUILD instructions. The hashes that other tests rely on are Skaffold's, too.
func TestCacheImport(t *testing.T) {
	s := &switcher{t: t, skaffold: reference(t), home: t.TempDir()}
	dir, hashes := skaffoldtest.Project(t)
	s.dir = dir
	registry := enginetest.Registry(t)
	s.environ = slices.Concat(os.Environ(), skaffoldtest.Environ, []string{
		"HOME=" + s.home, "KUBECONFIG=" + filepath.Join(s.home, "none"), "SKAFFOLD_UPDATE_CHECK=false", "DOCKER_HOST=" + enginetest.Start(t).Host,
	})
	made := slices.Sorted(maps.Keys(s.builds("--push=false")))
	if slices.Sort(hashes); !slices.Equal(made, hashes) {
		t.Errorf("skaffold makes these hashes:\n%s\nnot\n%s", strings.Join(made, "\n"), strings.Join(hashes, "\n"))
	}
	s.imports("--push=false")

	s.builds("-d", registry)
	s.imports("-d", registry)

	s.environ = append(s.environ, "KUBECONFIG="+nodes(t, []string{"linux/" + runtime.GOARCH}))
	s.builds("-d", registry, "-p", "first", "-b", "golden-target", "--check-cluster-node-platforms")
	s.imports("-d", registry, "-p", "first", "-b", "golden-target")

	base, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH, Config: v1.Config{OnBuild: []string{"COPY trigger /"}}})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewTag(registry + "/base:v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, base); err != nil {
		t.Fatal(err)
	}
	s.dir = t.TempDir()
	writeFiles(t, s.dir, map[string]string{
		"skaffold.yaml": "apiVersion: skaffold/v4beta14\nkind: Config\nbuild:\n  tagPolicy: {envTemplate: {template: v1}}\n  artifacts: [{image: above-base}]\n",
		"Dockerfile":    "FROM " + registry + "/base:v1\nCOPY own /\n", "own": "own\n", "trigger/file": "file\n", "else": "else\n",
	})
	s.builds("-d", registry)
	s.imports("-d", registry)
}
