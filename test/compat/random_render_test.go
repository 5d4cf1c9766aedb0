package compat

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRandomManifests compares `render` for manifests, kustomizations and charts that chance makes.
func TestRandomManifests(t *testing.T) {
	skaffold := reference(t)
	for kind, make := range map[string]func(dice, *testing.T) input{"raw": dice.raw, "kustomize": dice.kustomize, "charts": dice.charts, "projects": dice.projects} {
		t.Run(kind, func(t *testing.T) {
			var count tally
			t.Run("all", func(t *testing.T) {
				for seed := range uint64(120) {
					t.Run(fmt.Sprint(seed), func(t *testing.T) {
						t.Parallel()
						dice := dice{rand.New(rand.NewPCG(seed, 2))}
						in := make(dice, t)
						var flags []string
						for _, f := range [][]string{{"--offline"}, {"-n", "elsewhere"}, {"-l", "team=shop,on=yes"}, {"--set", "team=flag,extra.a=flag"}, {"--digest-source", "none"}} {
							if dice.IntN(3) == 0 && (f[0] != "--set" || !strings.Contains(readFile(t, in.file), "deploy:\n  helm:\n")) { // Skaffold leaves out charts of deploy.helm
								flags = append(flags, f...)
							}
						}
						compareRender(t, skaffold, &count, in, flags...)
						if t.Failed() {
							t.Logf("flags %q of %s", flags, dump(t, filepath.Dir(in.file)))
						}
					})
				}
			})
			t.Log(count.String())
		})
	}
}

// dump is the text of all files below a folder.
func dump(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			fmt.Fprintf(&all, "\n-- %s --\n%s", path, readFile(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

const artifactsOf = head + "build: {artifacts: [{image: web, context: web}, {image: example.com/team/api, context: api}, {image: 'ko://example.com/cmd/Tool', ko: {}}]}\n"

func (d dice) image() string {
	return d.of("web", "web", "web:old", "example.com/team/api", "example.com/team/api:v3", "ko://example.com/cmd/Tool", "nginx:1.25", "'web@sha256:"+strings.Repeat("a", 64)+"'",
		"web/web:web", "web:web", "other/web2", "'Not An Image'", "''", "3", "~", "{name: web}", "[web]", "'{{.Values.x}}'")
}

// scalar is a value as YAML has them.
func (d dice) scalar() string {
	return d.of("text", "'quoted'", `"two\nlines"`, "3", "-1", "0x1F", "0644", "1e3", ".5", "1.10", "true", "False", "yes", "'no'", "~", "null", "''", "2.0.0", "1_000", "0o17",
		"18446744073709551615", "é ü 日本", "'2020-01-01'", "a: b"[0:1], "'#no comment'", "12:30:45", "!!str 5", "!!int '7'", "\"\\u00e9\\t\"")
}

// mapping is the text of a mapping, in block style, below a key.
func (d dice) mapping(indent string, depth int) string {
	var b strings.Builder
	for i := range 1 + d.IntN(4) {
		key := d.of("image", "metadata", "labels", "containers", "template", "spec", "value", "other")
		if strings.Contains(b.String(), "\n"+indent+key+":") {
			key = fmt.Sprintf("key%d", i)
		}
		fmt.Fprintf(&b, "\n%s%s:", indent, key)
		switch kind := d.IntN(7); {
		case key == "image":
			b.WriteString(" " + d.image())
		case key == "labels":
			fmt.Fprintf(&b, " {app: web, tier: %s}", d.of("a", "b", "'5'"))
		case kind < 3 && depth > 0:
			b.WriteString(d.mapping(indent+"  ", depth-1))
		case kind < 5 && depth > 0:
			for range 1 + d.IntN(2) {
				item := d.mapping(indent+"  ", depth-1)
				b.WriteString("\n" + indent + "- " + strings.TrimSpace(item))
			}
		case kind == 5:
			b.WriteString(" " + d.of("|\n"+indent+"  some\n"+indent+"   text", ">-\n"+indent+"  folded\n"+indent+"  text", "[a, {b: c}]", "{}", "[]"))
		default:
			b.WriteString(" " + d.scalar() + d.maybe(20, " # a comment"))
		}
	}
	return b.String()
}

var kinds = []string{
	"v1 Pod", "v1 Service", "v1 ConfigMap", "v1 Namespace", "apps/v1 Deployment", "apps/v1 Deployment", "apps/v1 StatefulSet", "apps/v1 DaemonSet", "batch/v1 Job", "batch/v1 CronJob",
	"extensions/v1beta1 Deployment", "serving.knative.dev/v1 Service", "argoproj.io/v1alpha1 Workflow", "argoproj.io/v1alpha1 Rollout", "agones.dev/v1 Fleet",
	"platform.confluent.io/v1beta1 Kafka", "kafka.strimzi.io/v1 Kafka", "compute.cnrm.cloud.google.com/v1beta1 ComputeInstance", "run.googleapis.com/v1 Job", "example.com/v1 Widget",
}

func (d dice) object(name string) string {
	version, kind, _ := strings.Cut(d.of(kinds...), " ")
	var b strings.Builder
	fmt.Fprintf(&b, "%sapiVersion: %s\nkind: %s\nmetadata:\n  name: %s\n", d.maybe(20, "# about %s\n", name), version, kind, name)
	b.WriteString(d.maybe(30, "  namespace: %s\n", d.of("here", "elsewhere", "''", "~")) + d.maybe(40, "  labels: {app: web, team: %s}\n", d.of("shop", "other")))
	b.WriteString(d.maybe(20, "  annotations: {date: '2020-01-01', note: \"%s\"}\n", d.of("a b", "é", "x: y")))
	if d.IntN(4) > 0 {
		fmt.Fprintf(&b, "spec:\n  template:\n    metadata: {%s}\n    spec:\n      containers:\n      - name: main\n        image: %s\n        args: [%s]\n",
			d.of("", "labels: {app: web}", "annotations: {a: b}"), d.image(), d.scalar())
		b.WriteString(d.maybe(30, "      initContainers:\n      - {name: init, image: %s}\n", d.image()) + d.maybe(20, "      ephemeralContainers: [{name: look, image: %s}]\n", d.image()))
		b.WriteString(d.maybe(30, "  volumeClaimTemplates:\n  - metadata: {name: v}\n    spec: {a: b}\n"))
		b.WriteString(d.maybe(20, "  kafka: {image: %s}\n  image: {application: %s, init: %s}\n", d.image(), d.image(), d.image()))
	}
	b.WriteString(d.maybe(25, "shared: &shared%s\nagain:\n  <<: *shared\n  more: *shared\n", "\n  one: {image: web}\n  two: 2"))
	b.WriteString(d.maybe(20, "param: %s # from-param: %s\n", d.scalar(), d.of("${team}", "${team}-x", "is ${team} and ${none}", "${none}")))
	b.WriteString("data:" + d.mapping("  ", 3) + "\n")
	return b.String()
}

// raw writes manifests of many kinds, and sometimes rules about them.
func (d dice) raw(t *testing.T) input {
	dir := t.TempDir()
	files := map[string]string{}
	count := 0
	for i := range 1 + d.IntN(3) {
		var objects []string
		for range 1 + d.IntN(3) {
			objects = append(objects, d.object(fmt.Sprintf("o%d", count)))
			count++
		}
		files[fmt.Sprintf("k8s/%d.yaml", i)] = d.maybe(30, "---\n") + strings.Join(objects, "---\n") + d.maybe(20, "---\n")
	}
	config := artifactsOf + "manifests: {rawYaml: [" + d.of("k8s/*.yaml", "k8s/*", "'k*/*.yaml'", "k8s/0.yaml, k8s/*.yaml") + "]}\n"
	if d.IntN(3) == 0 {
		rule := func() string {
			return fmt.Sprintf("{groupKind: %s, image: [%s], labels: [%s]}", d.of("Widget.example.com", "Deployment.apps", "Pod", "ConfigMap", "Job.batch", "StatefulSet.apps"),
				d.of(".*", ".data.image", ".spec.template.spec.containers.*.image", ".data.template.image", ".data.*.image"), d.of(".*", ".metadata.labels", ".data.labels", ".data.template.labels"))
		}
		config += "resourceSelector: {" + d.maybe(80, "allow: [%s, %s]", rule(), rule()) + d.maybe(0, ",") + "}\n"
		if d.IntN(2) == 0 {
			config = strings.Replace(config, "resourceSelector: {", "resourceSelector: {deny: ["+rule()+"], ", 1)
			config = strings.Replace(config, ", }", "}", 1)
		}
	}
	files["foo/keep"] = ""
	writeFiles(t, dir, files)
	return input{file: write(t, dir, config)}
}

// projects writes configs that require each other, each with manifests of some kinds, namespaces and profiles of its own.
func (d dice) projects(t *testing.T) input {
	dir := t.TempDir()
	files := map[string]string{}
	config := func(folder, name, image, requires string) string {
		// An image that only ends in an artifact's name is replaced by davit alone.
		object := func(name string) string { return strings.ReplaceAll(d.object(name), "web/web:web", "web") }
		files[folder+"k8s/a.yaml"] = object("a-"+name) + d.maybe(40, "---\n%s", object("b-"+name))
		files[folder+"k8s/p.yaml"] = object("p-" + name)
		files[folder+"kz/kustomization.yaml"] = "resources: [a.yaml]\nnamePrefix: k-\n" + d.maybe(30, "namespace: kz\n")
		files[folder+"kz/a.yaml"] = object("kz-" + name)
		files[folder+"chart/Chart.yaml"] = "apiVersion: v2\nname: c\nversion: 1.0.0\n"
		files[folder+"chart/templates/a.yaml"] = "apiVersion: v1\nkind: Pod\nmetadata: {name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }}}\nspec: {containers: [{name: c, image: {{ .Values.image | default \"web\" }}}]}\n"
		text := head + "metadata: {name: " + name + "}\n" + requires + "build: {artifacts: [{image: " + image + ", context: .}" + d.maybe(30, ", {image: shared-%s, context: .}", name) + "]}\n"
		text += fmt.Sprintf("manifests:\n  rawYaml: [%s]\n", d.of("k8s/a.yaml", "k8s/*.yaml")) + d.maybe(40, "  kustomize: {paths: [kz]}\n") +
			d.maybe(40, "  helm: {releases: [{name: r-%s, chartPath: chart%s}]}\n", name, d.of("", ", namespace: own", ", setValueTemplates: {image: '{{.IMAGE_FULLY_QUALIFIED}}'}", ", setValueTemplates: {image: '{{.IMAGE_TAG}}'}"))
		text += d.maybe(40, "deploy: {%s}\n", d.of("kubectl: {}", "kubectl: {defaultNamespace: default-"+name+"}", "kubectl: {defaultNamespace: '{{.FOO}}'}", "helm: {}", "kubeContext: none", "helm: {releases: [{name: d-"+name+", chartPath: chart}]}"))
		return text + "profiles:\n- {name: p, manifests: {rawYaml: [k8s/p.yaml]}}\n- name: q\n  patches: [{op: add, path: /manifests/rawYaml, value: [k8s/p.yaml]}]\n" + d.maybe(30, "- {name: r, activation: [{command: render}], build: {artifacts: [{image: by-profile-of-%s, context: .}]}}\n", name)
	}
	files["one/skaffold.yaml"] = config("one/", "one", "example.com/team/api", "")
	files["two/skaffold.yaml"] = config("two/", "two", "tools/two", d.maybe(30, "requires: [{path: ../one}]\n")) + d.maybe(40, "---\n%s", config("two/", "more", "tools/more", ""))
	requires := "requires:\n" + d.maybe(80, "- {path: one%s}\n", d.of("", ", activeProfiles: [{name: p}]", ", activeProfiles: [{name: q, activatedBy: [p]}]")) + d.maybe(80, "- {path: two%s}\n", d.of("", ", configs: [two]", ""))
	root := config("", "root", "web", requires)
	files["foo/keep"] = ""
	writeFiles(t, dir, files)
	return input{file: write(t, dir, root), profile: d.of("", "", "", "p", "q", "p,q")}
}
