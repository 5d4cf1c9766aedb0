package compat

import (
	"fmt"
	"strings"
	"testing"
)

// kustomize writes an overlay over a base, or two, with what kustomizations are made of: components, generators that add to each other,
// replacements, patches of all kinds, and charts.
func (d dice) kustomize(t *testing.T) input {
	dir := t.TempDir()
	files := map[string]string{}
	paths := []string{}
	for i := range 1 + d.IntN(2) {
		base, overlay := fmt.Sprintf("k%d/base/", i), fmt.Sprintf("k%d/over/", i)
		d.overlay(files, overlay, d.base(files, base))
		paths = append(paths, strings.TrimSuffix(d.of(overlay, overlay, overlay, base), "/"))
	}
	files["foo/keep"] = ""
	writeFiles(t, dir, files)
	return input{file: write(t, dir, artifactsOf+"manifests: {kustomize: {paths: ["+strings.Join(paths, ", ")+d.maybe(10, ", '{{.FOO}}/../k0/base'")+"]"+
		d.maybe(60, ", buildArgs: [%s]", d.of("--reorder none", "--enable-helm", "--enable-helm", "--enable-helm", "--load-restrictor LoadRestrictionsNone", "--enable-managedby-label", "--load-restrictor=LoadRestrictionsNone, --enable-helm"))+"}}\n")}
}

// base writes a base, and says whether it generates settings.
func (d dice) base(files map[string]string, base string) bool {
	files[base+"app.yaml"] = fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      containers:
      - {name: main, image: %s, args: [%s], envFrom: [{configMapRef: {name: settings}}, {secretRef: {name: hidden}}]}
      - {name: second, image: %s}
`, d.of("web", "nginx:1.25", "example.com/team/api"), d.scalar(), d.of("web:v0", "busybox"))
	files[base+"more.yaml"] = d.object("more")
	files[base+"app.env"] = "A=base\n# a comment\nC=3\n"
	files[base+"conf/app.ini"] = "[a]\nb=c\n"
	settings := d.maybe(60, "configMapGenerator: [{name: settings, %s}]\n", d.of("literals: [A=base, C=d]", "envs: [app.env]", "files: [conf/app.ini, app.env]", "files: [conf/app.ini], options: {disableNameSuffixHash: true, labels: {made: here}}", "literals: [A=base], options: {immutable: true}"))
	files[base+"kustomization.yaml"] = "resources: [app.yaml, more.yaml]\n" + d.maybe(30, "commonLabels: {from: base}\n") + settings
	return settings != ""
}

func (d dice) overlay(files map[string]string, overlay string, settings bool) {
	const object = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\nspec:\n  "
	files[overlay+"patch.yaml"] = object + d.of("replicas: 3", "template: {spec: {containers: [{name: main, env: [{name: A, value: b}]}]}}",
		"template: {spec: {containers: [{$patch: delete, name: second}]}}", "template: {spec: {containers: [{name: third, image: web}]}}",
		"template: {spec: {$patch: replace, containers: [{name: only, image: web}]}}", "selector: ~", "template: {spec: {initContainers: [{name: init, image: web}]}}") + "\n"
	files[overlay+"json.yaml"] = "- {op: replace, path: /spec/template/spec/containers/0/image, value: web}\n" +
		d.of("", "- {op: add, path: /metadata/annotations, value: {a: b}}\n", "- {op: remove, path: /spec/template/spec/containers/1}\n", "- {op: test, path: /kind, value: Deployment}\n", "- {op: remove, path: /spec/none}\n", "- {op: add, path: /spec/template/spec/containers/-, value: {name: last, image: web}}\n")
	k := d.of("resources: [../base]\n", "resources: [../base]\n", "bases: [../base]\n", "resources: [../base, extra.yaml]\n")
	files[overlay+"extra.yaml"] = "apiVersion: v1\nkind: Service\nmetadata: {name: extra}\nspec: {selector: {app: app}, host: app.here.svc, image: web}\n"
	k += d.maybe(40, "namePrefix: pre-\n") + d.maybe(30, "nameSuffix: -post\n") + d.maybe(40, "namespace: there\n") + d.maybe(30, "commonAnnotations: {note: 'a b'}\n")
	k += d.maybe(30, "labels: [{pairs: {stage: prod}, %s}]\n", d.of("includeSelectors: true", "includeSelectors: false", "includeTemplates: true"))
	k += d.maybe(40, "images: [{name: %s, newTag: v9}, {name: nginx, %s}]\n", d.of("web", "busybox"), d.of("newName: example.com/team/api", "digest: sha256:"+strings.Repeat("b", 64), "newName: web, newTag: ''"))
	k += d.maybe(70, "%s\n", d.of("patches: [{path: patch.yaml}]", "patches: [{path: json.yaml, target: {kind: Deployment}}]", "patchesStrategicMerge: [patch.yaml]",
		"patchesJson6902: [{path: json.yaml, target: {group: apps, version: v1, kind: Deployment, name: app}}]", "patches: [{path: patch.yaml, target: {labelSelector: app=app}, options: {allowNameChange: true}}]",
		"patches:\n- target: {kind: Deployment, name: 'a.*'}\n  patch: |-\n    - {op: replace, path: /metadata/name, value: renamed}\n  options: {allowNameChange: true}",
		"patches:\n- patch: |\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: app}\n    $patch: delete", "patchesStrategicMerge:\n- |\n  {apiVersion: apps/v1, kind: Deployment, metadata: {name: app}, spec: {paused: true}}"))
	behavior := d.of("", ", behavior: create")
	if settings {
		behavior = d.of(", behavior: merge", ", behavior: replace", ", behavior: merge", "")
	}
	k += d.maybe(30, "replicas: [{name: app, count: 4}]\n")
	k += d.maybe(50, "configMapGenerator: [{name: settings, literals: [A=%s, 'B=two words']%s}]\n", d.of("1", "yes", "x"), behavior)
	k += d.maybe(30, "secretGenerator: [{name: hidden, literals: [P=q], type: Opaque}]\n") + d.maybe(20, "generatorOptions: {%s}\n", d.of("disableNameSuffixHash: true", "labels: {generated: here}, annotations: {a: b}"))
	k += d.maybe(20, "sortOptions: {order: %s}\n", d.of("fifo", "legacy", "legacy, legacySortOptions: {orderFirst: [Service], orderLast: [Deployment]}"))
	k += d.maybe(30, "components: [../%s]\n", d.of("none", "comp", "comp", "comp")) + d.maybe(20, "buildMetadata: [%s]\n", d.of("originAnnotations", "transformerAnnotations", "managedByLabel"))
	k += d.maybe(25, "replacements: [{source: {kind: Deployment, name: app, fieldPath: %s}, targets: [{select: {kind: %s}, fieldPaths: [%s], options: {create: %s}}]}]\n",
		d.of("metadata.name", "metadata.name", "spec.template.spec.containers.0.image", "spec.none"), d.of("Deployment", "Service"), d.of("metadata.annotations.from", "spec.template.metadata.annotations.from"), d.of("true", "true", "false"))
	k += d.maybe(10, "vars: [{name: APP, objref: {apiVersion: apps/v1, kind: Deployment, name: app}}]\n")
	k += d.maybe(10, "transformers: [prefix.yaml]\n")
	k += d.maybe(10, "configurations: [config.yaml]\n") + d.maybe(2, "unknownField: 1\n")
	if d.IntN(6) == 0 {
		k += "helmGlobals: {chartHome: ../charts}\nhelmCharts: [{name: small, releaseName: " + d.of("rel", "other") + d.maybe(40, ", namespace: charts") + d.maybe(40, ", valuesInline: {image: web, n: %s}", d.scalarInFlow()) +
			d.maybe(30, ", valuesFile: values.yaml") + d.maybe(20, ", includeCRDs: true") + d.maybe(20, ", skipTests: true") + d.maybe(20, ", skipHooks: true") + d.maybe(20, ", apiVersions: [example.com/v1]") + "}]\n"
	}
	files[overlay+"kustomization.yaml"] = k
	files[overlay+"prefix.yaml"] = "apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: p}\nprefix: t-\nfieldSpecs: [{path: metadata/name}]\n"
	files[overlay+"values.yaml"] = "n: 5\nmore: {a: b}\n"
	files[overlay+"config.yaml"] = "images: [{path: spec/image, kind: Service}]\nnamePrefix: [{path: spec/host, kind: Service}]\n"
	parent := strings.TrimSuffix(overlay, "over/")
	files[parent+"comp/kustomization.yaml"] = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n" + d.of("commonAnnotations: {by: component}\n", "resources: [c.yaml]\n", "patches:\n- patch: '[{\"op\": \"add\", \"path\": \"/metadata/labels\", \"value\": {\"c\": \"d\"}}]'\n  target: {kind: Deployment}\n",
		"configMapGenerator: [{name: settings, behavior: merge, literals: [Z=z]}]\n")
	files[parent+"comp/c.yaml"] = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: c}\nspec: {template: {spec: {containers: [{name: c, image: web}]}}}\n"
	files[parent+"charts/small/Chart.yaml"] = "apiVersion: v2\nname: small\nversion: 1.0.0\n"
	files[parent+"charts/small/values.yaml"] = "image: nginx\nn: 1\n"
	files[parent+"charts/small/crds/c.yaml"] = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.example.com}\nspec: {}\n"
	files[parent+"charts/small/templates/p.yaml"] = "apiVersion: v1\nkind: Pod\nmetadata: {name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }}}\nspec: {n: {{ .Values.n }}, containers: [{name: c, image: {{ .Values.image }}}]}\n---\n" +
		"apiVersion: v1\nkind: Pod\nmetadata: {name: t, annotations: {helm.sh/hook: test}}\nspec: {up: {{ .Capabilities.APIVersions.Has \"example.com/v1\" }}}\n"
}

func (d dice) scalarInFlow() string { return d.of("1", "1.10", "'5'", "true", "text", "[a, b]") }
