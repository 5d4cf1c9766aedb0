// Package skaffoldtest has a project for tests, and the hashes that Skaffold makes of its artifacts.
package skaffoldtest

import (
	_ "embed"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

//go:embed golden.txtar
var golden []byte

// Environ are the variables that the project's config speaks of.
var Environ = []string{"TAG=v1", "VALUE=val", "RC=rc"}

// Project writes the project, and gives the hashes that `skaffold build` makes of it.
func Project(t testing.TB) (dir string, hashes []string) {
	t.Helper()
	dir = t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range txtar.Parse(golden).Files {
		if f.Name == "hashes" {
			hashes = strings.Fields(string(f.Data))
			continue
		}
		path, mode := filepath.Join(dir, f.Name), os.FileMode(0o644)
		if strings.HasPrefix(string(f.Data), "#!") {
			mode = 0o755
		}
		must(os.MkdirAll(filepath.Dir(path), 0o755))
		must(os.WriteFile(path, f.Data, mode))
		must(os.Chmod(path, mode)) // whatever the umask
	}
	tree := filepath.Join(dir, "tree")
	must(os.Symlink("page", filepath.Join(tree, "link")))
	must(os.Symlink("sub", filepath.Join(tree, "folder-link")))
	must(os.Mkdir(filepath.Join(tree, "empty"), 0o755))
	must(os.Chmod(filepath.Join(tree, "empty"), 0o755))
	must(os.Chmod(filepath.Join(tree, "sub", "page"), 0o600))
	return dir, hashes
}
