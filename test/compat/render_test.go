package compat

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/cli"
	"github.com/davit-dev/davit/internal/config/load"
)

// TestRenderedManifests compares `render` for every configuration below a folder, alone and with each of its profiles: as parsed objects in
// order. The images are made up: a tag and a digest for every artifact. The reference calls helm, kustomize and kubectl from PATH; without
// them it refuses what needs them, and there is less to compare.
func TestRenderedManifests(t *testing.T) {
	skaffold, source := reference(t), os.Getenv("DAVIT_COMPAT_FILES")
	if source == "" {
		t.Skip("set DAVIT_COMPAT_FILES to a checkout of the reference's source")
	}
	files := t.TempDir() // the reference writes beside what it renders
	if err := os.CopyFS(files, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	var count tally
	t.Run("all", func(t *testing.T) {
		for _, file := range configurations(t, files) {
			name, _ := filepath.Rel(files, file)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				for _, profile := range append([]string{""}, profiles(t, file)...) {
					t.Run(profile, func(t *testing.T) {
						compareRender(t, skaffold, &count, input{file: file, profile: profile}, "--offline", "-l", "team=compat")
					})
				}
			})
		}
	})
	t.Log(count.String())
	if count.of[equal] == 0 {
		t.Errorf("nothing below %s was rendered by both", source)
	}
}

// verdict is what became of one comparison.
type verdict string

const (
	equal       verdict = "equal"
	bothRefuse  verdict = "refused by both"
	onlyOurs    verdict = "rendered by davit only"
	differ      verdict = "different"
	onlyTheirs  verdict = "rendered by skaffold only"
	nothingMade verdict = "empty in both"
)

type tally struct {
	sync.Mutex
	of map[verdict]int
}

func (c *tally) add(v verdict) {
	c.Lock()
	defer c.Unlock()
	if c.of == nil {
		c.of = map[verdict]int{}
	}
	c.of[v]++
}

func (c *tally) String() string { return fmt.Sprint(c.of) }

func compareRender(t *testing.T, skaffold string, count *tally, in input, flags ...string) {
	t.Helper()
	v, why := renderBoth(t, skaffold, in, flags...)
	count.add(v)
	switch v {
	case differ, onlyTheirs:
		t.Errorf("%s: %s", v, why)
	case bothRefuse, onlyOurs:
		t.Logf("%s: %s", v, why)
	}
}

// renderBoth renders with both programs, davit first: the reference leaves what it makes beside the charts.
func renderBoth(t *testing.T, skaffold string, in input, flags ...string) (verdict, string) {
	t.Helper()
	dir, name := filepath.Split(in.file)
	dir = filepath.Clean(dir)
	home := t.TempDir()
	args := append([]string{"render", "-f", name, "--digest-source=tag", "-a", madeUpBuilds(t, in)}, flags...)
	if in.profile != "" {
		args = append(args, "-p", in.profile)
	}
	environ := append(os.Environ(), "HOME="+home, "KUBECONFIG="+filepath.Join(home, "none"), "SKAFFOLD_UPDATE_CHECK=false",
		"TEST_NS=compat", "FOO=foo", "ENV1=one") // of the reference's own tests

	var ours, ourErr bytes.Buffer
	w := cli.World{
		Stdout: &ours, Stderr: &ourErr, Stdin: strings.NewReader(""), Dir: dir, Home: home, CacheDir: filepath.Join(home, "cache"), Environ: environ, Now: time.Now,
	}
	code := cli.Main(w, args)

	var theirs []byte
	var theirErr bytes.Buffer
	var err error
	for range 10 { // where a hook changes manifests, the reference loses all of them now and then
		cmd := exec.CommandContext(t.Context(), skaffold, args...)
		theirErr.Reset()
		cmd.Dir, cmd.Env, cmd.Stderr = dir, environ, &theirErr
		if theirs, err = cmd.Output(); err != nil || len(theirs) > 0 || ours.Len() == 0 {
			break
		}
	}
	if said, rest, ok := bytes.Cut(theirs, []byte("\n")); ok && bytes.HasPrefix(said, []byte("--digest-source set to")) {
		theirs = rest // a sentence, among the manifests
	}
	switch {
	case err != nil && code != 0:
		return bothRefuse, fmt.Sprintf("\nskaffold: %s\ndavit: %s", theirErr.String(), ourErr.String())
	case err != nil:
		return onlyOurs, "\nskaffold: " + theirErr.String()
	case code != 0:
		return onlyTheirs, "\ndavit: " + ourErr.String()
	}
	their, our := objectsOf(theirs), objectsOf(ours.Bytes())
	if slices.ContainsFunc(their, func(o any) bool { _, broken := o.(string); return broken }) {
		return onlyOurs, "\nskaffold prints what hooks print among the manifests"
	}
	if found := differences(their, our); found != "" {
		return differ, found
	}
	if len(their) == 0 {
		return nothingMade, ""
	}
	return equal, ""
}

// madeUpBuilds writes what a build of all artifacts could have written.
func madeUpBuilds(t *testing.T, in input) string {
	t.Helper()
	type build struct {
		ImageName string `json:"imageName"`
		Tag       string `json:"tag"`
	}
	builds := []build{}
	dir, name := filepath.Split(in.file)
	o := load.Options{File: name, Dir: filepath.Clean(dir), Command: "render", Home: dir, LookupEnv: os.LookupEnv, ViewOnly: true}
	if in.profile != "" {
		o.Profiles = strings.Split(in.profile, ",")
	}
	configs, _ := load.Load(t.Context(), o) // what is wrong with the file is compared afterwards
	for _, c := range configs {
		for _, a := range c.Model.Build.Artifacts {
			made := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(a.Image), "-")
			tag := fmt.Sprintf("registry.example.com/team/%s:v1@sha256:%x", strings.Trim(made, "-"), sha256.Sum256([]byte(a.Image)))
			builds = append(builds, build{a.Image, tag})
		}
	}
	text, err := json.Marshal(map[string]any{"builds": builds})
	file := filepath.Join(t.TempDir(), "build.json")
	if err = errors.Join(err, os.WriteFile(file, text, 0o600)); err != nil {
		t.Fatal(err)
	}
	return file
}

// objectsOf parses manifests; of a List the items count, one by one.
func objectsOf(text []byte) []any {
	var all []any
	for _, doc := range parse(text) {
		object, _ := doc.(map[string]any)
		kind, _ := object["kind"].(string)
		if items, ok := object["items"].([]any); ok && strings.HasSuffix(kind, "List") {
			all = append(all, items...)
			continue
		}
		if doc != nil {
			all = append(all, doc)
		}
	}
	return plainNumbers(all).([]any)
}

// plainNumbers makes one type of numbers, as JSON has it: 1e3 and 1000 are the same.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = plainNumbers(value)
		}
	case []any:
		for i, value := range v {
			v[i] = plainNumbers(value)
		}
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case uint64:
		return float64(v)
	}
	return v
}

// differences says what differs between objects, less what is meant to.
func differences(theirs, ours []any) string {
	if len(theirs) != len(ours) {
		return fmt.Sprintf("skaffold has %d objects, davit %d:\n%s\n%s", len(theirs), len(ours), names(theirs), names(ours))
	}
	var found []string
	for i := range theirs {
		var of []string
		diff(fmt.Sprintf("object %d, %s", i, names(theirs[i:i+1])), theirs[i], meant(theirs[i], ours[i]), &of)
		slices.Sort(of)
		found = append(found, of...)
	}
	return strings.Join(found, "\n")
}

func names(objects []any) string {
	var all []string
	for _, o := range objects {
		object, _ := o.(map[string]any)
		metadata, _ := object["metadata"].(map[string]any)
		all = append(all, fmt.Sprintf("%v/%v", object["kind"], metadata["name"]))
	}
	return strings.Join(all, " ")
}

// meant gives what davit made with those differences taken back that are there on purpose. All of them are here, and in docs/differences.md.
func meant(theirs, ours any) any {
	switch our := ours.(type) {
	case map[string]any:
		their, _ := theirs.(map[string]any)
		for key, value := range our {
			our[key] = meant(their[key], value)
		}
	case []any:
		their, _ := theirs.([]any)
		for i, value := range our {
			if i < len(their) {
				our[i] = meant(their[i], value)
			}
		}
	case string:
		// A text at the end of a document keeps its last line break; the reference takes it for a part of the separator.
		if their, ok := theirs.(string); ok && our == their+"\n" {
			return their
		}
		// The label of kustomize --enable-managedby-label names the program; the library is the same.
		if their, ok := theirs.(string); ok && strings.HasPrefix(our, "kustomize-") && strings.HasPrefix(their, "kustomize-") {
			return their
		}
		// The digest of an image survives charts that put it together from repository and tag.
		if their, ok := theirs.(string); ok && strings.HasPrefix(our, their+"@sha256:") {
			return their
		}
	}
	return ours
}
