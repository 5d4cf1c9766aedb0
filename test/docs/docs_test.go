// Package docs tries what the documentation shows: configs load, commands parse, links lead somewhere.
package docs

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/cli"
	"github.com/davit-dev/davit/internal/config/load"
)

const root = "../.."

type page struct{ name, text string }

func pages(t *testing.T) []page {
	t.Helper()
	var found []page
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		found = append(found, page{path, string(text)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 5 {
		t.Fatalf("only %d pages found", len(found))
	}
	return found
}

var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

func TestConfigsLoad(t *testing.T) {
	tried := 0
	for _, p := range pages(t) {
		for _, block := range fence.FindAllStringSubmatch(p.text, -1) {
			if !strings.Contains(block[2], "apiVersion: skaffold/") {
				continue
			}
			tried++
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "skaffold.yaml"), []byte(block[2]), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := load.Load(t.Context(), load.Options{Dir: dir, Command: "run"}); err != nil {
				t.Errorf("%s: a config that it shows does not load: %v\n%s", p.name, err, block[2])
			}
		}
	}
	t.Logf("%d configs", tried)
}

var command = regexp.MustCompile(`(?m)^(?:\$ |\s*)(?:bin/)?davit ([a-z].*?)(?:\s+#.*|\s*[>|].*)?$`)

func TestCommandsParse(t *testing.T) {
	tried := 0
	for _, p := range pages(t) {
		for _, block := range fence.FindAllStringSubmatch(p.text, -1) {
			for _, m := range command.FindAllStringSubmatch(block[2], -1) {
				tried++
				var out, errs bytes.Buffer
				w := cli.World{Stdout: &out, Stderr: &errs, Dir: t.TempDir(), Now: time.Now}
				// --help ends a command after its flags were read.
				if code := cli.Main(w, append(strings.Fields(m[1]), "--help")); code != 0 {
					t.Errorf("%s: davit %s: exit code %d: %s", p.name, m[1], code, errs.String())
				}
			}
		}
	}
	if tried < 4 {
		t.Errorf("only %d commands found", tried)
	}
}

var link = regexp.MustCompile(`\]\(([^)#]+)`)

func TestLinksLeadSomewhere(t *testing.T) {
	for _, p := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(p.text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(p.name), m[1])); err != nil {
				t.Errorf("%s: %v", p.name, err)
			}
		}
	}
}
