//go:build e2e

package e2e

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestRemoteManifestAndHooks gives a new image to a Deployment that is written down nowhere, with hooks around it: one writes a manifest, one changes
// what is deployed.
func TestRemoteManifestAndHooks(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	labels := map[string]string{"app": app}
	live := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: app}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "gcr.io/my-project/my-web-app:old"}}},
		},
	}}
	if _, err := suite.client.AppsV1().Deployments(p.namespace).Create(t.Context(), live, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	p.write("skaffold.yaml", `apiVersion: skaffold/v4beta13
kind: Config
metadata: {name: remote}
build:
  artifacts:
  - image: gcr.io/my-project/my-web-app
manifests:
  rawYaml: ["made/*.yaml"]
  remoteManifests:
  - manifest: `+p.namespace+`:deploy/`+app+`
  hooks:
    before:
    - host: {command: [sh, -c, "mkdir -p made; echo '{apiVersion: v1, kind: ConfigMap, metadata: {name: made}, data: {a: b}}' > made/a.yaml"]}
    after:
    - host: {command: [sed, "s/a: b/a: changed/"], withChange: true}
`)
	p.buildBinary()

	rendered := p.davit("render", "--digest-source", "none").ok()
	rendered.says("name: made", "a: changed", "kind: Deployment", "image: gcr.io/my-project/my-web-app:old")
	rendered.saysNot("status:", "uid:", "resourceVersion:", "creationTimestamp:", "managedFields:")

	p.davit("run").ok().says("configmap/made created", "deployment.apps/my-web-app configured", "1 pod runs sha256:", "as built")
	made, err := suite.client.CoreV1().ConfigMaps(p.namespace).Get(t.Context(), "made", metav1.GetOptions{})
	if err != nil || made.Data["a"] != "changed" {
		t.Errorf("the hook's change is not in the cluster: %v, %v", made.Data, err)
	}
	before := p.versions()
	p.davit("run").ok().says("configmap/made unchanged", "deployment.apps/my-web-app unchanged")
	if after := p.versions(); after != before {
		t.Errorf("a run with nothing to do moved resource versions:\nbefore %s\nafter  %s", before, after)
	}

	p.replace("skaffold.yaml", "deploy/"+app, "deploy/other")
	missing := p.davit("run").fails(1)
	if want := `remote manifest ` + p.namespace + `:deploy/other: deployments.apps "other" not found in namespace ` + p.namespace; !strings.Contains(missing.stderr, want) {
		t.Errorf("want %q in\n%s", want, missing.stderr)
	}
}
