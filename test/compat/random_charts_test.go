package compat

import (
	"fmt"
	"strings"
	"testing"
)

// charts writes releases of a chart as people write them: with a library and subcharts that have conditions, tags, aliases and values to import,
// with hooks, custom resource definitions, notes, a schema, and values from everywhere.
func (d dice) charts(t *testing.T) input {
	dir := t.TempDir()
	files := d.chart()
	files["more.yaml"] = "extra: {a: 7, c: {d: " + d.of("text", "5", "true", "~", "'5'", "1e3", "0x1F", "1.10") + "}}\n" + d.maybe(50, "list: []\n") + d.maybe(30, "global: {team: more}\n") +
		d.maybe(20, "sub: ~\n") + d.maybe(20, "image: {tag: ~}\n")
	files["values-v1.yaml"] = "extra: {fromTag: yes}\n"
	files["file.txt"] = "text\nof a file, with a comma\n"
	files["foo/keep"] = ""
	var b strings.Builder
	section := d.of("manifests:\n  helm:\n", "manifests:\n  helm:\n", "deploy:\n  helm:\n")
	old := d.IntN(6) == 0
	if old {
		section = "deploy:\n  helm:\n"
		b.WriteString(strings.NewReplacer("v4beta14", d.of("v2beta8", "v2beta20", "v2beta26"), "'ko://example.com/cmd/Tool', ko: {}", "tool, context: tool").Replace(artifactsOf))
	} else {
		b.WriteString(artifactsOf)
	}
	b.WriteString(section + d.maybe(20, "    flags: {%s: [%s]}\n", map[bool]string{true: "install", false: "template"}[old],
		d.of("--include-crds", "--no-hooks", "--is-upgrade", "'--set', 'extra.flag=1'", "--skip-tests", "--api-versions=example.com/v1", "--kube-version=v1.29.3", "--set-string=extra.s=5", "'--set-json', 'extra.j=[1, {\"k\": true}]'",
			"-f, more.yaml", "--skip-schema-validation", "--show-only=templates/app.yaml")) + "    releases:\n")
	before := ""
	for i := range 1 + d.IntN(3) {
		name := fmt.Sprintf("%s%d", d.of("r", "rel-", "{{.FOO}}-"), i)
		fmt.Fprintf(&b, "    - name: '%s'\n      chartPath: %s\n", name, d.of("chart", "chart", "./chart", "'{{.FOO}}/../chart'", "chart/charts/sub"))
		if old {
			b.WriteString(d.imageStrategy())
		}
		d.release(&b)
		if before != "" {
			b.WriteString(d.maybe(20, "      dependsOn: ['%s']\n", before))
		}
		before = name
	}
	writeFiles(t, dir, files)
	return input{file: write(t, dir, b.String())}
}

// imageStrategy is how images reached charts before v3.
func (d dice) imageStrategy() string {
	return d.maybe(80, "      artifactOverrides: {%s}\n", d.of("image: web", "whole: web, image: example.com/team/api", "extra.n: tool", "sub.image: web")) +
		d.maybe(60, "      imageStrategy: {%s}\n", d.of("fqn: {}", "helm: {}", "helm: {explicitRegistry: true}", "fqn: {property: whole}"))
}

// release writes what a release may have beside its chart.
func (d dice) release(b *strings.Builder) {
	b.WriteString(d.maybe(40, "      setValues: {%s}\n", d.of("extra.a: text", "'list[0]': 5", "extra.e.f: true", "image: {repository: web}", "'extra.h\\.i': j", "sub.inner: three", "sub.enabled: false",
		"tags.back: false", "global.team: set", "'extra.list': '{a,b}'", "extra.n: ''", "'extra.{{.FOO}}': x")))
	b.WriteString(d.maybe(60, "      setValueTemplates:\n%s", d.of(
		"        image.repository: '{{.IMAGE_REPO_web}}'\n        image.tag: '{{.IMAGE_TAG_web}}@{{.IMAGE_DIGEST_web}}'\n",
		"        image.repository: '{{.IMAGE_REPO}}'\n        image.tag: '{{.IMAGE_TAG}}@{{.IMAGE_DIGEST}}'\n",
		"        image.repository: '{{.IMAGE_REPO_web}}'\n        image.tag: '{{.IMAGE_TAG_web}}'\n",
		"        image.repository: '{{.IMAGE_FULLY_QUALIFIED_web}}'\n", "        whole: '{{.IMAGE_FULLY_QUALIFIED}}'\n        extra.n: '{{.IMAGE_NAME2}}'\n",
		"        extra.d: '{{.IMAGE_DOMAIN_web}} {{.IMAGE_REPO_NO_DOMAIN_web}}'\n", "        extra.f: '{{.FOO}}'\n", "        image.repository: '{{.IMAGE_REPO_example_com_team_api}}'\n",
		"        extra.all: '{{.IMAGE_NAME}} {{.IMAGE_NAME2}} {{.IMAGE_REPO2}} {{.IMAGE_TAG2}} {{.IMAGE_DIGEST2}} {{.IMAGE_DOMAIN2}} {{.IMAGE_REPO_NO_DOMAIN2}} {{.IMAGE_FULLY_QUALIFIED2}}'\n",
		"        extra.old: '{{.DIGEST}} {{.DIGEST_ALGO}} {{.DIGEST_HEX}} {{.DIGEST2}}'\n", "        extra.named: '{{.IMAGE_NAME_web}} {{.IMAGE_TAG_example_com_team_api}} {{.IMAGE_DIGEST_example_com_team_api}}'\n",
		"        'extra.{{.FOO}}': '{{.FOO | upper}} {{default \"none\" .ENV1}}'\n", "        extra.trim: '{{.IMAGE_TAG_web}}@'\n", "        extra.n: '5'\n        extra.b: 'true'\n", "        extra.sum: '{{ add 1 2 }}'\n")))
	b.WriteString(d.maybe(40, "      valuesFiles: [%s]\n", d.of("more.yaml", "'{{.FOO}}/../more.yaml'", "more.yaml, 'values-{{.IMAGE_TAG_web}}.yaml'", "values-v1.yaml, more.yaml")) + d.maybe(4, "      valuesFiles: [none.yaml]\n"))
	b.WriteString(d.maybe(30, "      setFiles: {extra.file: %s}\n", d.of("file.txt", "file.txt", "./file.txt")))
	b.WriteString(d.maybe(30, "      overrides: {extra: {a: 9, deep: [1, {x: %s}]}, image: {repository: web}}\n", d.of("y", "1.10", "'5'", "true", "~")) + d.maybe(40, "      namespace: %s\n", d.of("own", "'{{.FOO}}'", "'{{.FOO}}-two'")))
	b.WriteString(d.maybe(20, "      skipTests: true\n") + d.maybe(20, "      version: 1.2.3\n") + d.maybe(20, "      skipBuildDependencies: true\n") + d.maybe(20, "      createNamespace: true\n"))
}

// chart gives the files of one chart, below the folder chart.
func (d dice) chart() map[string]string {
	files := map[string]string{
		"chart/charts/sub/Chart.yaml":       "apiVersion: v2\nname: sub\nversion: 1.0.0\n" + d.maybe(20, "appVersion: 2.0\n"),
		"chart/charts/sub/templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-{{ .Chart.Name }}}\ndata: {{ .Values | toYaml | nindent 2 }}\n",
		"chart/charts/sub/values.yaml":      "inner: one\nexports: {data: {exported: yes, list: [a]}}\nhanded: {over: 5}\n",
		"chart/values.yaml": "image: {repository: nginx, tag: '1.25'}\nextra: {a: 1, b: [x, y]}\nsub: {enabled: true, inner: two}\nlist: [1, 2]\nglobal: {team: shop}\n" +
			d.maybe(50, "tags: {back: %s}\n", d.of("true", "false")) + d.maybe(20, "text: |\n  {{ .Release.Name }} is {{ tpl .Values.inner . }}\ninner: '{{ .Chart.Version }}'\n") +
			d.maybe(20, "anchored: &a {k: v}\nagain: {<<: *a, more: *a}\n") + d.maybe(15, "big:%s\n", strings.Repeat("\n- {name: item, value: '0123456789'}", 300)),
		"chart/templates/_helpers.tpl": "{{ define \"labels\" }}app: {{ .Chart.Name }}\nrelease: {{ .Release.Name }}{{ end }}",
		"chart/templates/NOTES.txt":    "Hello {{ .Release.Name }}",
		"chart/config/a.ini":           "[a]\nb = {{ .Values.list }}\n", "chart/config/b.txt": "two\nlines", "chart/notes.bak": "x",
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
        image: ` + d.of(`"{{ .Values.image.repository }}:{{ .Values.image.tag }}"`, `{{ .Values.image.repository }}`, "web", "{{ .Values.whole | default \"web\" }}", "'{{ tpl \"{{ .Values.image.repository }}\" . }}'") + `
        env: [{name: A, value: {{ .Values.extra | toJson | quote }}}]
` + d.maybe(30, "---\napiVersion: v1\nkind: Service\nmetadata: {name: {{ .Release.Name }}{{ with .Release.Namespace }}, namespace: {{ . }}{{ end }}}\nspec: {a: {{ .Values.extra.a }}}\n"),
		"chart/templates/values.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: values}\ndata:\n  all: |\n    {{- toYaml .Values | nindent 4 }}\n  namespace: {{ .Release.Namespace }}\n  up: \"{{ .Release.IsUpgrade }} {{ .Capabilities.KubeVersion.Version }}\"\n",
		"chart/templates/test.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: test, annotations: {helm.sh/hook: " + d.of("test", "pre-install", "post-upgrade,pre-install", "test-success", "'pre-delete', helm.sh/hook-weight: '-5'", "'post-install', helm.sh/hook-delete-policy: hook-succeeded") +
			"}}\nspec: {containers: [{name: t, image: web}]}\n",
	}
	for range d.IntN(5) {
		name := fmt.Sprintf("chart/templates/%smore%d.yaml", d.of("", "", "deep/er/", "_"), d.IntN(9))
		files[name] = d.template()
	}
	files["chart/Chart.yaml"] = "apiVersion: v2\nname: chart\nversion: 1.2.3\nappVersion: '4.5'\n" + d.maybe(10, "kubeVersion: '%s'\n", d.of(">=1.20.0-0", "<1.2.0")) + d.maybe(10, "deprecated: true\n") + d.dependencies(files)
	if d.IntN(3) == 0 {
		files["chart/crds/crd.yaml"] = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.example.com}\nspec: {}\n" + d.maybe(40, "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: others.example.com}\nspec: {image: web}\n")
	}
	if d.IntN(6) == 0 {
		files["chart/values.schema.json"] = `{"properties": {"extra": {"type": "object", "properties": {"a": {"type": "` + d.of("integer", "string") + `"}}}}}`
	}
	if d.IntN(6) == 0 {
		files["chart/.helmignore"] = d.of("*.bak\nconfig/b.txt\n", "templates/deep\n", "# nothing\n")
	}
	return files
}

// dependencies adds the charts that a chart depends on, and gives the text of its Chart.yaml about them.
func (d dice) dependencies(files map[string]string) string {
	var all []string
	switch d.IntN(5) {
	case 0:
	case 1:
		all = append(all, "{name: sub, version: 1.0.0, condition: sub.enabled}")
	case 2:
		all = append(all, "{name: sub, version: 1.x, tags: ["+d.of("back", "front")+"], import-values: ["+d.of("data", "{child: handed, parent: extra.handed}", "data, {child: handed, parent: handed}")+"]}")
	case 3:
		all = append(all, "{name: sub, version: ^1.0.0, alias: other, condition: 'other.none,sub.enabled'}", "{name: sub, version: 1.0.0}")
	case 4:
		files["shared/Chart.yaml"] = "apiVersion: v2\nname: shared\nversion: 0.3.0\n"
		files["shared/templates/s.yaml"] = "apiVersion: v1\nkind: Service\nmetadata: {name: shared}\nspec: {team: {{ .Values.global.team }}, image: web}\n"
		all = append(all, "{name: shared, version: 0.3.0, repository: 'file://../shared'}", "{name: sub, version: 1.0.0}")
	}
	if d.IntN(4) == 0 {
		files["chart/charts/lib/Chart.yaml"] = "apiVersion: v2\nname: lib\nversion: 0.1.0\ntype: library\n"
		files["chart/charts/lib/templates/_l.tpl"] = "{{ define \"lib.map\" }}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .name }}}\n{{ end }}"
		files["chart/templates/lib.yaml"] = "{{ include \"lib.map\" (dict \"name\" (printf \"%s-lib\" .Release.Name | trunc 30)) }}"
		all = append(all, "{name: lib, version: 0.1.0}")
	}
	if len(all) == 0 {
		return ""
	}
	return "dependencies: [" + strings.Join(all, ", ") + "]\n"
}

// template is one that does a thing of its own; some cannot be rendered, by either. Helm 4 takes Lists apart before it sorts by kind, where a
// post-renderer runs: their items are of a kind that comes where Lists come.
func (d dice) template() string {
	const object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: own}\ndata:\n  "
	return d.of(
		object+"k: {{ tpl (.Values.text | default \"{{ .Release.Service }}\") . | quote }}\n",
		object+"k: {{ required \"the list is needed\" .Values.list | toJson | quote }}\n",
		object+"k: {{ required \"it is needed\" .Values.missing }}\n",
		object+"k: {{ fail (printf \"no %s\" .Release.Name) }}\n",
		"{{ $s := lookup \"v1\" \"Secret\" .Release.Namespace \"s\" }}\n"+object+"found: \"{{ not (empty $s) }} {{ len (lookup \"v1\" \"Pod\" \"\" \"\").items }}\"\n",
		"{{ $s := lookup \"v1\" \"Secret\" .Release.Namespace \"s\" }}\n"+object+"found: \"{{ not (empty $s) }}\"\n",
		"apiVersion: v1\nkind: Secret\nmetadata: {name: files}\ndata:\n{{ (.Files.Glob \"config/*\").AsSecrets | indent 2 }}\n",
		object+"a: {{ .Files.Get \"config/a.ini\" | quote }}\n  none: {{ .Files.Get \"none\" | quote }}\n  lines: {{ .Files.Lines \"config/b.txt\" | toJson | quote }}\n",
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: glob}\ndata: {{ (.Files.Glob \"**.*\").AsConfig | nindent 2 }}\n",
		object+"v: \"{{ .Capabilities.KubeVersion.Major }}.{{ .Capabilities.KubeVersion.Minor }} {{ .Capabilities.APIVersions.Has \"apps/v1\" }} {{ .Capabilities.APIVersions.Has \"example.com/v1\" }} {{ .Capabilities.HelmVersion.Version | trunc 2 }}\"\n",
		"{{- if .Capabilities.APIVersions.Has \"apps/v1/Deployment\" }}\n"+object+"k: has\n{{- end }}\n",
		object+"k: \"{{ .Template.Name }} {{ .Template.BasePath }} {{ .Release.Revision }} {{ .Release.IsInstall }} {{ .Chart.AppVersion }} {{ .Chart.IsRoot }}\"\n",
		"{{- range $i, $x := .Values.list }}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: p-{{ $i }}}\nspec: {containers: [{name: c, image: web}], initContainers: [{name: i, image: \"example.com/team/api:{{ $x }}\"}], ephemeralContainers: [{name: e, image: web}]}\n{{- end }}\n",
		"{{/* nothing */}}\n", "# a comment alone\n---\n\n", "\n", "---\n---\n"+object+"k: v # of {{ .Release.Name }}\n",
		"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: example.com/v1, kind: Listed, metadata: {name: a}}\n- {apiVersion: example.com/v1, kind: Listed, metadata: {name: b}}\n",
		object+"k: {{ dig \"deep\" \"er\" \"none\" .Values.extra }}\n  m: {{ merge (dict \"z\" 1) .Values.extra | toJson | quote }}\n  s: {{ sha256sum \"x\" }}\n  t: {{ ternary \"a\" \"b\" (semverCompare \">=1.20-0\" .Capabilities.KubeVersion.Version) }}\n",
		object+"k: |\n    {{- .Values.extra | toPrettyJson | nindent 4 }}\n  y: {{ (fromYaml \"a: [1, 2]\").a | toJson | quote }}\n  e: {{ fromJson \"{\" | toJson | quote }}\n  toml: {{ .Values.image | toToml | quote }}\n",
		object+"k: {{ .Values.nothing.here }}\n", object+"k: [broken\n", object+"k: {{ .Values.list | first }}\n  k: twice\n", object+"port: {{ .Values.extra.a | int64 }}\n  f: {{ 1000000 }}\n  g: {{ 12345678.0 }}\n",
		"apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: hook-{{ .Release.Revision }}\n  annotations: {helm.sh/hook: 'pre-upgrade,pre-install', helm.sh/hook-weight: '5', helm.sh/hook-delete-policy: before-hook-creation}\nspec: {template: {spec: {containers: [{name: h, image: web}]}}}\n",
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kept, namespace: fixed, annotations: {helm.sh/resource-policy: keep}}\n",
		"apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {image: web, other: example.com/team/api}\n",
	)
}
