//go:build unix

package kpt_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/deploy/kpt"
	"github.com/davit-dev/davit/internal/event"
)

// script stands in for kpt, which cannot be installed everywhere: it writes what kpt writes into a package, and down how it was called.
const script = `#!/bin/sh
echo "$@" >> "$CALLS"
case "$1 $2" in
"pkg init") echo "apiVersion: kpt.dev/v1" > "$3/Kptfile";;
"live init") echo "kind: ResourceGroup" > "$3/resourcegroup.yaml";;
"live apply")
	case "$*" in *--dry-run*)
		echo '{"group":"","kind":"ConfigMap","name":"one","namespace":"ns","status":"Successful","type":"apply"}'
		echo '{"group":"apps","kind":"Deployment","name":"two","namespace":"ns","status":"Successful","type":"prune"}'
		echo '{"action":"Prune","count":1,"status":"Finished","type":"group"}';;
	esac
	if grep -qsx skip "$3/manifests.yaml"; then echo "configmap/two apply skipped: inventory policy prevented actuation"; fi
	echo "configmap/one apply successful"; [ -z "$FAIL" ] || { echo "inventory mismatch"; exit 3; };;
esac
`

func TestApplyAndDestroy(t *testing.T) {
	bin, calls := filepath.Join(t.TempDir(), "kpt"), filepath.Join(t.TempDir(), "calls")
	if err := os.WriteFile(bin, []byte(script), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	o := kpt.Options{
		LookPath: func(string) (string, error) { return bin, nil }, Environ: append(os.Environ(), "CALLS="+calls), Cluster: []string{"--context", "here"},
		Sink: event.SinkFunc(func(event.Event) {}),
	}
	dir := filepath.Join(t.TempDir(), "package")
	p := kpt.Package{Dir: dir, File: "manifests.yaml", Name: "shop", InventoryID: "id", Namespace: "ns", Flags: []string{"--flag"}, ApplyFlags: []string{"--server-side"}}
	if err := kpt.Destroy(t.Context(), p, o); err == nil || !strings.Contains(err.Error(), "has no inventory: run davit delete where davit run was run") {
		t.Errorf("without an inventory: %v", err)
	}
	planned, err := kpt.Preview(t.Context(), p, []byte("none"), o)
	if want := "[{ ConfigMap ns one apply Successful } {apps Deployment ns two prune Successful }]"; err != nil || fmt.Sprint(planned) != want {
		t.Errorf("planned is %v (%v), want %s", planned, err, want)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a preview made the package")
	}
	if err := os.Remove(calls); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "second"} {
		if err := kpt.Apply(t.Context(), p, []byte(text), o); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "manifests.yaml")); err != nil || string(got) != text {
			t.Errorf("the manifests are %q (%v)", got, err)
		}
	}
	if err := kpt.Destroy(t.Context(), p, o); err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(`pkg init DIR
live init DIR --flag --name shop --inventory-id id --namespace ns --context here
live apply DIR --flag --server-side --context here
live apply DIR --flag --server-side --context here
live destroy DIR --flag --context here
`, "DIR", dir)
	if got, err := os.ReadFile(calls); err != nil || string(got) != want {
		t.Errorf("kpt was called (%v)\n%s\nwant\n%s", err, got, want)
	}

	if err := kpt.Apply(t.Context(), p, []byte("skip"), o); err == nil || !strings.Contains(err.Error(), "\n  configmap/two apply skipped: inventory policy") {
		t.Errorf("an object that kpt leaves out: %v", err)
	}
	o.Environ = append(o.Environ, "FAIL=1")
	err = kpt.Apply(t.Context(), p, nil, o)
	for _, want := range []string{"kpt live apply " + dir, "exit status 3", "--inventory-policy=adopt in deploy.kpt.applyFlags", "\n  inventory mismatch"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v\nwant %s", err, want)
		}
	}
	o.LookPath = func(string) (string, error) { return "", errors.New("not on the PATH") }
	if err := kpt.Apply(t.Context(), p, nil, o); err == nil || !strings.Contains(err.Error(), "deploy.kpt needs the kpt command: not on the PATH: install it") {
		t.Errorf("without kpt: %v", err)
	}
}
