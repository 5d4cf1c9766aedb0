package compat

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/cli"
	"github.com/davit-dev/davit/internal/manifest"
)

// foreign are the kinds of internal/manifest/testdata/kinds.yaml that Skaffold does not know.
var foreign = regexp.MustCompile(`(?m)^kind: (PodTemplate|ReplicationController|Configuration|Revision|GameServerSet|AnalysisTemplate|Experiment|VirtualMachine\w*|Task|Pipeline|` +
	`CloneSet|ScaledJob|PyTorchJob|RayCluster|SparkApplication|JobSet|Gadget)$|batch.volcano.sh`)

const placesOfTheirOwn = `---
apiVersion: example.com/v1
kind: Widget
metadata: {name: own}
spec:
  image: web
  engine: {picture: web, image: web}
  sidecars: [{image: web, nested: [{image: web}]}, {image: example.com/web}]
  pods: [{meta: {labels: {a: b}}}, {meta: {}}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: own, labels: {team: other}}
spec:
  template: {metadata: {labels: {app: own}}, spec: {containers: [{name: c, image: web}]}}
  volumeClaimTemplates: [{metadata: {name: disk, labels: {a: b}}}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: own, namespace: other}
spec: {template: {metadata: {labels: {app: own}}, spec: {containers: [{name: c, image: web}]}}}
`

// TestResourceSelector compares where images, labels and namespaces are set, by rules of the config and of a file.
func TestResourceSelector(t *testing.T) {
	skaffold := reference(t)
	text := readFile(t, filepath.Join("..", "..", "internal", "manifest", "testdata", "kinds.yaml"))
	var known []string
	for document := range strings.SplitSeq(text, "---\n") {
		if !foreign.MatchString(document) {
			known = append(known, document)
		}
	}
	objects := strings.Join(known, "---\n") + placesOfTheirOwn
	objects = strings.Replace(objects, "  kafkaExporter:\n    image: web # built\n", "", 1) // Skaffold's path of it has a dot too many
	for _, rules := range []string{
		"",
		"{allow: [{groupKind: Widget.example.com, image: [.spec.image]}]}",
		"{allow: [{groupKind: Widget.example.com, image: ['.*'], labels: ['.*']}]}",
		"{allow: [{groupKind: Widget.example.com, image: ['.spec.engine.*.picture', .spec.sidecars.image]}]}",
		"{allow: [{groupKind: Widget.example.com, image: [.spec.sidecars.nested.image], labels: [.spec.pods.meta.labels]}]}",
		"{allow: [{groupKind: Widget.example.com, labels: ['.spec.pods.*.meta.labels', .metadata.labels]}]}",
		"{allow: [{groupKind: Deployment.apps, image: [.spec.template.spec.containers.image]}]}",
		"{allow: [{groupKind: Deployment.apps, image: ['.*']}]}",
		"{allow: [{groupKind: Job.batch, image: ['.*'], labels: ['.*']}, {groupKind: StatefulSet.apps, labels: ['.*']}]}",
		"{deny: [{groupKind: Deployment.apps, image: ['.*']}]}",
		"{deny: [{groupKind: Deployment.apps, labels: ['.*']}, {groupKind: Pod, labels: ['.*']}]}",
		"{deny: [{groupKind: Deployment.apps, image: [.spec.template.spec.initContainers.image]}]}",
		"{deny: [{groupKind: StatefulSet.apps, labels: [.metadata.labels]}, {groupKind: Job.batch, labels: [.metadata.labels]}]}",
		"{allow: [{groupKind: Pod, image: ['.*']}], deny: [{groupKind: Pod, image: [.spec.containers.image]}]}",
		"{allow: [{groupKind: Pod, image: ['.*'], labels: ['.*']}], deny: [{groupKind: CronJob.batch, image: ['.*'], labels: ['.*']}]}",
	} {
		for _, inFile := range []bool{false, true} {
			name := rules
			args := []string{"render", "--digest-source", "tag", "-t", "v1", "-l", "team=x,tier=y", "-n", "shop"}
			config := "apiVersion: skaffold/v4beta13\nkind: Config\nbuild: {artifacts: [{image: web}]}\nmanifests: {rawYaml: [all.yaml]}\n"
			files := map[string]string{"all.yaml": objects, "Dockerfile": "FROM scratch\n"}
			switch {
			case inFile && rules == "":
				continue
			case inFile:
				name += " in a file"
				files["rules.yaml"] = rules
				args = append(args, "--resource-selector-rules-file", "rules.yaml")
			case rules != "":
				config += "resourceSelector: " + rules + "\n"
			}
			files["skaffold.yaml"] = config
			t.Run(name, func(t *testing.T) {
				dir, home := t.TempDir(), t.TempDir()
				writeFiles(t, dir, files)
				environ := append(os.Environ(), "HOME="+home, "KUBECONFIG="+filepath.Join(home, "none"), "SKAFFOLD_UPDATE_CHECK=false")
				cmd := exec.CommandContext(t.Context(), skaffold, args...)
				cmd.Dir, cmd.Env = dir, environ
				theirs, err := cmd.Output()
				if err != nil {
					t.Fatalf("skaffold: %v\n%s", err, theirs)
				}
				var out, errs bytes.Buffer
				w := cli.World{Stdout: &out, Stderr: &errs, Dir: dir, Home: home, Environ: environ, Now: time.Now}
				if code := cli.Main(w, args); code != 0 {
					t.Fatalf("davit: %s", errs.String())
				}
				a, b := parsed(t, theirs), parsed(t, out.Bytes())
				if len(a) != len(b) {
					t.Fatalf("skaffold has %d objects, davit %d", len(a), len(b))
				}
				for i := range a {
					if !reflect.DeepEqual(a[i], b[i]) {
						t.Errorf("skaffold: %v\ndavit:    %v", a[i], b[i])
					}
				}
			})
		}
	}
}

func parsed(t *testing.T, text []byte) []map[string]any {
	t.Helper()
	objects, err := manifest.Parse("rendered", text)
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for _, o := range objects {
		v, err := o.Value()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}
