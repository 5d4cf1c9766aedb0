//go:build e2e

package e2e

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/internal/engine/enginetest"
)

// foreignTool writes what processor it runs on. It needs nothing but the system.
const foreignTool = `package main

import (
	"os"
	"runtime"
)

func main() {
	if err := os.WriteFile("/made-on", []byte(runtime.GOARCH), 0o644); err != nil {
		panic(err)
	}
}
`

// TestForeignCode builds an image for linux/arm64 whose RUN step is a program for it: an error that says what to do where nothing can run that, and an
// image where QEMU can.
func TestForeignCode(t *testing.T) {
	p := newProject(t)
	p.write("skaffold.yaml", `apiVersion: skaffold/v4beta14
kind: Config
build:
  artifacts: [{image: foreign, context: foreign, docker: {network: host}}]
`)
	p.write("tool/main.go", foreignTool)
	p.write("tool/go.mod", "module example.com/tool\n")
	compile := exec.Command("go", "build", "-o", "../foreign/tool", ".")
	compile.Dir = filepath.Join(p.dir, "tool")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64", "GOCACHE="+suite.gocache)
	p.write("foreign/Dockerfile", "FROM scratch\nCOPY tool which /\nRUN [\"/tool\"]\n")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	build := func(which string) result {
		p.write("foreign/which", p.namespace+which)
		return p.davit("build", "--platform", "linux/arm64", "-t", which)
	}
	build("none").fails(1).complains("Dockerfile:3", `RUN ["/tool"]`, "it runs a program for linux/arm64", "QEMU", "apt-get install qemu-user-static binfmt-support", "$BUILDPLATFORM")
	emulateArm(t)
	build("carried").ok().says("with BuildKit carried by davit")
	p.madeOnArm("carried")
	p.env = append(p.env, "DOCKER_HOST="+enginetest.Start(t).Host)
	build("engine").ok().says("with Docker Engine at")
	p.madeOnArm("engine")
}

// emulateArm lets the kernel run programs for arm64 by QEMU until the test ends, also in containers: the flag F opens QEMU now.
func emulateArm(t *testing.T) {
	t.Helper()
	const folder, handler = "/proc/sys/fs/binfmt_misc", "davit-test-aarch64"
	if _, err := os.Stat(folder + "/register"); errors.Is(err, fs.ErrNotExist) {
		if err := syscall.Mount("binfmt_misc", folder, "binfmt_misc", 0, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(folder, 0); err != nil {
				t.Error(err)
			}
		})
	}
	const header, mask = `\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00`, `\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`
	rule := ":" + handler + ":M::" + header + ":" + mask + ":/usr/bin/qemu-aarch64-static:F"
	if err := os.WriteFile(folder+"/register", []byte(rule), 0); err != nil {
		t.Fatalf("this test needs QEMU (apt-get install qemu-user-static) and a kernel with binfmt_misc: %v", err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(filepath.Join(folder, handler), []byte("-1"), 0); err != nil {
			t.Error(err)
		}
	})
}

// fileOf is a file of an image; empty where there is none.
func fileOf(t *testing.T, image v1.Image, file string) string {
	t.Helper()
	content := mutate.Extract(image)
	defer content.Close()
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return ""
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Name != file {
			continue
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

// madeOnArm checks the image with a tag.
func (p *project) madeOnArm(tag string) {
	p.t.Helper()
	ref, err := name.ParseReference("localhost:5000/foreign:" + tag)
	if err != nil {
		p.t.Fatal(err)
	}
	image, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "arm64"}))
	if err != nil {
		p.t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		p.t.Fatal(err)
	}
	if got := fileOf(p.t, image, "made-on"); config.Architecture != "arm64" || got != "arm64" {
		p.t.Errorf("the image is for %s and was made on %q", config.Architecture, got)
	}
}

// TestMixedCluster adds a node for arm64 to the cluster, for as long as it takes: images are made for both platforms, and pods come to nodes that
// can run them. It does not run beside other tests, whose images would be made for both as well.
func TestMixedCluster(t *testing.T) {
	p := newProject(t)
	p.write("skaffold.yaml", `apiVersion: skaffold/v4beta14
kind: Config
build:
  artifacts:
  - {image: here, context: image, platforms: [linux/amd64]}
  - {image: there, context: image, platforms: [linux/arm64]}
  - {image: anywhere, context: image}
manifests: {rawYaml: [pods.yaml]}
`)
	p.write("image/Dockerfile", "FROM scratch\nCOPY which /\nENTRYPOINT [\"/nothing\"]\n")
	p.write("image/which", p.namespace)
	everywhere := func(image string) string {
		return strings.Replace(strings.Replace(sleeper(image), "containers:", "tolerations: [{operator: Exists}], containers:", 1), "selector:", "replicas: 3\n  selector:", 1)
	}
	p.write("pods.yaml", everywhere("here")+everywhere("there")+everywhere("anywhere"))
	p.davit("build").ok() // what both runs need, so that the node is not there for long

	node := p.addArmNode()
	p.davit("run", "--status-check=false").ok().says("anywhere: Not found. Building")
	bound := p.nodesOfPods(9)
	d, err := suite.client.AppsV1().Deployments(p.namespace).Get(t.Context(), "anywhere", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.removeNode(node)
	for _, n := range bound["here"] {
		if n == node {
			t.Errorf("a pod of an image for amd64 came to the node for arm64")
		}
	}
	for _, n := range bound["there"] {
		if n != node {
			t.Errorf("a pod of an image for arm64 came to the node %s", n)
		}
	}
	affinity, err := json.Marshal(d.Spec.Template.Spec.Affinity)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(affinity); !strings.Contains(text, `"amd64"`) || !strings.Contains(text, `"arm64"`) {
		t.Errorf("pods of an image for both are kept by %s", text)
	}
}

// addArmNode adds a node that no machine stands behind, and that pods of others do not come to.
func (p *project) addArmNode() string {
	p.t.Helper()
	room := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("4Gi"), corev1.ResourcePods: resource.MustParse("20")}
	node, err := suite.client.CoreV1().Nodes().Create(p.t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: p.namespace + "-arm", Labels: map[string]string{corev1.LabelOSStable: "linux", corev1.LabelArchStable: "arm64"}},
		Spec:       corev1.NodeSpec{Taints: []corev1.Taint{{Key: "davit.dev/test", Effect: corev1.TaintEffectNoSchedule}}},
		Status: corev1.NodeStatus{
			Capacity: room, Allocatable: room, NodeInfo: corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: "arm64"},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now()}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = suite.client.CoreV1().Nodes().Delete(context.Background(), node.Name, metav1.DeleteOptions{})
	})
	return node.Name
}

// removeNode removes a node and the pods that were bound to it, which no machine ends.
func (p *project) removeNode(node string) {
	p.t.Helper()
	if err := suite.client.AppsV1().Deployments(p.namespace).DeleteCollection(p.t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		p.t.Fatal(err)
	}
	pods := suite.client.CoreV1().Pods(p.namespace)
	if err := pods.DeleteCollection(p.t.Context(), metav1.DeleteOptions{GracePeriodSeconds: new(int64)}, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node}); err != nil {
		p.t.Fatal(err)
	}
	if err := suite.client.CoreV1().Nodes().Delete(p.t.Context(), node, metav1.DeleteOptions{}); err != nil {
		p.t.Fatal(err)
	}
}

// nodesOfPods waits until so many pods have a node, and gives those of each app.
func (p *project) nodesOfPods(count int) map[string][]string {
	p.t.Helper()
	for range 6000 {
		list, err := suite.client.CoreV1().Pods(p.namespace).List(p.t.Context(), metav1.ListOptions{})
		if err != nil {
			p.t.Fatal(err)
		}
		found, bound := map[string][]string{}, 0
		for _, pod := range list.Items {
			if pod.Spec.NodeName != "" {
				found[pod.Labels["app"]] = append(found[pod.Labels["app"]], pod.Spec.NodeName)
				bound++
			}
		}
		if bound == count {
			return found
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.t.Fatal("the pods are not scheduled")
	return nil
}
