// Package compat runs the same input through Skaffold and davit and compares what comes out.
//
// It needs the reference, which is not in this repository:
//
//	DAVIT_COMPAT_SKAFFOLD=/path/to/skaffold DAVIT_COMPAT_FILES=/path/to/its/checkout go test ./test/compat -v
package compat

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config/load"
)

// TestEffectiveConfiguration compares `diagnose --yaml-only` for every configuration below a folder, alone
// and with each of its profiles: as parsed YAML where both accept it, by verdict where one does not.
func TestEffectiveConfiguration(t *testing.T) {
	skaffold, files := os.Getenv("DAVIT_COMPAT_SKAFFOLD"), os.Getenv("DAVIT_COMPAT_FILES")
	if skaffold == "" || files == "" {
		t.Skip("set DAVIT_COMPAT_SKAFFOLD to a skaffold v2.24 binary and DAVIT_COMPAT_FILES to a checkout of its source")
	}
	home := t.TempDir()
	var cases []input
	for _, file := range configurations(t, files) {
		cases = append(cases, input{file: file})
		for _, p := range profiles(t, file) {
			cases = append(cases, input{file: file, profile: p})
		}
	}
	if len(cases) == 0 {
		t.Fatalf("no configuration below %s", files)
	}
	differences := make([]string, len(cases))
	var group sync.WaitGroup
	slots := make(chan bool, 2)
	for i, c := range cases {
		slots <- true
		group.Go(func() {
			differences[i] = c.compare(t, skaffold, home)
			<-slots
		})
	}
	group.Wait()
	equal := 0
	for i, d := range differences {
		if d == "" {
			equal++
			continue
		}
		t.Logf("%s, profile %q: %s", cases[i].file, cases[i].profile, d)
	}
	t.Logf("%d of %d equal", equal, len(cases))
	if equal*100 < len(cases)*99 {
		t.Errorf("fewer than 99 in 100 are equal")
	}
}

// input is a file, the profiles to activate with commas between them, and a module to keep, as the flags take them.
type input struct{ file, profile, module string }

// compare gives what differs; empty where nothing does.
func (c input) compare(t *testing.T, skaffold, home string) string {
	dir, name := filepath.Split(c.file)
	args := []string{"diagnose", "--yaml-only", "-f", name}
	options := load.Options{File: name, Dir: filepath.Clean(dir), Command: "diagnose", Home: home, LookupEnv: os.LookupEnv, ViewOnly: true}
	if c.profile != "" {
		args = append(args, "-p", c.profile)
		options.Profiles = strings.Split(c.profile, ",")
	}
	if c.module != "" {
		args = append(args, "-m", c.module)
		options.Modules = []string{c.module}
	}
	cmd := exec.CommandContext(t.Context(), skaffold, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+home, "KUBECONFIG="+filepath.Join(home, "none"), "SKAFFOLD_UPDATE_CHECK=false")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	theirs, theirErr := cmd.Output()

	configs, ourErr := load.Load(t.Context(), options)
	switch {
	case theirErr != nil && ourErr != nil:
		return ""
	case theirErr != nil:
		return "only skaffold refuses it: " + stderr.String()
	case ourErr != nil:
		return "only davit refuses it: " + ourErr.Error()
	}
	ours, err := load.Effective(configs)
	if err != nil {
		return err.Error()
	}
	var found []string
	diff("", parse(theirs), parse(ours), &found)
	slices.Sort(found)
	return strings.Join(found, "; ")
}

// configurations finds the files that say they are one.
func configurations(t *testing.T, root string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(path)) {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte("apiVersion: skaffold/")) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// profiles names the profiles of a file, each once.
func profiles(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc struct{ Profiles []struct{ Name string } }
		if decoder.Decode(&doc) != nil {
			return names
		}
		for _, p := range doc.Profiles {
			if p.Name != "" && !slices.Contains(names, p.Name) {
				names = append(names, p.Name)
			}
		}
	}
}

func parse(text []byte) []any {
	var docs []any
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc any
		if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
			return docs
		} else if err != nil {
			return append(docs, err.Error())
		}
		docs = append(docs, doc)
	}
}

func diff(path string, theirs, ours any, found *[]string) {
	if reflect.DeepEqual(theirs, ours) {
		return
	}
	theirMap, isMap := theirs.(map[string]any)
	ourMap, both := ours.(map[string]any)
	if isMap && both {
		for key := range theirMap {
			diff(path+"."+key, theirMap[key], ourMap[key], found)
		}
		for key := range ourMap {
			if _, known := theirMap[key]; !known {
				diff(path+"."+key, nil, ourMap[key], found)
			}
		}
		return
	}
	theirList, isList := theirs.([]any)
	ourList, both := ours.([]any)
	if isList && both && len(theirList) == len(ourList) {
		for i := range theirList {
			diff(fmt.Sprintf("%s[%d]", path, i), theirList[i], ourList[i], found)
		}
		return
	}
	*found = append(*found, fmt.Sprintf("%s: skaffold has %v, davit %v", path, theirs, ours))
}
