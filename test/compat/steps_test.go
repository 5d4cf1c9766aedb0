package compat

import (
	"os"
	"path/filepath"
	"testing"
)

// TestStepsOfRendering compares what happens around rendering, each in a config of its own. Functions are a script in the place of kpt, which is the
// same for both programs.
func TestStepsOfRendering(t *testing.T) {
	skaffold := reference(t)
	const kpt = `#!/bin/sh
case "$*" in
*render*) printf 'apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata: {name: p}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: packaged\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: local, annotations: {config.kubernetes.io/local-config: "true"}}\n';;
*gatekeeper*) cat > /dev/null; echo 'no' >&2; exit 1;;
*) sed "s/^  name: .*/&-$#/";;
esac
`
	const head = "apiVersion: skaffold/v4beta13\nkind: Config\nbuild: {artifacts: [{image: web}]}\nmanifests:\n  rawYaml: [k8s/*.yaml]\n"
	for name, text := range map[string]string{
		"before":             "  hooks: {before: [{host: {command: [sh, -c, 'cp k8s/a.yaml k8s/b.yaml; sed -i s/one/two/ k8s/b.yaml']}}]}\n",
		"before in a folder": "  hooks: {before: [{host: {command: [sh, -c, 'sed s/one/two/ a.yaml > b.yaml'], dir: k8s}}]}\n",
		"before fails":       "  hooks: {before: [{host: {command: ['false']}}]}\n",
		"before elsewhere":   "  hooks: {before: [{host: {command: ['false'], os: [plan9]}}]}\n",
		"after reads":        "  hooks: {after: [{host: {command: [grep, 'sha256']}}]}\n",
		"after fails":        "  hooks: {after: [{host: {command: [grep, 'no such text']}}]}\n",
		"after changes":      "  hooks: {after: [{host: {command: [sed, 's/one/two/'], withChange: true}}, {host: {command: [sed, 's/two/three/'], withChange: true}}]}\n",
		"after says nothing": "  hooks: {after: [{host: {command: ['true'], withChange: true}}]}\n",
		"after sees":         "  hooks: {after: [{host: {command: [sh, -c, 'sed s,^data:,data:\\\\n\\ \\ ns:\\ x$SKAFFOLD_NAMESPACES$SKAFFOLD_KUBE_CONTEXT,'], withChange: true}}]}\n",
		"transform":          "  transform: [{name: set-labels, configMap: ['a:b']}, {name: set-namespace, configMap: ['namespace:x']}]\n",
		"transform unknown":  "  transform: [{name: nothing}]\n",
		"transform wrong":    "  transform: [{name: set-labels, configMap: ['a=b']}]\n",
		"validate":           "  validate: [{name: kubeval}]\n",
		"validate fails":     "  validate: [{name: gatekeeper}]\n",
		"validate unknown":   "  validate: [{name: kubeconform}]\n",
		"kpt":                "  kpt: [p]\n  transform: [{name: set-annotations, configMap: ['a:b']}]\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, content := range map[string]string{
				"skaffold.yaml": head + text, "bin/kpt": kpt, "p/Kptfile": "apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata: {name: p}\n",
				"k8s/a.yaml": "apiVersion: v1\nkind: Pod\nmetadata:\n  name: one\nspec: {containers: [{name: c, image: web}]}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\ndata:\n  a: one\n",
			} {
				path := filepath.Join(dir, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", filepath.Join(dir, "bin")+string(filepath.ListSeparator)+os.Getenv("PATH"))
			var count tally
			compareRender(t, skaffold, &count, input{file: filepath.Join(dir, "skaffold.yaml")})
			if count.of[onlyOurs] > 0 {
				t.Error("the reference refuses it")
			}
		})
	}
}
