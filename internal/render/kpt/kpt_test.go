//go:build linux

package kpt_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/render/kpt"
)

var quiet = event.SinkFunc(func(event.Event) {})

// objects reads manifests that the test itself wrote.
func objects(t *testing.T, text string) []manifest.Object {
	t.Helper()
	all, err := manifest.Parse("k8s/web.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func text(t *testing.T, all []manifest.Object) string {
	t.Helper()
	var b strings.Builder
	if err := manifest.Stream(&b, all); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// standIn is a script in the place of the kpt command: it says what it was called with, and prints output of its own.
func standIn(t *testing.T, script string) kpt.Options {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "kpt"), []byte("#!/bin/sh\necho \"$@\" > "+dir+"/args\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return kpt.Options{Dir: dir, Environ: os.Environ(), LookPath: func(string) (string, error) { return filepath.Join(dir, "kpt"), nil }}
}

func called(t *testing.T, o kpt.Options) string {
	t.Helper()
	args, err := os.ReadFile(filepath.Join(o.Dir, "args"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.TrimSpace(string(args)), o.Dir, "DIR")
}

const pkg = `apiVersion: kpt.dev/v1
kind: Kptfile
metadata: {name: pkg}
---
# stays
apiVersion: v1
kind: ConfigMap
metadata:
  name: a # so does this
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  annotations: {config.kubernetes.io/local-config: "true"}
`

const rendered = "# stays\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a # so does this\n"

func TestPackage(t *testing.T) {
	o := standIn(t, "cat <<'END'\n"+pkg+"END\n")
	all, err := kpt.Render(t.Context(), "pkg", o, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if got := text(t, all); got != rendered {
		t.Errorf("got\n%s", got)
	}
	if got, want := called(t, o), "fn render DIR/pkg -o unwrap"; got != want {
		t.Errorf("called with %s, want %s", got, want)
	}
	if got := all[0].Origin(); got != "kpt package pkg" {
		t.Errorf("origin %s", got)
	}
	for script, want := range map[string]string{
		"echo 'no Kptfile here' >&2; exit 1": "kpt package pkg: kpt fn render failed: no Kptfile here",
		"echo 'a: ['":                        "kpt package pkg",
	} {
		if _, err := kpt.Render(t.Context(), "pkg", standIn(t, script), quiet); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", script, err)
		}
	}
	o.LookPath = func(string) (string, error) { return "", exec.ErrNotFound }
	if _, err := kpt.Render(t.Context(), "pkg", o, quiet); err == nil || !strings.Contains(err.Error(), "install kpt") {
		t.Errorf("without kpt: %v", err)
	}
}

// TestRealPackage renders with the kpt command that DAVIT_COMPAT_KPT names.
func TestRealPackage(t *testing.T) {
	binary := os.Getenv("DAVIT_COMPAT_KPT")
	if binary == "" {
		t.Skip("set DAVIT_COMPAT_KPT to a kpt binary")
	}
	dir := t.TempDir()
	kptfile, rest, _ := strings.Cut(pkg, "---\n")
	for name, content := range map[string]string{"Kptfile": kptfile, "a.yaml": rest} {
		if err := os.MkdirAll(filepath.Join(dir, "pkg"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "pkg", name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := kpt.Options{Dir: dir, Environ: os.Environ(), LookPath: func(string) (string, error) { return binary, nil }}
	all, err := kpt.Render(t.Context(), "pkg", o, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if got := text(t, all); got != rendered {
		t.Errorf("got\n%s", got)
	}
}

func TestFunctionByCommand(t *testing.T) {
	f, err := kpt.Transformer("set-namespace", []string{"namespace:shop", "url:http://x:80"})
	if err != nil {
		t.Fatal(err)
	}
	o := standIn(t, "sed 's/name: a/name: b/'")
	all, err := kpt.Run(t.Context(), f, objects(t, "\n\n"+rendered), o, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if got := text(t, all); got != strings.Replace(rendered, "name: a", "name: b", 1) {
		t.Errorf("got\n%s", got)
	}
	if got := all[0].Origin(); got != "k8s/web.yaml:4" {
		t.Errorf("origin %s", got)
	}
	want := "fn eval -i ghcr.io/kptdev/krm-functions-catalog/set-namespace:v0.4.1 -o unwrap - -- namespace=shop url=http://x:80"
	if got := called(t, o); got != want {
		t.Errorf("called with %s, want %s", got, want)
	}
	o = standIn(t, "cat > /dev/null; echo 'it is broken' >&2; exit 1")
	if _, err := kpt.Run(t.Context(), f, all, o, quiet); err == nil || !strings.Contains(err.Error(), "function set-namespace: kpt fn eval failed: it is broken") {
		t.Errorf("error %v", err)
	}
}

func TestFunctionsThatAreNotKnown(t *testing.T) {
	if _, err := kpt.Transformer("kubeval", nil); err == nil || !strings.Contains(err.Error(), `transformer "kubeval" is not known: there are apply-setters, create-setters`) {
		t.Errorf("error %v", err)
	}
	if _, err := kpt.Validator("kubeconform", nil); err == nil || !strings.Contains(err.Error(), `validator "kubeconform" is not known: there are gatekeeper, kubeval`) {
		t.Errorf("error %v", err)
	}
	if _, err := kpt.Transformer("set-labels", []string{"a=b"}); err == nil || !strings.Contains(err.Error(), "key:value") {
		t.Errorf("error %v", err)
	}
}
