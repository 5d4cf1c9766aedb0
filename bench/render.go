package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// render compares making manifests of what is in the working folder. It needs no cluster and no registry, but helm and kustomize on PATH, which
// the reference calls.
func (b *bench) render(ctx context.Context) error {
	home := filepath.Join(b.tmp, "home")
	b.env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+filepath.Join(home, ".cache"), "KUBECONFIG="+filepath.Join(home, "none"),
		"SKAFFOLD_UPDATE_CHECK=false", "SKAFFOLD_INTERACTIVE=false")
	if err := b.onlyTools("helm", "kustomize", "sh"); err != nil {
		return err
	}
	for _, input := range []struct {
		title string
		files map[string]string
	}{
		{"render, 300 raw manifests", rawManifests(300)},
		{"render, 50 kustomizations", kustomizations(50)},
		{"render, 20 charts", charts(20)},
		{"render, 100 charts", charts(100)},
	} {
		dir := filepath.Join(b.tmp, strings.ReplaceAll(input.title, " ", "-"))
		input.files["build.json"] = builds()
		for name, text := range input.files {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return err
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				return err
			}
		}
		ref, own := side{binary: b.reference, dir: dir, namespace: "bench-ref"}, side{binary: b.davit, dir: dir, namespace: "bench-own"}
		if err := b.compare(ctx, input.title, ref, own, nil, "render", "--offline", "--digest-source", "tag", "-a", "build.json"); err != nil {
			return err
		}
	}
	return nil
}

// images is how many artifacts the rendered configs have.
const images = 20

// builds is what a build of all of them writes.
func builds() string {
	type build struct {
		ImageName string `json:"imageName"`
		Tag       string `json:"tag"`
	}
	var all []build
	for i := range images {
		name := fmt.Sprintf("service-%d", i)
		all = append(all, build{name, fmt.Sprintf("registry.example.com/shop/%s:v1@sha256:%x", name, sha256.Sum256([]byte(name)))})
	}
	text, err := json.Marshal(map[string]any{"builds": all})
	if err != nil {
		panic(err) // of texts alone
	}
	return string(text)
}

// configWith is a config with all artifacts.
func configWith(manifests string) string {
	var text strings.Builder
	text.WriteString("apiVersion: skaffold/v4beta11\nkind: Config\nbuild:\n  artifacts:\n")
	for i := range images {
		fmt.Fprintf(&text, "  - {image: service-%[1]d, context: service-%[1]d}\n", i)
	}
	return text.String() + "manifests:\n" + manifests
}

// service is a Deployment and a Service, written as most people write them.
func service(name, image string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
  labels:
    app: %[1]s
spec:
  replicas: 2
  selector:
    matchLabels:
      app: %[1]s
  template:
    metadata:
      labels:
        app: %[1]s
    spec:
      containers:
      - name: server
        image: %[2]s
        ports:
        - name: http
          containerPort: 8080
        env:
        - name: LOG_LEVEL
          value: info
        - name: PASSWORD
          valueFrom:
            secretKeyRef:
              name: %[1]s
              key: password
        resources:
          requests:
            cpu: 50m
            memory: 64Mi
          limits:
            memory: 128Mi
        readinessProbe:
          httpGet:
            path: /healthz
            port: http
---
apiVersion: v1
kind: Service
metadata:
  name: %[1]s
spec:
  selector:
    app: %[1]s
  ports:
  - name: http
    port: 80
    targetPort: http
`, name, image)
}

func rawManifests(count int) map[string]string {
	files := map[string]string{"skaffold.yaml": configWith("  rawYaml: [k8s/*.yaml]\n")}
	for i := range count {
		files[fmt.Sprintf("k8s/app-%03d.yaml", i)] = service(fmt.Sprintf("app-%d", i), fmt.Sprintf("service-%d", i%images))
	}
	return files
}

// kustomizations are overlays that patch a base, and make a ConfigMap.
func kustomizations(count int) map[string]string {
	config := configWith("  kustomize:\n    paths:\n")
	files := map[string]string{}
	for i := range count {
		config += fmt.Sprintf("    - app-%d/production\n", i)
		base, overlay := fmt.Sprintf("app-%d/base/", i), fmt.Sprintf("app-%d/production/", i)
		files[base+"app.yaml"] = service("app", fmt.Sprintf("service-%d", i%images))
		files[base+"kustomization.yaml"] = "resources: [app.yaml]\n"
		files[overlay+"kustomization.yaml"] = fmt.Sprintf(`namespace: production
namePrefix: number-%d-
resources: [../base]
labels:
- {pairs: {stage: production}, includeSelectors: true}
configMapGenerator:
- name: settings
  literals: [LOG_LEVEL=warn, COLOUR=blue]
patches:
- path: replicas.yaml
replacements: []
`, i)
		files[overlay+"replicas.yaml"] = `apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  replicas: 5
  template:
    spec:
      containers:
      - name: server
        envFrom: [{configMapRef: {name: settings}}]
`
	}
	files["skaffold.yaml"] = config
	return files
}

// charts are of the shape that `helm create` makes: helpers, values, and five objects.
func charts(count int) map[string]string {
	config := configWith("  helm:\n    releases:\n")
	files := map[string]string{}
	for i := range count {
		config += fmt.Sprintf(`    - name: app-%[1]d
      chartPath: charts/app-%[1]d
      setValueTemplates:
        image.repository: "{{.IMAGE_REPO_service_%[2]d}}"
        image.tag: "{{.IMAGE_TAG_service_%[2]d}}@{{.IMAGE_DIGEST_service_%[2]d}}"
      setValues: {replicas: "3"}
`, i, i%images)
		chart := fmt.Sprintf("charts/app-%d/", i)
		files[chart+"Chart.yaml"] = fmt.Sprintf("apiVersion: v2\nname: app-%d\nversion: 1.0.0\nappVersion: 2.0.0\n", i)
		for name, text := range chartFiles {
			files[chart+name] = text
		}
	}
	files["skaffold.yaml"] = config
	return files
}

var chartFiles = map[string]string{
	"values.yaml": `image: {repository: nginx, tag: latest}
replicas: 1
port: 8080
env: {LOG_LEVEL: info, COLOUR: blue, LANGUAGE: en}
resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 128Mi}}
autoscaling: {enabled: true, min: 1, max: 10}
`,
	"templates/_helpers.tpl": `{{- define "name" -}}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{- end }}
{{- define "selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "labels" -}}
{{ include "selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
`,
	"templates/serviceaccount.yaml": "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: {{ include \"name\" . }}\n  labels: {{- include \"labels\" . | nindent 4 }}\n",
	"templates/configmap.yaml": `apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "name" . }}
  labels: {{- include "labels" . | nindent 4 }}
data:
  {{- range $key, $value := .Values.env }}
  {{ $key }}: {{ $value | quote }}
  {{- end }}
`,
	"templates/service.yaml": `apiVersion: v1
kind: Service
metadata:
  name: {{ include "name" . }}
  labels: {{- include "labels" . | nindent 4 }}
spec:
  ports: [{port: 80, targetPort: http, name: http}]
  selector: {{- include "selector" . | nindent 4 }}
`,
	"templates/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "name" . }}
  labels: {{- include "labels" . | nindent 4 }}
spec:
  {{- if not .Values.autoscaling.enabled }}
  replicas: {{ .Values.replicas }}
  {{- end }}
  selector:
    matchLabels: {{- include "selector" . | nindent 6 }}
  template:
    metadata:
      annotations:
        checksum/config: {{ include (print $.Template.BasePath "/configmap.yaml") . | sha256sum }}
      labels: {{- include "labels" . | nindent 8 }}
    spec:
      serviceAccountName: {{ include "name" . }}
      containers:
      - name: server
        image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
        ports: [{name: http, containerPort: {{ .Values.port }}}]
        envFrom: [{configMapRef: {name: {{ include "name" . }}}}]
        readinessProbe: {httpGet: {path: /, port: http}}
        resources: {{- toYaml .Values.resources | nindent 10 }}
`,
	"templates/hpa.yaml": `{{- if .Values.autoscaling.enabled }}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "name" . }}
  labels: {{- include "labels" . | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ include "name" . }}}
  minReplicas: {{ .Values.autoscaling.min }}
  maxReplicas: {{ .Values.autoscaling.max }}
{{- end }}
`,
}
