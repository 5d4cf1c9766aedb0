package compat

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestRandomConfigurations compares `diagnose --yaml-only` for files that chance makes: modules that require each other in every way, circles and
// names that are not there included, and profiles with activations and patches, many of which do not fit.
func TestRandomConfigurations(t *testing.T) {
	skaffold := os.Getenv("DAVIT_COMPAT_SKAFFOLD")
	if skaffold == "" {
		t.Skip("set DAVIT_COMPAT_SKAFFOLD to a skaffold v2.24 binary")
	}
	home := t.TempDir()
	var group sync.WaitGroup
	slots := make(chan bool, 2)
	for seed := range uint64(200) {
		dice := dice{rand.New(rand.NewPCG(seed, 1))}
		in := dice.modules(t)
		if seed%2 == 0 {
			in = dice.profiles(t)
		}
		slots <- true
		group.Go(func() {
			if d := in.compare(t, skaffold, home); d != "" {
				text, _ := os.ReadFile(in.file)
				t.Errorf("seed %d, profiles %q, module %q: %s\n%s", seed, in.profile, in.module, d, text)
			}
			<-slots
		})
	}
	group.Wait()
}

// dice makes texts by chance.
type dice struct{ *rand.Rand }

func (d dice) of(texts ...string) string { return texts[d.IntN(len(texts))] }

// maybe gives a text in percent of the cases.
func (d dice) maybe(percent int, format string, args ...any) string {
	if d.IntN(100) < percent {
		return fmt.Sprintf(format, args...)
	}
	return ""
}

const head = "apiVersion: skaffold/v4beta14\nkind: Config\n"

func write(t *testing.T, dir, text string) string {
	t.Helper()
	file := filepath.Join(dir, "skaffold.yaml")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// modules writes up to five files of one or two configs, and starts at the first.
func (d dice) modules(t *testing.T) input {
	dir, count := t.TempDir(), 2+d.IntN(4)
	for i := range count {
		var docs []string
		for j := range 1 + d.IntN(2) {
			var b strings.Builder
			b.WriteString(head + d.maybe(80, "metadata: {name: m%d%d}\n", i, j))
			fmt.Fprintf(&b, "build: {artifacts: [{image: i%d%d, context: c}]}\nprofiles:\n- {name: p, build: {artifacts: [{image: p%d%d}]}}\n", i, j, i, j)
			b.WriteString(d.maybe(60, "- {name: q, activation: [{command: %s}], manifests: {rawYaml: [q%d.yaml]}}\n", d.of("diagnose", "run", "'!run'"), i))
			b.WriteString("requires:\n")
			for range d.IntN(3) {
				to := min(i+1+d.IntN(2), count-1)
				if d.IntN(5) == 0 {
					to = d.IntN(count)
				}
				fmt.Fprintf(&b, "- path: ../%d%s\n", to, d.of("", "/skaffold.yaml"))
				b.WriteString(d.maybe(40, "  configs: [%s]\n", d.of(fmt.Sprintf("m%d0", to), fmt.Sprintf("m%d1", to), "none")))
				b.WriteString(d.maybe(40, "  activeProfiles: [{name: %s%s}]\n", d.of("p", "q"), d.of("", ", activatedBy: [p]", ", activatedBy: [q]")))
			}
			docs = append(docs, b.String())
		}
		write(t, filepath.Join(dir, fmt.Sprint(i)), strings.Join(docs, "---\n"))
	}
	return input{filepath.Join(dir, "0", "skaffold.yaml"), d.of("", "", "p", "q", "p,q", "-p", "p,-q"), d.of("", "", "m00", "m10", "m21", "none")}
}

// profiles writes one file with profiles over much of what they can change.
func (d dice) profiles(t *testing.T) input {
	part := func() string {
		return d.maybe(60, "  build: {artifacts: [{image: i0, %s}, {image: i1, context: c}], %s}\n",
			d.of("docker: {buildArgs: {K: v}}", "ko: {env: [A=1]}", "custom: {buildCommand: x}", "jib: {args: [-q]}"),
			d.of("local: {push: true}", "googleCloudBuild: {projectId: p}", "tagPolicy: {sha256: {}}", "platforms: [linux/amd64]", "insecureRegistries: [r]")) +
			d.maybe(50, "  deploy: {%s}\n", d.of("kubectl: {flags: {apply: [--a]}}", "helm: {releases: [{name: r, chartPath: c, setValues: {a.b: c}}]}", "statusCheck: false", "kubeContext: k")) +
			d.maybe(50, "  manifests: {%s}\n", d.of("rawYaml: [a.yaml, b.yaml]", "rawYaml: []", "kustomize: {paths: [k]}", "helm: {releases: [{name: h, chartPath: c}]}"))
	}
	path := func() string {
		return d.of("/build/artifacts/0/image", "/build/artifacts/0/docker/buildArgs/K", "/build/artifacts/1", "/build/artifacts/-", "/build/artifacts/image=i1/context",
			"/deploy/kubectl", "/deploy/statusCheck", "/manifests/rawYaml/0", "/manifests/rawYaml/-", "/build/local/push", "/build/tagPolicy", "/deploy/helm/releases/0/setValues/a.b", "/metadata/name")
	}
	text := head + "metadata: {name: m}\n" + strings.ReplaceAll(part(), "\n  ", "\n")
	text = strings.ReplaceAll(text, "\n  ", "\n") + "profiles:\n"
	for _, name := range []string{"p", "q", "r"} {
		text += "- name: " + name + "\n" + part()
		text += d.maybe(40, "  activation: [%s]\n", d.of("{command: diagnose}", "{command: '!run'}", "{env: NONE=}", "{env: NONE=x}", "{kubeContext: '!k'}", "{command: diagnose}, {env: NONE=x}"))
		text += d.maybe(15, "  requiresAllActivations: true\n")
		if d.IntN(2) == 0 {
			text += "  patches:\n"
			for range 1 + d.IntN(2) {
				text += fmt.Sprintf("  - {op: %s, path: %s, from: %s, value: %s}\n", d.of("add", "remove", "replace", "test", "move", "copy"), path(), path(), d.of("s", "3", "true", "{image: n}", "[l]", "i0"))
			}
		}
	}
	return input{file: write(t, t.TempDir(), text), profile: d.of("", "p", "q,p", "p,q,r", "-p", "q,-r")}
}
