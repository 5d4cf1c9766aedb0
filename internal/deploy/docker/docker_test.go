//go:build linux

package docker_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/davit-dev/davit/internal/deploy/docker"
	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/engine/enginetest"
	"github.com/davit-dev/davit/internal/event"
)

// host is an Engine with what was said while deploying to it.
type host struct {
	*testing.T
	client *client.Client
	mu     sync.Mutex
	said   []string
}

func newHost(t *testing.T) *host {
	return &host{T: t, client: enginetest.Open(t, enginetest.Start(t))}
}

// Emit writes down what a user would read.
func (h *host) Emit(e event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch e := e.(type) {
	case event.ObjectApplied:
		h.said = append(h.said, e.Resource+" "+e.Verb)
	case event.WorkloadProved:
		h.said = append(h.said, e.Resource+" runs "+e.Containers[0].Digest)
	case event.Warning:
		h.said = append(h.said, "warning: "+e.Message)
	case event.Note:
		h.said = append(h.said, e.Message)
	}
}

func (h *host) deployer() *docker.Deployer {
	h.said = nil
	return &docker.Deployer{Client: h.client, Config: h.TempDir(), Now: time.Now, Sink: h}
}

func (h *host) deploy(s docker.Set, images ...docker.Image) error {
	h.Helper()
	return h.deployWith(h.deployer(), s, images...)
}

func (h *host) deployWith(d *docker.Deployer, s docker.Set, images ...docker.Image) error {
	h.Helper()
	started, err := d.Start(h.Context(), s, byName(images))
	if err != nil {
		return err
	}
	return d.Settle(h.Context(), started)
}

// plans checks what a preview says, line by line, and that it did nothing.
func (h *host) plans(s docker.Set, want []string, images ...docker.Image) {
	h.Helper()
	before := h.containers()
	all, err := h.deployer().Preview(h.Context(), s, byName(images))
	if err != nil {
		h.Fatal(err)
	}
	var got []string
	for _, o := range all {
		line := o.Action + " " + o.Resource
		for _, c := range o.Changes {
			line += fmt.Sprintf("; %s: %v → %v", c.Path, c.Before, c.After)
		}
		got = append(got, strings.Join(append([]string{line}, o.Notes...), "; "))
	}
	if !slices.Equal(got, want) {
		h.Errorf("planned is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if now := h.containers(); !maps.Equal(now, before) {
		h.Errorf("a preview made %v of the containers %v", now, before)
	}
}

func byName(images []docker.Image) map[string]docker.Image {
	known := map[string]docker.Image{}
	for _, i := range images {
		known[strings.Split(i.Ref, ":")[0]] = i
	}
	return known
}

// ok checks that a deployment succeeded and said these things, among others.
func (h *host) ok(err error, want ...string) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
	for _, text := range want {
		if !slices.ContainsFunc(h.said, func(s string) bool { return strings.Contains(s, text) }) {
			h.Fatalf("%q was not said, but\n%s", text, strings.Join(h.said, "\n"))
		}
	}
}

// containers are the names and ids of all there are.
func (h *host) containers() map[string]string {
	h.Helper()
	all, err := h.client.ContainerList(h.Context(), client.ContainerListOptions{All: true})
	if err != nil {
		h.Fatal(err)
	}
	names := map[string]string{}
	for _, c := range all.Items {
		names[strings.TrimPrefix(c.Names[0], "/")] = c.ID
	}
	return names
}

// image puts an image with a shell into the Engine, which runs a script.
func (h *host) image(image, script string, health *v1.HealthConfig) docker.Image {
	h.Helper()
	shell, err := os.ReadFile("/bin/busybox")
	if err != nil {
		h.Fatalf("this test needs a static busybox (apt-get install busybox-static): %v", err)
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	for name, content := range map[string][]byte{"bin/busybox": shell, "www/index.html": []byte("hello from " + image)} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			h.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			h.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		h.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files.Bytes())), nil })
	if err != nil {
		h.Fatal(err)
	}
	made, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		h.Fatal(err)
	}
	made, err = mutate.ConfigFile(made, &v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: must(made.ConfigFile()).RootFS,
		Config: v1.Config{Cmd: []string{"/bin/busybox", "sh", "-c", script}, Healthcheck: health}})
	if err != nil {
		h.Fatal(err)
	}
	var archive bytes.Buffer
	if err := tarball.Write(must(name.NewTag(image)), made, &archive); err != nil {
		h.Fatal(err)
	}
	if err := engine.Load(h.Context(), h.client, &archive); err != nil {
		h.Fatal(err)
	}
	return docker.Image{Ref: image, ID: must(made.ConfigName()).String()}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// freePort gives a port of this machine that is free now, and that no program gets which takes any.
func freePort() uint16 {
	for {
		port := uint16(20000 + rand.N(9000)) //nolint:gosec // ports fit
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
}

const (
	serve = "trap 'exit 0' TERM; busybox httpd -f -p 8080 -h /www & wait"
	sleep = "trap 'exit 0' TERM; busybox sleep 1000 & wait"
)

// serves says of what runs serve when it does.
var serves = &v1.HealthConfig{Test: []string{"CMD", "busybox", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"}, Interval: 100 * time.Millisecond, Retries: 1000}

func TestDeploy(t *testing.T) {
	h := newHost(t)
	port := freePort()
	local := netip.MustParseAddr("127.0.0.1")
	set := docker.Set{Name: "davit-shop", Network: "davit-shop", Labels: map[string]string{"team": "blue"}, Wait: true, Containers: []docker.Container{
		{Image: "web", Ports: []docker.Port{{Container: 8080, Address: local, Local: port}}}, {Image: "back"}, {Image: "other"},
	}}
	web, back := h.image("web:1", serve, serves), h.image("back:1", sleep, nil)
	h.plans(set, []string{"create network/davit-shop", "create container/web", "create container/back; the image is pulled first"}, web, docker.Image{Ref: "back:9"})
	h.ok(h.deploy(set, web, back), "container/web created", "container/back created", "container/web runs "+web.ID, "container/back runs "+back.ID,
		fmt.Sprintf("container/web: port 8080 is at 127.0.0.1:%d", port), "warning: deploy.docker names the image other, which no artifact has")
	answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if page := must(io.ReadAll(answer.Body)); string(page) != "hello from web:1" {
		t.Errorf("the page is %q", page)
	}
	first := h.containers()
	made := must(h.client.ContainerInspect(t.Context(), "web", client.ContainerInspectOptions{})).Container
	if made.Config.Labels["team"] != "blue" || string(made.HostConfig.NetworkMode) != "davit-shop" {
		t.Errorf("labels %v, network %s", made.Config.Labels, made.HostConfig.NetworkMode)
	}

	h.ok(h.deploy(set, web, back), "container/web unchanged", "container/back unchanged", "container/web runs "+web.ID)
	if now := h.containers(); now["web"] != first["web"] || now["back"] != first["back"] {
		t.Errorf("containers %v became %v", first, now)
	}

	web = h.image("web:2", serve, serves)
	other := set
	other.Labels = map[string]string{"team": "red"}
	h.plans(set, []string{"replace container/web; image: web:1 → web:2", "unchanged container/back"}, web, back)
	h.plans(other, []string{"replace container/web; image: web:1 → web:2; labels.team: blue → red", "replace container/back; labels.team: blue → red"}, web, back)
	h.ok(h.deploy(set, web, back), "container/web replaced", "container/back unchanged", "container/web runs "+web.ID)
	if now := h.containers(); len(now) != 2 || now["web"] == first["web"] || now["back"] != first["back"] {
		t.Errorf("containers %v became %v", first, now)
	}

	// One that was stopped by hand runs again.
	must(h.client.ContainerStop(t.Context(), "back", client.ContainerStopOptions{}))
	h.plans(set, []string{"unchanged container/web", "replace container/back; state: exited → running"}, web, back)
	h.ok(h.deploy(set, web, back), "container/web unchanged", "container/back replaced")

	less := set
	less.Containers = set.Containers[1:2]
	h.plans(less, []string{"unchanged container/back", "orphan container/web"}, web, back)
	h.ok(h.deploy(less, web, back), "container/back unchanged", "warning: container/web was run before and is not in the config any more: it stays")

	h.ok(h.deployer().Delete(t.Context(), less), "container/web deleted", "container/back deleted", "network/davit-shop deleted")
	if now := h.containers(); len(now) != 0 {
		t.Errorf("after delete there are %v", now)
	}
	h.ok(h.deployer().Delete(t.Context(), less))
	if len(h.said) > 0 {
		t.Errorf("deleting nothing said %q", h.said)
	}
}

// TestNeighbours leaves alone what others made, and takes over what Skaffold did.
func TestNeighbours(t *testing.T) {
	h := newHost(t)
	app := h.image("app:1", serve, serves)
	must(h.client.NetworkCreate(t.Context(), "skaffold-network-x", client.NetworkCreateOptions{Labels: map[string]string{"skaffold.dev/run-id": "x"}}))
	run := func(name, network string, labels map[string]string) {
		made := must(h.client.ContainerCreate(t.Context(), client.ContainerCreateOptions{
			Name: name, Config: &container.Config{Image: "app:1", Labels: labels}, HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode(network)},
		}))
		must(h.client.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{}))
	}
	run("app", "none", nil)
	run("app-1", "skaffold-network-x", map[string]string{"skaffold.dev/run-id": "x"})
	theirs := h.containers()
	taken := must(net.Listen("tcp", "127.0.0.1:0"))
	defer taken.Close()
	port := uint16(taken.Addr().(*net.TCPAddr).Port) //nolint:gosec // ports fit
	set := docker.Set{Name: "davit-a", Network: "davit-a", Wait: true, Containers: []docker.Container{
		{Image: "app", Ports: []docker.Port{{Container: 8080, Address: netip.MustParseAddr("127.0.0.1"), Local: port}}},
	}}
	h.plans(set, []string{"create network/davit-a", "replace container/app-1; davit did not make it", "prune network/skaffold-network-x; no container is left in it"}, app)
	h.ok(h.deploy(set, app), "container/app-1 replaced", "network/skaffold-network-x deleted", fmt.Sprintf("warning: port %d of 127.0.0.1 is taken", port))
	if now := h.containers(); now["app"] != theirs["app"] || now["app-1"] == theirs["app-1"] || len(now) != 2 {
		t.Errorf("containers %v became %v", theirs, now)
	}
	// The other set's container finds it by the image's name.
	other := h.image("asks:1", "exec busybox wget -q -O - http://app:8080/", nil)
	second := docker.Set{Name: "davit-b", Network: "davit-a", Wait: true, Containers: []docker.Container{{Image: "asks"}}}
	h.ok(h.deploy(second, other), "container/asks created")
	h.ok(h.deployer().Delete(t.Context(), set), "container/app-1 deleted")
	h.ok(h.deployer().Delete(t.Context(), second), "container/asks deleted", "network/davit-a deleted")
	if now := h.containers(); now["app"] != theirs["app"] || len(now) != 1 {
		t.Errorf("after delete there are %v", now)
	}
}

func TestFailures(t *testing.T) {
	h := newHost(t)
	set := func(name string) docker.Set {
		return docker.Set{Name: name, Network: "davit-bad", Wait: true, Deadline: 10 * time.Minute, Containers: []docker.Container{{Image: name}}}
	}
	sick := &v1.HealthConfig{Test: []string{"CMD", "busybox", "sh", "-c", "echo it hurts; exit 1"}, Interval: 100 * time.Millisecond, Retries: 2}
	for _, c := range []struct {
		name, script string
		health       *v1.HealthConfig
		want         []string
	}{
		{"crash", "echo no database; exit 3", nil, []string{"container/crash of image crash does not run: it ended with exit code 3", "\n    no database"}},
		{"sick", sleep, sick, []string{"container/sick of image sick does not run: its health check fails: it hurts"}},
	} {
		d := h.deployer()
		d.StaysUp = time.Hour // it may take its time to crash
		err := h.deployWith(d, set(c.name), h.image(c.name+":1", c.script, c.health))
		var failed *docker.ContainerError
		if !errors.As(err, &failed) || failed.Image != c.name {
			t.Fatalf("%s: error %v", c.name, err)
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v\nwant %s", c.name, err, want)
			}
		}
	}
	// What is mended takes its place.
	well := &v1.HealthConfig{Test: []string{"CMD", "busybox", "true"}, Interval: 100 * time.Millisecond, Retries: 1000}
	h.ok(h.deploy(set("crash"), h.image("crash:2", sleep, well)), "container/crash replaced")
	// A command that did its work is no failure.
	h.ok(h.deploy(set("once"), h.image("once:1", "exit 0", nil)), "container/once created")
	// Nobody wants to wait: it may crash.
	hasty := set("hasty")
	hasty.Wait = false
	h.ok(h.deploy(hasty, h.image("hasty:1", "busybox sleep 1; exit 3", nil)), "container/hasty created")
	if err := h.deploy(set("none"), docker.Image{Ref: "none:1@sha256:" + strings.Repeat("0", 64)}); err == nil || !strings.Contains(err.Error(), "pulling none:1") {
		t.Errorf("an image that is nowhere: %v", err)
	}
}
