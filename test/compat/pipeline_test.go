package compat

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/davit-dev/davit/internal/cli"
	"github.com/davit-dev/davit/internal/manifest"
)

// halves is a project that both tools can work on: its image is in a registry already, so that neither needs a builder.
type halves struct {
	t              *testing.T
	skaffold       string
	dir, home      string
	kubeconfig     string
	environ        []string
	digest, images string // of the image; the registry's address
}

func newHalves(t *testing.T) *halves {
	t.Helper()
	h := &halves{t: t, skaffold: reference(t), dir: t.TempDir(), home: t.TempDir()}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	h.images = strings.TrimPrefix(server.URL, "http://")
	h.push("v1")
	h.kubeconfig = filepath.Join(h.home, "none")
	if cluster := os.Getenv("DAVIT_TEST_KUBECONFIG"); cluster != "" {
		h.kubeconfig = cluster
	}
	h.environ = append(os.Environ(), "HOME="+h.home, "KUBECONFIG="+h.kubeconfig, "SKAFFOLD_UPDATE_CHECK=false", "TAG=v1")
	writeFiles(t, h.dir, map[string]string{
		"skaffold.yaml": `apiVersion: skaffold/v4beta13
kind: Config
metadata: {name: halves}
build:
  tagPolicy: {envTemplate: {template: "{{.TAG}}"}}
  local: {push: true}
  artifacts: [{image: ` + h.images + `/web, custom: {buildCommand: "true", dependencies: {paths: [web.yaml]}}}]
manifests:
  rawYaml: [web.yaml]
deploy: {kubectl: {}}
`,
		"web.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: web, image: ` + h.images + `/web}]
`,
	})
	return h
}

// push makes the image: a program that waits.
func (h *halves) push(tag string) {
	h.t.Helper()
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		program = []byte("no cluster will run this")
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "busybox", Mode: 0o755, Size: int64(len(program))}); err != nil {
		h.t.Fatal(err)
	}
	if _, err := w.Write(program); err != nil {
		h.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		h.t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		h.t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err == nil {
		img, err = mutate.ConfigFile(img, &v1.ConfigFile{
			OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{must(layer.DiffID())}},
			Config: v1.Config{Entrypoint: []string{"/busybox", "sleep", "3600"}},
		})
	}
	if err != nil {
		h.t.Fatal(err)
	}
	ref, err := name.ParseReference(h.images + "/web:" + tag)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		h.t.Fatal(err)
	}
	h.digest = must(img.Digest()).String()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// run runs one of the tools.
func (h *halves) run(tool string, args ...string) {
	h.t.Helper()
	if tool == "davit" {
		var out, errs bytes.Buffer
		w := cli.World{Stdout: &out, Stderr: &errs, Dir: h.dir, Home: h.home, CacheDir: filepath.Join(h.home, "cache"), Environ: h.environ, Now: time.Now}
		if code := cli.Main(w, args); code != 0 {
			h.t.Fatalf("davit %v: %s%s", args, out.String(), errs.String())
		}
		return
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.skaffold, args...)
	cmd.Dir, cmd.Env = h.dir, h.environ
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("skaffold %v: %v\n%s", args, err, out)
	}
}

// TestHalvesOfAPipeline gives each tool what the other built and rendered.
func TestHalvesOfAPipeline(t *testing.T) {
	h := newHalves(t)
	rendered := map[string][]map[string]any{}
	for _, builder := range []string{"skaffold", "davit"} {
		h.run(builder, "build", "--file-output", builder+".json")
		if want := `{"builds":[{"imageName":"` + h.images + `/web","tag":"` + h.images + "/web:v1@" + h.digest + `"}]}`; readFile(t, filepath.Join(h.dir, builder+".json")) != want {
			t.Errorf("%s writes %s, want %s", builder, readFile(t, filepath.Join(h.dir, builder+".json")), want)
		}
		for _, renderer := range []string{"skaffold", "davit"} {
			out := builder + "-" + renderer + ".yaml"
			h.run(renderer, "render", "-a", builder+".json", "--digest-source", "remote", "-l", "team=x", "-o", out)
			rendered[out] = h.values(out)
		}
		filter := exec.CommandContext(t.Context(), h.skaffold, "filter", "-a", builder+".json", "-l", "team=x")
		filter.Dir, filter.Env, filter.Stdin = h.dir, h.environ, strings.NewReader(readFile(t, filepath.Join(h.dir, "web.yaml")))
		text, err := filter.Output()
		if err != nil {
			t.Fatalf("skaffold filter: %v", err)
		}
		writeFiles(t, h.dir, map[string]string{"filtered.yaml": string(text)})
		rendered["filtered by skaffold"] = h.values("filtered.yaml")
	}
	for out, values := range rendered {
		if !reflect.DeepEqual(values, rendered["davit-davit.yaml"]) {
			t.Errorf("%s: %v\ndavit alone: %v", out, values, rendered["davit-davit.yaml"])
		}
	}
}

func (h *halves) values(file string) []map[string]any {
	h.t.Helper()
	objects, err := manifest.Parse(file, []byte(readFile(h.t, filepath.Join(h.dir, file))))
	if err != nil {
		h.t.Fatal(err)
	}
	var all []map[string]any
	for _, o := range objects {
		v, err := o.Value()
		if err != nil {
			h.t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

// TestHalvesOnACluster has one tool build and render, and the other deploy; Skaffold needs a kubectl for that.
func TestHalvesOnACluster(t *testing.T) {
	if os.Getenv("DAVIT_TEST_KUBECONFIG") == "" {
		t.Skip("set DAVIT_TEST_KUBECONFIG to a cluster on this machine, and have a kubectl")
	}
	for _, c := range []struct{ builds, renders, deploys string }{
		{"skaffold", "", "davit"}, {"davit", "", "skaffold"},
		{"skaffold", "skaffold", "davit"}, {"davit", "davit", "skaffold"}, {"skaffold", "davit", "skaffold"}, {"davit", "skaffold", "davit"},
	} {
		t.Run(strings.Join([]string{c.builds, c.renders, c.deploys}, "-"), func(t *testing.T) {
			h := newHalves(t)
			namespace := "halves-" + strings.ToLower(strings.ReplaceAll(h.images, ":", "-"))
			namespace = strings.ReplaceAll(namespace, ".", "-")
			h.kubectl("create", "namespace", namespace)
			t.Cleanup(func() { h.kubectl("delete", "namespace", namespace, "--wait=false") })
			h.run(c.builds, "build", "--file-output", "build.json", "--default-repo=") // davit would take the registry that the cluster advertises
			if c.renders == "" {
				h.run(c.deploys, "deploy", "-a", "build.json", "--default-repo=", "-n", namespace)
			} else {
				h.run(c.renders, "render", "-a", "build.json", "--default-repo=", "-n", namespace, "-o", "out.yaml", "--digest-source", "tag")
				h.run(c.deploys, "apply", "out.yaml", "-n", namespace)
			}
			var pods struct {
				Items []struct {
					Status struct{ ContainerStatuses []struct{ ImageID string } }
				}
			}
			if err := json.Unmarshal(h.kubectl("get", "pods", "-n", namespace, "-o", "json"), &pods); err != nil {
				t.Fatal(err)
			}
			if len(pods.Items) != 1 || len(pods.Items[0].Status.ContainerStatuses) != 1 || !strings.HasSuffix(pods.Items[0].Status.ContainerStatuses[0].ImageID, h.digest) {
				t.Errorf("want one pod that runs %s: %+v", h.digest, pods)
			}
		})
	}
}

func (h *halves) kubectl(args ...string) []byte {
	h.t.Helper()
	cmd := exec.Command("kubectl", args...)
	cmd.Env = h.environ
	out, err := cmd.Output()
	if err != nil {
		h.t.Fatalf("kubectl %v: %v", args, err)
	}
	return out
}
