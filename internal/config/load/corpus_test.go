package load_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/load"
	"github.com/davit-dev/davit/internal/config/model"
)

var update = flag.Bool("update", false, "write what the corpus gives now as what it should give")

// TestCorpus loads every archive below testdata and compares what comes of it, the effective
// configuration or the errors, with the archive's file "want". The archive's comment may set options:
// lines such as "profiles: a,-b", "modules: m", "command: dev", "env: NAME=value", "view: true".
// Where it says "fix: VERSION", skaffold.yaml is upgraded instead.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input := map[string]string{}
			want := -1
			for i, f := range archive.Files {
				if f.Name == "want" {
					want = i
				} else {
					input[f.Name] = string(f.Data)
				}
			}
			got := outcome(t, string(archive.Comment), input)
			if *update {
				if want < 0 {
					archive.Files = append(archive.Files, txtar.File{Name: "want"})
					want = len(archive.Files) - 1
				}
				archive.Files[want].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want < 0 || got != string(archive.Files[want].Data) {
				t.Errorf("got:\n%s", got)
			}
		})
	}
}

// outcome is what a user would see.
func outcome(t *testing.T, comment string, files map[string]string) string {
	t.Helper()
	o := project(t, files)
	env := map[string]string{}
	fix, fixing := "", false
	for line := range strings.Lines(comment) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "profiles":
			o.Profiles = strings.Split(value, ",")
		case "modules":
			o.Modules = strings.Split(value, ",")
		case "command":
			o.Command = value
		case "context":
			o.CurrentContext = func() (string, error) { return value, nil }
		case "env":
			name, text, _ := strings.Cut(value, "=")
			env[name] = text
		case "view":
			o.ViewOnly = true
		case "no-auto-activation":
			o.NoAutoActivation = true
		case "no-propagation":
			o.NoPropagateProfiles = true
		case "fix":
			fix, fixing = value, true
		}
	}
	o.LookupEnv = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	var b bytes.Buffer
	if fixing {
		fixed, err := load.Fix(&diag.Source{File: "skaffold.yaml", Text: []byte(files["skaffold.yaml"])}, fix)
		if err != nil {
			return err.Error() + "\n"
		}
		for _, w := range fixed.Warnings {
			b.WriteString("# warning: " + strings.ReplaceAll(w.Error(), "\n", "\n# ") + "\n")
		}
		b.Write(fixed.Text)
		return b.String()
	}
	configs, err := load.Load(t.Context(), o)
	if err != nil {
		return strings.ReplaceAll(err.Error(), o.Dir, "$DIR") + "\n"
	}
	show(t, &b, configs)
	return strings.ReplaceAll(b.String(), o.Dir, "$DIR")
}

func show(t *testing.T, b *bytes.Buffer, configs []*config.Config) {
	t.Helper()
	e := yaml.NewEncoder(b)
	e.SetIndent(2)
	for _, c := range configs {
		c.Model.Profiles = nil
		n := model.Encode(c.Model)
		for _, w := range c.Warnings {
			n.HeadComment += "warning: " + w.Error() + "\n"
		}
		if len(configs) > 1 {
			n.HeadComment += "dir: " + c.Dir + "\n"
		}
		n.HeadComment = strings.TrimSpace(n.HeadComment)
		if err := e.Encode(n); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}
