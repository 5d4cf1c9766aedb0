package lint_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/config/lint"
	"github.com/davit-dev/davit/internal/config/load"
)

// found gives the rules and lines that are found in a Dockerfile whose context has 1001 files below many.
func found(t *testing.T, dockerfile, ignore string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"skaffold.yaml": "apiVersion: skaffold/v4beta14\nkind: Config\nbuild: {artifacts: [{image: a, docker: {buildArgs: {MINE: many}}}, {image: b}]}\n",
		"Dockerfile":    dockerfile, ".dockerignore": ignore, ".git/config": "", "few/a": "",
	}
	for i := range 1001 {
		files[fmt.Sprintf("many/%d", i)] = ""
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	configs, err := load.Load(t.Context(), load.Options{Dir: dir, Command: "lint"})
	if err != nil {
		t.Fatal(err)
	}
	results, err := lint.Run(t.Context(), configs, dir)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range results {
		lines = append(lines, fmt.Sprintf("%s %s:%d-%d", r.Rule.RuleID, r.RelFilePath, r.StartLine, r.EndLine))
	}
	return strings.Join(lines, "; ")
}

func TestDockerfiles(t *testing.T) {
	for name, test := range map[string]struct{ dockerfile, ignore, want string }{
		"all":                 {"FROM scratch\nCOPY . /\n", "", "ID000004 Dockerfile:2-3; ID000005 Dockerfile:2-3"},
		"several lines":       {"FROM scratch\nADD few many \\\n  /x/\n", "", "ID000004 Dockerfile:2-4"},
		"wildcard":            {"FROM scratch\nCOPY man* /\n", "", "ID000004 Dockerfile:2-3"},
		"few":                 {"FROM scratch\nCOPY few /\n", "", ""},
		"ignored":             {"FROM scratch\nCOPY . /\n", "many\n.git\n", ""},
		"ignored but for":     {"FROM scratch\nCOPY . /\n", "*\n!many\n", "ID000004 Dockerfile:2-3"},
		"of another stage":    {"FROM scratch AS a\nFROM scratch\nCOPY --from=a many /\n", "", ""},
		"from the network":    {"FROM scratch\nADD https://example.com/many /\n", "", ""},
		"here-document":       {"FROM scratch\nCOPY <<EOF /x\nmany\nEOF\n", "", ""},
		"what is not there":   {"FROM scratch\nCOPY none /\n", "", ""},
		"one file of many":    {"FROM scratch\nCOPY many/7 /\n", "", ""},
		"variables":           {"ARG WHAT=many\nFROM scratch AS base\nARG WHAT\nENV X=fe\nFROM base\nARG WHAT\nCOPY $WHAT /\nCOPY ${X}w /\n", "", "ID000004 Dockerfile:7-8"},
		"variables of others": {"FROM scratch\nARG MINE=few\nCOPY $MINE /\nCOPY man${UNKNOWN}y /\n", "", "ID000004 Dockerfile:3-4; ID000004 Dockerfile:4-5"},
		"exec form of paths":  {"FROM scratch\nCOPY [\"many\", \"/\"]\n", "", "ID000004 Dockerfile:2-3"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := found(t, test.dockerfile, test.ignore); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
