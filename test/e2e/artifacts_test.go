//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const artifactsConfig = `apiVersion: skaffold/v4beta14
kind: Config
metadata: {name: shop}
build:
  hooks:
    before: [{command: [sh, -c, "echo all builds start in $SKAFFOLD_WORK_DIR"]}]
    after: [{command: [echo, "all builds done"]}]
  artifacts:
  - image: web
    context: web
    requires: [{image: base, alias: BASE}]
  - image: base
    context: base
  - image: tool
    context: tool
    requires: [{image: base, alias: BASE}]
    custom:
      buildCommand: sh build.sh
      dependencies: {paths: ["*.sh", Dockerfile]}
test:
- image: web
  custom: [{command: "echo web is tested as $IMAGE"}]
manifests: {rawYaml: [pods.yaml]}
`

// sleeper is a Deployment of one image that does nothing.
func sleeper(image string) string {
	return strings.ReplaceAll(`---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: NAME}]}
`, "NAME", image)
}

// artifactsProject is a base, a Dockerfile on it, and an image by a command of the user's that stands on it too: the command is davit itself, with a
// config of its own.
func artifactsProject(t *testing.T) *project {
	p := newProject(t)
	p.write("skaffold.yaml", artifactsConfig)
	p.write("pods.yaml", sleeper("web")+sleeper("tool"))
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	p.write("base/busybox", string(busybox))
	p.write("base/Dockerfile", "FROM scratch\nCOPY busybox which /bin/\nENTRYPOINT [\"/bin/busybox\", \"sleep\", \"3600\"]\n")
	p.write("base/which", p.namespace)
	if err := os.Chmod(filepath.Join(p.dir, "base/busybox"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.write("web/Dockerfile", "ARG BASE\nFROM ${BASE:-scratch}\nCOPY page /page\n")
	p.write("web/page", "one")
	p.write("tool/Dockerfile", "ARG BASE\nFROM ${BASE:-scratch}\nLABEL made=by-hand\n")
	p.write("tool/build.sh", `set -e
echo "tool on $BASE as $IMAGE, push $PUSH_IMAGE"
cat > inner.yaml <<END
{apiVersion: skaffold/v4beta14, kind: Config, build: {artifacts: [{image: "$IMAGE_REPO", docker: {buildArgs: {BASE: "$BASE"}}}]}}
END
SKAFFOLD_DEFAULT_REPO= "$DAVIT" build -f inner.yaml -t "$IMAGE_TAG"
`)
	p.env = append(p.env, "DAVIT="+suite.davit)
	return p
}

func TestArtifactsOnOneAnotherAndTestsOfImages(t *testing.T) {
	p := artifactsProject(t)
	first := p.davit("run").ok()
	first.says("[build] all builds start in "+p.dir, "[build] all builds done", "web is tested as localhost:", "deployment.apps/", "as built", "as built")
	if !strings.Contains(first.stdout, "tool on localhost:5000/base:") || !strings.Contains(first.stdout, "push true") {
		t.Errorf("the build command was told something else:\n%s", first.stdout)
	}
	if strings.Contains(first.stderr, "no manifest uses") {
		t.Errorf("a base is in use:\n%s", first.stderr)
	}
	p.davit("run").ok().saysNot("Starting build...", "configured")

	p.replace("web/page", "one", "two")
	p.davit("run").ok().says("base: Found", "Building [web]").saysNot("Building [base]", "Building [tool]", "deployment.apps/tool configured")

	p.write("base/which", p.namespace+", changed")
	p.davit("run").ok().says("Building [base]", "Building [").saysNot("unchanged")

	p.replace("skaffold.yaml", "echo web is tested as $IMAGE", "echo broken; exit 7")
	p.replace("web/page", "two", "three")
	generations := p.generations()
	p.davit("run").fails(1).complains("web", "exit 7", "exit code 7")
	if now := p.generations(); now != generations {
		t.Errorf("a failing test did not keep the image out of the cluster: %s, then %s", generations, now)
	}
	p.davit("run", "--skip-tests").ok().says("deployment.apps/web configured")
}

// generations are those of the deployments, which grow with each change.
func (p *project) generations() string {
	p.t.Helper()
	list, err := suite.client.AppsV1().Deployments(p.namespace).List(p.t.Context(), metav1.ListOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	var all []string
	for _, d := range list.Items {
		all = append(all, d.Name+string(rune('0'+d.Generation)))
	}
	return strings.Join(all, " ")
}

func TestAttestations(t *testing.T) {
	p := newProject(t)
	p.buildBinary()
	compiler, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	p.env = append(p.env, "PATH="+filepath.Dir(compiler)+":/usr/bin:/bin")
	p.davit("build", "--sbom").fails(1).complains("no SBOM can be made", "davit-sbom")

	p.davit("run", "--provenance").ok().says("Successfully built", "as built")
	ref := regexp.MustCompile(`localhost:\S+@sha256:[0-9a-f]{64}`).FindString(p.davit("build", "--provenance", "-q").ok().stdout)
	parsed, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(parsed)
	if err != nil {
		t.Fatalf("what was attested is no index: %v", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(manifest.Manifests, func(d v1.Descriptor) bool {
		return d.Annotations["vnd.docker.reference.type"] == "attestation-manifest"
	}) {
		t.Errorf("no attestation in %s: %+v", ref, manifest.Manifests)
	}
}

func TestKustomizationsAndCharts(t *testing.T) {
	p := newProject(t)
	p.buildBinary()
	p.write("skaffold.yaml", `apiVersion: skaffold/v4beta14
kind: Config
metadata: {name: shop}
build:
  artifacts: [{image: web}]
manifests:
  kustomize: {paths: [overlay]}
  helm:
    releases:
    - name: shop
      chartPath: chart
      setValueTemplates: {image.repository: "{{.IMAGE_REPO_web}}", image.tag: "{{.IMAGE_TAG_web}}"}
`)
	deployment := func(name, image string) string {
		return strings.NewReplacer("NAME", name, "IMAGE", image).Replace(`apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: "IMAGE"}]}
`)
	}
	p.write("base/kustomization.yaml", "resources: [web.yaml]\n")
	p.write("base/web.yaml", deployment("kustomized", "web"))
	p.write("overlay/kustomization.yaml", "resources: [../base]\nnamePrefix: prod-\n")
	p.write("chart/Chart.yaml", "apiVersion: v2\nname: chart\nversion: 0.1.0\n")
	p.write("chart/values.yaml", "image: {repository: none, tag: none}\n")
	p.write("chart/templates/web.yaml", deployment("{{ .Release.Name }}-charted", "{{ .Values.image.repository }}:{{ .Values.image.tag }}"))

	p.davit("run", "-l", "team=x").ok().says("deployment.apps/prod-kustomized created", "as built", "as built")
	list, err := suite.client.AppsV1().Deployments(p.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 2 {
		t.Fatalf("%d deployments, %v", len(list.Items), err)
	}
	for _, d := range list.Items {
		if image := d.Spec.Template.Spec.Containers[0].Image; !strings.Contains(image, "@sha256:") || d.Spec.Template.Labels["team"] != "x" {
			t.Errorf("%s runs %s with labels %v", d.Name, image, d.Spec.Template.Labels)
		}
	}
	p.davit("run", "-l", "team=x").ok().says("unchanged", "unchanged").saysNot("configured", "Starting build...")
	p.davit("plan", "-l", "team=x", "--exit-code").ok()
	p.davit("delete").ok().says("deployment.apps/").saysNot("kept")
	if list, err = suite.client.AppsV1().Deployments(p.namespace).List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) != 0 {
		t.Errorf("%d deployments are left, %v", len(list.Items), err)
	}
}

func TestBuildHereDeployThere(t *testing.T) {
	p := newProject(t)
	p.buildBinary()
	p.davit("build", "--file-output", "build.json").ok()
	p.davit("deploy").fails(1).complains("no tag is given for image", "--build-artifacts")
	p.davit("deploy", "-a", "build.json", "--default-repo", "elsewhere.example.com").ok().says("deployment.apps/my-web-app created", "as built")
	p.running()
	p.davit("deploy", "-a", "build.json", "--load-images").ok().complains("--load-images: the nodes of the cluster get images by themselves").says("unchanged")
}
