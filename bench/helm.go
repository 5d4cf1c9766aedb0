package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// benchReleases is how many releases are deployed, of five objects each.
const benchReleases = 20

// helm compares how long Helm releases take to reach the cluster: those that are not there yet, once, and the same again. It needs helm on PATH, which the
// reference calls. No pods run.
func (b *bench) helm(ctx context.Context) error {
	if _, err := exec.LookPath("helm"); err != nil {
		return errors.New("the reference calls helm, which is not on PATH")
	}
	stop, err := b.prepare(ctx)
	if err != nil {
		return err
	}
	defer stop()
	var config strings.Builder
	config.WriteString("apiVersion: skaffold/v4beta13\nkind: Config\nmetadata: {name: bench}\ndeploy:\n  helm:\n    releases:\n")
	for i := range benchReleases {
		fmt.Fprintf(&config, "    - {name: shop-%d, chartPath: chart, setValues: {number: %[1]d}}\n", i)
	}
	files := map[string]string{
		"skaffold.yaml":     config.String(),
		"chart/Chart.yaml":  "apiVersion: v2\nname: shop\nversion: 0.1.0\n",
		"chart/values.yaml": "number: 0\n",
		"chart/templates/all.yaml": strings.ReplaceAll(serviceManifest(0, "first"), "service-0", "{{ .Release.Name }}") + `---
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}"}
data: {number: {{ .Values.number | quote }}}
---
apiVersion: v1
kind: Secret
metadata: {name: "{{ .Release.Name }}"}
stringData: {number: {{ .Values.number | quote }}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: "{{ .Release.Name }}"}
`,
	}
	return b.withObjects(ctx, "helm", files, func(ref, own side) error {
		once, few := *b, *b
		once.rounds, few.rounds = 1, min(b.rounds, 3)
		if err := once.compare(ctx, fmt.Sprintf("%d Helm releases, first", benchReleases), ref, own, nil, "run"); err != nil {
			return err
		}
		return few.compare(ctx, fmt.Sprintf("%d Helm releases, again", benchReleases), ref, own, nil, "run")
	})
}
