package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/davit-dev/davit/internal/cache/skaffold/skaffoldtest"
	"github.com/davit-dev/davit/internal/engine/enginetest"
)

// importing is a project that Skaffold built: its cache has an entry for each artifact, and so has the registry.
type importing struct {
	t        *testing.T
	world    World
	registry string
	hashes   []string
}

// newImporting pushes one image, which may be for an architecture, to the repositories of all artifacts.
func newImporting(t *testing.T, architecture string) (p *importing, digest string) {
	t.Helper()
	p = &importing{t: t, registry: enginetest.Registry(t)}
	home := t.TempDir()
	p.world = World{Home: home, CacheDir: filepath.Join(home, "cache"), Now: time.Now, Environ: append(skaffoldtest.Environ, "PATH="+os.Getenv("PATH"))}
	p.world.Dir, p.hashes = skaffoldtest.Project(t)
	image := empty.Image
	if architecture != "" {
		var err error
		if image, err = mutate.ConfigFile(image, &v1.ConfigFile{OS: "linux", Architecture: architecture}); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range regexp.MustCompile(`image: (golden-[a-z]+)`).FindAllSubmatch(append(read(t, p.world.Dir+"/skaffold.yaml"), read(t, p.world.Dir+"/lib/skaffold.yaml")...), -1) {
		tag, err := name.NewTag(p.registry + "/" + string(m[1]) + ":v1")
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(tag, image); err != nil {
			t.Fatal(err)
		}
	}
	hash, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return p, hash.String()
}

// knows writes Skaffold's cache: the same entry for each hash.
func (p *importing) knows(entry string) {
	p.t.Helper()
	file := p.world.skaffoldCache("")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		p.t.Fatal(err)
	}
	var text strings.Builder
	for _, hash := range p.hashes {
		text.WriteString(hash + ": " + entry + "\n")
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o444); err != nil {
		p.t.Fatal(err)
	}
}

func (p *importing) davit(args ...string) string {
	p.t.Helper()
	var out, errs bytes.Buffer
	w := p.world
	w.Stdout, w.Stderr = &out, &errs
	if code := Main(w, append(args, "-d", p.registry)); code != 0 {
		p.t.Fatalf("davit %v: %s%s", args, out.String(), errs.String())
	}
	return out.String()
}

// TestCacheImport takes over what Skaffold recorded, by the hashes that it made, so that nothing is built: there is no builder here.
func TestCacheImport(t *testing.T) {
	p, digest := newImporting(t, "")
	p.knows("{digest: '" + digest + "'}")
	if out := p.davit("build", "--dry-run"); !strings.Contains(out, "davit cache import") {
		t.Errorf("davit build does not name the command:\n%s", out)
	}
	out := p.davit("cache", "import", "--for", "build")
	if strings.Contains(out, "not imported") || !strings.Contains(out, "golden-args: imported, "+p.registry+"/golden-args:v1@"+digest) || !strings.Contains(out, "\n13 of 13 images imported from ") {
		t.Errorf("davit cache import says\n%s", out)
	}
	for _, command := range [][]string{{"build"}, {"build", "--platform", "linux/amd64", "-b", "golden-platform"}} {
		if out := p.davit(command...); strings.Contains(out, "Not found") || strings.Contains(out, "cache import") || !strings.Contains(out, "golden-platform: Found Remotely") {
			t.Errorf("davit %v says\n%s", command, out)
		}
	}
	if out := p.davit("cache", "import", "--for", "build"); strings.Count(out, ": known already, ") != 13 {
		t.Errorf("the second davit cache import says\n%s", out)
	}
}

// TestCacheImportRefuses gives entries that lead to no image, or to the wrong one.
func TestCacheImportRefuses(t *testing.T) {
	for _, c := range []struct{ name, architecture, entry, want string }{
		{"no place", "", "{}", "golden-tree: not imported: its entry in Skaffold's cache names no image"},
		{"not pushed", "", "{id: 'sha256:12'}", "golden-tree: not imported: it was built into the Docker Engine as sha256:12 and not pushed"},
		{"gone", "", "{digest: 'sha256:" + strings.Repeat("0", 64) + "'}", "golden-tree: not imported: its image is gone: there is no "},
		{"no digest", "", "{digest: 'latest'}", "golden-tree: not imported: "},
		{"another processor", "s390x", "{digest: 'DIGEST'}", "is for linux/s390x, not for linux/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, digest := newImporting(t, c.architecture)
			p.knows(strings.ReplaceAll(c.entry, "DIGEST", digest))
			out := p.davit("cache", "import", "--for", "build")
			if !strings.Contains(out, c.want) || strings.Contains(out, ": imported") {
				t.Errorf("davit says\n%s", out)
			}
			if entries, err := os.ReadDir(filepath.Join(p.world.CacheDir, "images", "keys")); len(entries) > 0 {
				t.Errorf("something was remembered: %v %v", entries, err)
			}
		})
	}
}

// TestCacheImportTellsTwinsApart has two artifacts that Skaffold takes for one: it does not mind the folders that files are in.
func TestCacheImportTellsTwinsApart(t *testing.T) {
	for _, c := range []struct {
		folder string
		want   []string
	}{
		// What is made of the same has the same image, which is only in one repository here.
		{".hidden", []string{"golden-tree: imported", "golden-twin: not imported: its image is gone"}},
		{".moved", []string{"golden-tree: not imported: its hash for Skaffold is that of golden-twin, too", "golden-twin: not imported: its hash for Skaffold is that of golden-tree, too"}},
	} {
		p, digest := newImporting(t, "")
		p.knows("{digest: '" + digest + "'}")
		other, _ := skaffoldtest.Project(t)
		twin, config := filepath.Join(p.world.Dir, "twin"), filepath.Join(p.world.Dir, "skaffold.yaml")
		text := strings.Replace(string(read(t, config)), "  artifacts:\n", "  artifacts:\n  - {image: golden-twin, context: twin}\n", 1)
		err := errors.Join(os.Rename(filepath.Join(other, "tree"), twin), os.Rename(filepath.Join(twin, ".hidden"), filepath.Join(twin, ".x")), os.Rename(filepath.Join(twin, ".x"), filepath.Join(twin, c.folder)),
			os.WriteFile(config, []byte(text), 0o644))
		if err != nil {
			t.Fatal(err)
		}
		out := p.davit("cache", "import", "--for", "build")
		if slices.ContainsFunc(c.want, func(want string) bool { return !strings.Contains(out, want) }) {
			t.Errorf("davit says\n%s", out)
		}
	}
}
