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
	for kind, make := range map[string]func(dice, *testing.T) input{"raw": dice.raw, "kustomize": dice.kustomize, "charts": dice.charts} {
		t.Run(kind, func(t *testing.T) {
			var count tally
			t.Run("all", func(t *testing.T) {
				for seed := range uint64(120) {
					t.Run(fmt.Sprint(seed), func(t *testing.T) {
						t.Parallel()
						dice := dice{rand.New(rand.NewPCG(seed, 2))}
						in := make(dice, t)
						var flags []string
						for _, f := range [][]string{{"--offline"}, {"-n", "elsewhere"}, {"-l", "team=shop,on=yes"}} {
							if dice.IntN(2) == 0 {
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
		b.WriteString(d.maybe(30, "      initContainers:\n      - {name: init, image: %s}\n", d.image()))
		b.WriteString(d.maybe(30, "  volumeClaimTemplates:\n  - metadata: {name: v}\n    spec: {a: b}\n"))
		b.WriteString(d.maybe(20, "  kafka: {image: %s}\n  image: {application: %s, init: %s}\n", d.image(), d.image(), d.image()))
	}
	b.WriteString(d.maybe(25, "shared: &shared%s\nagain:\n  <<: *shared\n  more: *shared\n", "\n  one: {image: web}\n  two: 2"))
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

// kustomize writes an overlay over a base, or two.
func (d dice) kustomize(t *testing.T) input {
	dir := t.TempDir()
	files := map[string]string{}
	paths := []string{}
	for i := range 1 + d.IntN(2) {
		base, overlay := fmt.Sprintf("k%d/base/", i), fmt.Sprintf("k%d/over/", i)
		files[base+"app.yaml"] = fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      containers:
      - {name: main, image: %s, args: [%s]}
      - {name: second, image: %s}
`, d.of("web", "nginx:1.25", "example.com/team/api"), d.scalar(), d.of("web:v0", "busybox"))
		files[base+"more.yaml"] = d.object("more")
		files[base+"kustomization.yaml"] = "resources: [app.yaml, more.yaml]\n" + d.maybe(30, "commonLabels: {from: base}\n")
		files[overlay+"patch.yaml"] = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\nspec:\n  " + d.of("replicas: 3", "template: {spec: {containers: [{name: main, env: [{name: A, value: b}]}]}}",
			"template: {spec: {containers: [{$patch: delete, name: second}]}}", "template: {spec: {containers: [{name: third, image: web}]}}") + "\n"
		k := "resources: [../base]\n" + d.maybe(40, "namePrefix: pre-\n") + d.maybe(30, "nameSuffix: -post\n") + d.maybe(40, "namespace: there\n") +
			d.maybe(30, "commonAnnotations: {note: 'a b'}\n") + d.maybe(30, "labels: [{pairs: {stage: prod}, includeSelectors: %s}]\n", d.of("true", "false")) +
			d.maybe(40, "images: [{name: %s, newTag: v9}, {name: nginx, newName: example.com/team/api}]\n", d.of("web", "busybox")) +
			d.maybe(60, "patches: [{path: patch.yaml}]\n") + d.maybe(30, "replicas: [{name: app, count: 4}]\n") +
			d.maybe(50, "configMapGenerator: [{name: settings, literals: [A=%s, 'B=two words']}]\n", d.of("1", "yes", "x")) +
			d.maybe(30, "secretGenerator: [{name: hidden, literals: [P=q], type: Opaque}]\n") + d.maybe(20, "generatorOptions: {disableNameSuffixHash: true}\n") +
			d.maybe(20, "sortOptions: {order: %s}\n", d.of("fifo", "legacy")) + d.maybe(10, "components: [../none]\n") + d.maybe(20, "buildMetadata: [originAnnotations]\n")
		files[overlay+"kustomization.yaml"] = k
		paths = append(paths, strings.TrimSuffix(d.of(overlay, overlay, base), "/"))
	}
	writeFiles(t, dir, files)
	return input{file: write(t, dir, artifactsOf+"manifests: {kustomize: {paths: ["+strings.Join(paths, ", ")+"]"+
		d.maybe(20, ", buildArgs: [%s]", d.of("--reorder none", "--enable-helm", "--load-restrictor LoadRestrictionsNone", "--enable-managedby-label"))+"}}\n")}
}

// charts writes releases of a chart with a subchart, hooks, and values from everywhere.
func (d dice) charts(t *testing.T) input {
	dir := t.TempDir()
	files := map[string]string{
		"chart/Chart.yaml":                  "apiVersion: v2\nname: chart\nversion: 1.2.3\nappVersion: '4.5'\n" + d.maybe(50, "dependencies: [{name: sub, version: 1.0.0, condition: sub.enabled}]\n"),
		"chart/charts/sub/Chart.yaml":       "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
		"chart/charts/sub/templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-sub}\ndata: {{ .Values | toYaml | nindent 2 }}\n",
		"chart/charts/sub/values.yaml":      "inner: one\n",
		"chart/values.yaml":                 "image: {repository: nginx, tag: '1.25'}\nextra: {a: 1, b: [x, y]}\nsub: {enabled: true, inner: two}\nlist: [1, 2]\n",
		"chart/templates/_helpers.tpl":      "{{ define \"labels\" }}app: {{ .Chart.Name }}\nrelease: {{ .Release.Name }}{{ end }}",
		"chart/templates/NOTES.txt":         "Hello {{ .Release.Name }}",
		"chart/templates/app.yaml": `apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels: {{- include "labels" . | nindent 4 }}
spec:
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: main
        image: ` + d.of(`"{{ .Values.image.repository }}:{{ .Values.image.tag }}"`, `{{ .Values.image.repository }}`, "web", "{{ .Values.whole | default \"web\" }}") + `
        env: [{name: A, value: {{ .Values.extra | toJson | quote }}}]
` + d.maybe(30, "---\napiVersion: v1\nkind: Service\nmetadata: {name: {{ .Release.Name }}{{ with .Release.Namespace }}, namespace: {{ . }}{{ end }}}\nspec: {a: {{ .Values.extra.a }}}\n"),
		"chart/templates/values.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: values}\ndata:\n  all: |\n    {{- toYaml .Values | nindent 4 }}\n  namespace: {{ .Release.Namespace }}\n  up: \"{{ .Release.IsUpgrade }} {{ .Capabilities.KubeVersion.Version }}\"\n",
		"chart/templates/test.yaml":   "apiVersion: v1\nkind: Pod\nmetadata: {name: test, annotations: {helm.sh/hook: " + d.of("test", "pre-install", "post-upgrade,pre-install") + "}}\nspec: {containers: [{name: t, image: web}]}\n",
		"more.yaml":                   "extra: {a: 7, c: {d: " + d.of("text", "5", "true", "~", "'5'") + "}}\n" + d.maybe(50, "list: []\n"),
		"file.txt":                    "text\nof a file, with a comma\n",
	}
	if d.IntN(3) == 0 {
		files["chart/crds/crd.yaml"] = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.example.com}\nspec: {}\n"
	}
	var b strings.Builder
	b.WriteString(artifactsOf)
	section := d.of("manifests:\n  helm:\n", "manifests:\n  helm:\n", "deploy:\n  helm:\n")
	b.WriteString(section + d.maybe(20, "    flags: {template: [%s]}\n", d.of("--include-crds", "--no-hooks", "--is-upgrade", "'--set', 'extra.flag=1'", "--skip-tests")) + "    releases:\n")
	for i := range 1 + d.IntN(3) {
		fmt.Fprintf(&b, "    - name: %s%d\n      chartPath: chart\n", d.of("r", "rel-"), i)
		b.WriteString(d.maybe(40, "      setValues: {%s}\n", d.of("extra.a: text", "'list[0]': 5", "extra.e.f: true", "image: {repository: web}", "'extra.h\\.i': j", "sub.inner: three", "sub.enabled: false")))
		b.WriteString(d.maybe(60, "      setValueTemplates:\n%s", d.of(
			"        image.repository: '{{.IMAGE_REPO_web}}'\n        image.tag: '{{.IMAGE_TAG_web}}@{{.IMAGE_DIGEST_web}}'\n",
			"        image.repository: '{{.IMAGE_REPO}}'\n        image.tag: '{{.IMAGE_TAG}}@{{.IMAGE_DIGEST}}'\n",
			"        image.repository: '{{.IMAGE_FULLY_QUALIFIED_web}}'\n", "        whole: '{{.IMAGE_FULLY_QUALIFIED}}'\n        extra.n: '{{.IMAGE_NAME2}}'\n",
			"        extra.d: '{{.IMAGE_DOMAIN_web}} {{.IMAGE_REPO_NO_DOMAIN_web}}'\n", "        extra.f: '{{.FOO}}'\n", "        image.repository: '{{.IMAGE_REPO_example_com_team_api}}'\n")))
		b.WriteString(d.maybe(40, "      valuesFiles: [%s]\n", d.of("more.yaml", "'{{.FOO}}/../more.yaml'")) + d.maybe(30, "      setFiles: {extra.file: file.txt}\n"))
		b.WriteString(d.maybe(30, "      overrides: {extra: {a: 9, deep: [1, {x: y}]}, image: {repository: web}}\n") + d.maybe(40, "      namespace: %s\n", d.of("own", "'{{.FOO}}'")))
		b.WriteString(d.maybe(20, "      skipTests: true\n") + d.maybe(20, "      version: 1.2.3\n") + d.maybe(20, "      skipBuildDependencies: true\n"))
	}
	files["foo/keep"] = ""
	writeFiles(t, dir, files)
	return input{file: write(t, dir, b.String())}
}
