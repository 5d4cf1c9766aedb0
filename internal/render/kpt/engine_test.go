//go:build linux

package kpt_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	docker "github.com/moby/moby/client"

	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/engine/enginetest"
	"github.com/davit-dev/davit/internal/render/kpt"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// function puts a stand-in for the function's image into the Engine: a script that gets a ResourceList and prints one.
func function(t *testing.T, client *docker.Client, f kpt.Function, script string) {
	t.Helper()
	shell, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("this test needs a static busybox (apt-get install busybox-static): %v", err)
	}
	install(t, client, f, shell, "/bin/busybox", "sh", "-c", script)
}

// install puts an image for the function into the Engine that has one program, the entrypoint's.
func install(t *testing.T, client *docker.Client, f kpt.Function, program []byte, entrypoint ...string) {
	t.Helper()
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	for name, content := range map[string][]byte{strings.TrimPrefix(entrypoint[0], "/"): program, "etc/passwd": []byte("nobody:x:65534:65534::/:/bin/false\n")} {
		check(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}))
		_, err := w.Write(content)
		check(t, err)
	}
	check(t, w.Close())
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files.Bytes())), nil })
	check(t, err)
	image, err := mutate.AppendLayers(empty.Image, layer)
	check(t, err)
	file, err := image.ConfigFile()
	check(t, err)
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", "amd64"
	file.Config = v1.Config{Entrypoint: entrypoint, Env: []string{"PATH=/bin"}}
	image, err = mutate.ConfigFile(image, file)
	check(t, err)
	tag, err := name.NewTag(f.Image)
	check(t, err)
	var archive bytes.Buffer
	check(t, tarball.Write(tag, image, &archive))
	check(t, engine.Load(t.Context(), client, &archive))
}

// TestFunctionInEngine runs functions where there is no kpt command: as containers that see the protocol of KRM functions.
func TestFunctionInEngine(t *testing.T) {
	endpoint := enginetest.Start(t)
	client := enginetest.Open(t, endpoint)
	o := kpt.Options{
		Dir: t.TempDir(), DockerConfig: t.TempDir(), Engine: func() (engine.Endpoint, error) { return endpoint, nil },
		LookPath: func(string) (string, error) { return "", exec.ErrNotFound },
	}
	f, err := kpt.Transformer("set-labels", []string{"team:shop"})
	check(t, err)
	// It puts its setting and who it runs as into the name, so that both are seen.
	function(t, client, f, `in=$(busybox cat); team=$(echo "$in" | busybox sed -n "s/^ *team: *//p"); `+
		`echo "$in" | busybox sed "s/name: a\b/name: a-$team-$(busybox id -u)/"`)
	all, err := kpt.Run(t.Context(), f, objects(t, rendered), o, quiet)
	check(t, err)
	if got, want := text(t, all), strings.Replace(rendered, "name: a", "name: a-shop-65534", 1); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := all[0].Origin(); got != "k8s/web.yaml:2" {
		t.Errorf("origin %s", got)
	}

	bad, err := kpt.Validator("kubeval", nil)
	check(t, err)
	function(t, client, bad, `busybox cat; printf 'results:\n- message: spec is missing\n  severity: error\n  resourceRef: {name: a}\n'; exit 1`)
	if _, err := kpt.Run(t.Context(), bad, objects(t, rendered), o, quiet); err == nil || err.Error() != "function kubeval: it ended with exit code 1: a spec is missing" {
		t.Errorf("error %v", err)
	}
	function(t, client, bad, `busybox cat > /dev/null; echo it is broken >&2; exit 2`)
	if _, err := kpt.Run(t.Context(), bad, objects(t, rendered), o, quiet); err == nil || err.Error() != "function kubeval: it ended with exit code 2: it is broken" {
		t.Errorf("error %v", err)
	}

	left, err := client.ContainerList(t.Context(), docker.ContainerListOptions{All: true})
	check(t, err)
	if len(left.Items) > 0 {
		t.Errorf("containers are left: %v", left.Items)
	}

	o.Engine = func() (engine.Endpoint, error) { return engine.Endpoint{Host: "unix:///nowhere/docker.sock"}, nil }
	_, err = kpt.Run(t.Context(), f, objects(t, rendered), o, quiet)
	for _, want := range []string{"there is no kpt command, and the Docker Engine at unix:///nowhere/docker.sock", "install kpt", "start Docker"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without anything: %v", err)
		}
	}
}

// TestRealFunctions runs functions of the catalogue that DAVIT_COMPAT_FUNCTIONS has, a folder with a static program for each, named like it. The kpt
// command that DAVIT_COMPAT_KPT names runs the same images in the same Engine, and gives the same objects.
func TestRealFunctions(t *testing.T) {
	programs, command := os.Getenv("DAVIT_COMPAT_FUNCTIONS"), os.Getenv("DAVIT_COMPAT_KPT")
	if programs == "" || command == "" {
		t.Skip("set DAVIT_COMPAT_FUNCTIONS to a folder with programs of kpt's catalogue, and DAVIT_COMPAT_KPT to a kpt binary")
	}
	endpoint := enginetest.Start(t)
	client := enginetest.Open(t, endpoint)
	alone := kpt.Options{
		Dir: t.TempDir(), DockerConfig: t.TempDir(), Engine: func() (engine.Endpoint, error) { return endpoint, nil },
		LookPath: func(string) (string, error) { return "", exec.ErrNotFound },
	}
	byCommand := kpt.Options{
		Dir: alone.Dir, Environ: append(os.Environ(), "DOCKER_HOST="+endpoint.Host), LookPath: func(string) (string, error) { return command, nil },
	}
	const input = `apiVersion: v1
kind: Namespace
metadata:
  name: old
---
# the shop
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop # its name
  namespace: old
  labels: {team: none}
spec:
  replicas: 1 # kpt-set: ${replicas}
  template:
    metadata:
      labels:
        app: shop
    spec:
      containers:
      - name: shop
        image: shop:v1 # kpt-set: shop:${version}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reads, namespace: old}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reads}
subjects: [{kind: ServiceAccount, name: default, namespace: old}]
`
	ran := 0
	for name, settings := range map[string][]string{
		"set-namespace": {"namespace:new"}, "set-labels": {"team:shop", "tier:web"}, "set-annotations": {"note:a b"}, "apply-setters": {"replicas:3", "version:v2"},
		"create-setters": {"version:v1"}, "ensure-name-substring": {"append:-x"}, "search-replace": {"by-value:shop", "put-value:store"}, "set-enforcement-action": {"enforcementAction:warn"},
	} {
		program, err := os.ReadFile(filepath.Join(programs, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		check(t, err)
		f, err := kpt.Transformer(name, settings)
		check(t, err)
		install(t, client, f, program, "/function")
		ours, err := kpt.Run(t.Context(), f, objects(t, input), alone, quiet)
		check(t, err)
		theirs, err := kpt.Run(t.Context(), f, objects(t, input), byCommand, quiet)
		check(t, err)
		if got, want := text(t, ours), text(t, theirs); got != want || got == text(t, objects(t, input)) {
			t.Errorf("%s in the Engine:\n%s\nby kpt:\n%s", name, got, want)
		}
		ran++
	}
	if ran == 0 {
		t.Errorf("%s has no program of the catalogue", programs)
	}
}
