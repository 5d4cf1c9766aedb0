//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestBuildThenRenderThenApply cuts the pipeline in three: one job builds, one renders, one applies. The objects belong to the config's inventory.
func TestBuildThenRenderThenApply(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.buildBinary()
	p.davit("build", "--file-output", "build.json").ok()
	p.davit("render", "-a", "build.json", "-o", "out.yaml").ok()
	digest := regexp.MustCompile(`sha256:[0-9a-f]{64}`).FindString(p.output("cat", "out.yaml"))
	p.davit("apply", "out.yaml", "-l", "team=x").ok().says("deployment.apps/my-web-app created", "stabilized", "1 pod runs "+digest, "as built")
	if p.running() != digest {
		t.Errorf("the pod runs %s, rendered was %s", p.running(), digest)
	}
	if pod := p.pods()[0]; pod.Labels["team"] != "x" {
		t.Errorf("the pod's labels are %v", pod.Labels)
	}
	p.davit("apply", "out.yaml", "-l", "team=x").ok().says("deployment.apps/my-web-app unchanged", "as built").saysNot("configured")
	p.davit("deploy", "-a", "build.json", "-l", "team=x").ok().says("deployment.apps/my-web-app unchanged")

	// What is not in the config any more is known from what apply did.
	p.write("more/cm.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\n")
	p.davit("apply", "out.yaml", "more", "-l", "team=x").ok().says("configmap/more created")
	p.davit("apply", "out.yaml", "-l", "team=x").ok().complains("configmap/more")

	// An image that is not there is a failure here as anywhere.
	p.write("gone.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: gone}\nspec: {containers: [{name: c, image: 'localhost:5000/nobody/gone:v1'}]}\n")
	p.davit("apply", "gone.yaml").fails(1).complains("gone")
	p.davit("delete").ok().says("deployment.apps/my-web-app deleted")
}

// TestApplyWithoutConfig applies where there is no skaffold.yaml.
func TestApplyWithoutConfig(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.write("bare/objects.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: "+p.namespace+"}\n")
	p.dir = filepath.Join(p.dir, "bare")
	p.davit("apply", "objects.yaml").ok().says("configmap/a created", "configmap/b created")
	maps, err := suite.client.CoreV1().ConfigMaps(p.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "applyset.kubernetes.io/id"})
	if err != nil || len(maps.Items) != 0 {
		t.Errorf("an inventory is kept: %v %v", maps.Items, err)
	}
}

// helmExample is the Helm example of the text that davit was asked to implement.
const helmExample = `apiVersion: skaffold/v2beta10
kind: Config
build:
  artifacts:
  - image: my-app
    docker:
      dockerfile: Dockerfile
deploy:
  helm:
    releases:
      - name: my-release
        chartPath: ./charts/my-app
        imageStrategy:
          helm:
            # This tells Skaffold to pass the built image as a value
            # to your Helm chart, where 'image.repository' and 'image.tag'
            # would typically be used.
            setValueTemplates:

              image.repository: "{{.IMAGE_REPO_my-app}}"


              image.tag: "{{.IMAGE_TAG_my-app}}"
`

// TestHelmExampleToTheLetter runs it as it is written, by deploy.helm, and as its newest form by manifests.helm.
func TestHelmExampleToTheLetter(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]string{
		"deploy.helm": helmExample,
		"manifests.helm": `apiVersion: skaffold/v4beta14
kind: Config
build:
  artifacts:
  - image: my-app
manifests:
  helm:
    releases:
    - name: my-release
      chartPath: ./charts/my-app
      setValueTemplates:
        image.repository: "{{.IMAGE_REPO_my-app}}"
        image.tag: "{{.IMAGE_TAG_my-app}}"
`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t)
			p.buildBinary()
			p.write("skaffold.yaml", config)
			p.write("charts/my-app/Chart.yaml", "apiVersion: v2\nname: my-app\nversion: 0.1.0\n")
			p.write("charts/my-app/values.yaml", "image: {repository: none, tag: none}\n")
			object, err := os.ReadFile(filepath.Join(p.dir, "k8s", "deployment.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			p.write("charts/my-app/templates/deployment.yaml",
				strings.Replace(string(object), "gcr.io/my-project/my-web-app:latest", `{{ .Values.image.repository }}:{{ .Values.image.tag }}`, 1))

			run := p.davit("run", "-v", "info").ok().says("my-app -> localhost:", "Successfully built and tagged", "as built")
			ref := regexp.MustCompile(`my-app -> (localhost:\S+):(\S+)`).FindStringSubmatch(run.stdout)
			command := regexp.MustCompile(`helm \S+ my-release \S*charts/my-app .*`).FindString(run.stdout + run.stderr)
			for _, flag := range []string{"--set image.repository=" + ref[1], "--set image.tag=" + ref[2]} {
				if !strings.Contains(command, flag) {
					t.Errorf("the equivalent command has no %s: %q", flag, command)
				}
			}
			p.running() // by its digest, which the chart dropped
			before := p.versions()
			p.davit("run").ok().says("Found Remotely", "as built").saysNot("Starting build")
			if after := p.versions(); after != before {
				t.Errorf("a run with nothing to do moved resource versions:\nbefore %s\nafter  %s", before, after)
			}
			p.davit("delete").ok()
		})
	}
}

// TestConfigsDoNotPruneEachOther deploys configs without names out of one folder into one namespace, alone and together.
func TestConfigsDoNotPruneEachOther(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	for _, name := range []string{"a", "b"} {
		p.write(name+".yaml", "apiVersion: skaffold/v4beta14\nkind: Config\nmanifests: {rawYaml: [more/"+name+"-*.yaml]}\n")
		for _, object := range []string{name + "-one", name + "-two"} {
			p.write("more/"+object+".yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "+object+"}\n")
		}
	}
	p.write("both.yaml", "apiVersion: skaffold/v4beta14\nkind: Config\nrequires: [{path: a.yaml}, {path: b.yaml}]\n")
	p.davit("run", "-f", "a.yaml", "--prune").ok().says("configmap/a-one created", "configmap/a-two created")
	p.davit("run", "-f", "b.yaml", "--prune").ok().says("configmap/b-one created").saysNot("pruned")
	p.davit("apply", "-f", "both.yaml", "--prune", "more/b-one.yaml").ok().says("configmap/b-one unchanged").saysNot("pruned")
	p.davit("run", "-f", "both.yaml", "--prune").ok().says("a-one unchanged", "a-two unchanged", "b-one unchanged", "b-two unchanged").saysNot("pruned")
	p.output("rm", "more/a-two.yaml")
	p.davit("run", "-f", "b.yaml", "--prune").ok().saysNot("pruned")
	p.davit("run", "-f", "a.yaml", "--prune").ok().says("configmap/a-two pruned")
	p.davit("delete", "-f", "a.yaml").ok().says("configmap/a-one deleted")
	p.davit("run", "-f", "b.yaml").ok().says("configmap/b-one unchanged", "configmap/b-two unchanged")
}
