package compat

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/cli"
	"github.com/davit-dev/davit/internal/config/load"
	"github.com/davit-dev/davit/internal/plan"
)

// reference is the Skaffold binary; tests that need it are skipped without.
func reference(t *testing.T) string {
	t.Helper()
	skaffold := os.Getenv("DAVIT_COMPAT_SKAFFOLD")
	if skaffold == "" {
		t.Skip("set DAVIT_COMPAT_SKAFFOLD to a skaffold v2.24 binary")
	}
	return skaffold
}

const twoArtifacts = `apiVersion: skaffold/v4beta14
kind: Config
build:
  tagPolicy: {inputDigest: {}}
  artifacts:
  - {image: example.com/web, context: web}
  - {image: api, context: api}
requires: [{path: lib}]
`

// TestBuildOutput compares what `build` prints and writes for programs.
func TestBuildOutput(t *testing.T) {
	skaffold := reference(t)
	dir, home := t.TempDir(), t.TempDir()
	files := map[string]string{
		"skaffold.yaml":     twoArtifacts,
		"lib/skaffold.yaml": "apiVersion: skaffold/v4beta14\nkind: Config\nbuild: {tagPolicy: {inputDigest: {}}, artifacts: [{image: lib}, {image: tool, context: ../tool}]}\n",
	}
	for _, name := range []string{"web", "api", "lib", "tool"} {
		files[name+"/Dockerfile"], files[name+"/file"] = "FROM scratch\nCOPY file /\n", name
	}
	writeFiles(t, dir, files)
	environ := append(os.Environ(), "HOME="+home, "KUBECONFIG="+filepath.Join(home, "none"), "SKAFFOLD_UPDATE_CHECK=false")
	for _, flags := range [][]string{
		{}, {"-t", "v1"}, {"-b", "web"}, {"-d", "registry.example.com/team"}, {"--push=false"}, {"-b", "api,web", "-t", "v2"},
		{"-o", "{{range .Builds}}{{.ImageName}} {{.Tag}}\n{{end}}"}, {"-o", "{{json .Builds}}"}, {"--platform", "linux/amd64"},
	} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			args := append([]string{"build", "-q", "--dry-run"}, flags...)
			theirs, ours := filepath.Join(home, "theirs"), filepath.Join(home, "ours")
			cmd := exec.CommandContext(t.Context(), skaffold, append(args, "--file-output", theirs)...)
			cmd.Dir, cmd.Env = dir, environ
			printed, err := cmd.Output()
			if err != nil {
				t.Fatalf("skaffold: %v", err)
			}
			var out, errs bytes.Buffer
			w := cli.World{Stdout: &out, Stderr: &errs, Dir: dir, Home: home, CacheDir: filepath.Join(home, "cache"), Environ: environ, Now: time.Now}
			if code := cli.Main(w, append(args, "--file-output", ours)); code != 0 {
				t.Fatalf("davit: %s", errs.String())
			}
			if !bytes.Equal(printed, out.Bytes()) {
				t.Errorf("skaffold prints %s\ndavit prints %s", printed, out.String())
			}
			if a, b := readFile(t, theirs), readFile(t, ours); a != b {
				t.Errorf("skaffold writes %s\ndavit writes %s", a, b)
			}
		})
	}
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// nodes is an API server that has nodes of these platforms and nothing else, as a kubeconfig.
func nodes(t *testing.T, platforms []string) string {
	t.Helper()
	var items []string
	for i, p := range platforms {
		system, architecture, _ := strings.Cut(p, "/")
		items = append(items, fmt.Sprintf(`{"metadata":{"name":"node%d"},"status":{"nodeInfo":{"operatingSystem":%q,"architecture":%q}}}`, i, system, architecture))
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/api/v1/nodes" {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
			return
		}
		fmt.Fprintf(w, `{"kind":"NodeList","apiVersion":"v1","items":[%s]}`, strings.Join(items, ","))
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: %q}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n", server.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

var selected = regexp.MustCompile(`platforms selected for artifact \\"([^"]*)\\": \\"([^"]*)\\"`)

// TestPlatforms compares for which platforms artifacts are built, by nodes, flags and config.
func TestPlatforms(t *testing.T) {
	skaffold := reference(t)
	home := t.TempDir()
	for _, config := range []string{"", "platforms: [linux/arm64]", "platforms: [linux/s390x, linux/amd64]", "platforms: [all]"} {
		for _, here := range [][]string{nil, {"linux/amd64"}, {"linux/amd64", "linux/arm64"}} {
			for _, flag := range []string{"", "linux/arm64", "all", "linux/amd64,linux/s390x"} {
				for _, one := range []bool{false, true} {
					t.Run(fmt.Sprint(config, here, flag, one), func(t *testing.T) {
						text := "apiVersion: skaffold/v4beta14\nkind: Config\nbuild:\n  " + config + `
  tagPolicy: {sha256: {}}
  artifacts:
  - {image: any, custom: {buildCommand: make}}
  - {image: arm, custom: {buildCommand: make}, platforms: [linux/arm64]}
  - {image: both, custom: {buildCommand: make}, platforms: [linux/amd64, linux/arm64]}
`
						dir := t.TempDir()
						writeFiles(t, dir, map[string]string{"skaffold.yaml": text})
						theirs := skaffoldPlatforms(t, skaffold, dir, home, nodes(t, here), flag, one, len(here) > 0)
						if ours := davitPlatforms(t, dir, flag, here, one); !reflect.DeepEqual(theirs, ours) {
							t.Errorf("skaffold: %v\ndavit: %v", theirs, ours)
						}
					})
				}
			}
		}
	}
}

// skaffoldPlatforms reads them from Skaffold's debug log; nil when it refuses.
func skaffoldPlatforms(t *testing.T, skaffold, dir, home, kubeconfig, flag string, one, check bool) map[string]string {
	t.Helper()
	args := []string{"build", "--dry-run", "-v", "debug", fmt.Sprintf("--check-cluster-node-platforms=%v", check), fmt.Sprintf("--disable-multi-platform-build=%v", one)}
	if flag != "" {
		args = append(args, "--platform", flag)
	}
	cmd := exec.CommandContext(t.Context(), skaffold, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+home, "KUBECONFIG="+kubeconfig, "SKAFFOLD_UPDATE_CHECK=false")
	log, err := cmd.CombinedOutput()
	if bytes.Contains(log, []byte("do not match platform constraints")) {
		return nil
	}
	found := map[string]string{}
	for _, m := range selected.FindAllSubmatch(log, -1) {
		found[string(m[1])] = string(m[2])
	}
	if len(found) != 3 {
		t.Fatalf("skaffold %v: %v\n%s", args, err, log)
	}
	return found
}

func davitPlatforms(t *testing.T, dir, flag string, here []string, one bool) map[string]string {
	t.Helper()
	configs, err := load.Load(t.Context(), load.Options{Dir: dir, Command: "build"})
	if err != nil {
		t.Fatal(err)
	}
	facts := plan.PlatformFacts{Nodes: here, Host: "linux/amd64", OneOnly: one}
	if flag != "" {
		facts.Flag = strings.Split(flag, ",")
	}
	found := map[string]string{}
	for i, a := range configs[0].Model.Build.Artifacts {
		platforms, _, err := plan.Platforms(configs[0], i, facts)
		if err != nil {
			return nil
		}
		found[a.Image] = strings.Join(platforms, ",")
	}
	return found
}
