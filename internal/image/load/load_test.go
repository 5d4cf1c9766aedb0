//go:build linux

package load_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	docker "github.com/moby/moby/client"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/classic"
	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/engine/enginetest"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/image/load"
)

// bench is a Docker Engine with nodes in it.
//
// What is real here: the Docker Engine, the images, and the containerd with its ctr in each node, with which davit works as with kind's. What stands in:
// a node is a container with the labels that kind or k3d give theirs, made here from the machine's containerd and without a kubelet. That pods run what
// was loaded is tried in TestPods.
type bench struct {
	docker engine.Endpoint
	client *docker.Client
}

func newBench(t *testing.T) *bench {
	e := enginetest.Start(t)
	return &bench{docker: e, client: enginetest.Open(t, e)}
}

// build makes an image and returns it.
func (b *bench) build(t *testing.T, ref, dockerfile string, files map[string]string) load.Image {
	t.Helper()
	all := map[string]string{"Dockerfile": dockerfile}
	for name, content := range files {
		all[name] = content
	}
	dir := enginetest.Project(t, all)
	result, err := classic.New(classic.Options{Docker: b.docker, DockerConfig: t.TempDir()}).Build(t.Context(), build.Request{
		Image: ref, Ref: ref, Spec: build.Docker{Context: dir, Dockerfile: filepath.Join(dir, "Dockerfile"), Network: "host"},
	}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(ref, ":")
	return load.Image{Name: name, Ref: ref, ID: result.ImageID}
}

var quiet = event.SinkFunc(func(event.Event) {})

// nodeImage makes an image with the machine's containerd and ctr, and the libraries that they need.
func (b *bench) nodeImage(t *testing.T) {
	t.Helper()
	files := map[string]string{
		"busybox": "busybox",
		// Not containerd's default snapshotter: davit has to find out. It works on every file system.
		"config.toml": "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\n  snapshotter = \"native\"\n",
	}
	dockerfile := "FROM scratch\nCOPY root /\nCOPY busybox /bin/busybox\nCOPY config.toml /etc/containerd/config.toml\nENV PATH=/usr/bin\n"
	for _, program := range []string{"containerd", "ctr"} {
		path, err := exec.LookPath(program)
		if err != nil {
			t.Fatalf("this test needs containerd and ctr (apt-get install containerd): %v", err)
		}
		files["root/usr/bin/"+program] = read(t, path)
		out, err := exec.Command("ldd", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		for field := range strings.FieldsSeq(string(out)) {
			if filepath.IsAbs(field) {
				files["root"+field] = read(t, field)
			}
		}
	}
	b.build(t, "node:v1", dockerfile, files)
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// sleep is the command of a container that does nothing.
var sleep = []string{"/bin/busybox", "sleep", "100000"}

// start starts a container.
func (b *bench) start(t *testing.T, name string, labels, tmpfs map[string]string, command ...string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	created, err := b.client.ContainerCreate(ctx, docker.ContainerCreateOptions{
		Name:   name,
		Config: &container.Config{Image: "node:v1", Cmd: command, Labels: labels},
		// Not privileged: a machine that is a container itself may lack capabilities.
		HostConfig: &container.HostConfig{
			CapAdd: []string{"SYS_ADMIN"}, SecurityOpt: []string{"seccomp=unconfined", "apparmor=unconfined"}, NetworkMode: "none", Tmpfs: tmpfs,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.client.ContainerStart(ctx, created.ID, docker.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := b.client.ContainerRemove(ctx, created.ID, docker.ContainerRemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
			t.Error(err)
		}
	})
}

// run starts a node and waits until its containerd answers. room is what its containerd may fill, such as size=5m; "" for any.
func (b *bench) run(t *testing.T, name string, labels map[string]string, room string) {
	t.Helper()
	b.start(t, name, labels, map[string]string{"/run": "", "/tmp": "", "/var/lib/containerd": room}, "containerd")
	for deadline := time.Now().Add(5 * time.Minute); ; {
		if _, err := b.ctr(name, "version"); err == nil {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("the containerd of %s does not answer: %v", name, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// ctr asks a node by other means than davit's: with the docker command.
func (b *bench) ctr(node string, args ...string) (string, error) {
	cmd := exec.Command("docker", append([]string{"--host", b.docker.Host, "exec", node, "ctr", "--namespace=k8s.io"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return string(out), err
}

// notes collects what people are told.
type notes struct {
	mu  sync.Mutex
	all []string
}

func (n *notes) Emit(e event.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e, ok := e.(event.Note); ok {
		n.all = append(n.all, e.Message)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.nodeImage(t)
	const dockerfile = "FROM scratch\nCOPY file /\n"
	app := b.build(t, "app:v1", dockerfile, map[string]string{"file": "app"})
	team := b.build(t, "registry.example.com/team/web:v1", dockerfile, map[string]string{"file": "web"})
	big := b.build(t, "big:v1", dockerfile, map[string]string{"file": strings.Repeat("big", 10<<20)})

	b.run(t, "dev-control-plane", map[string]string{"io.x-k8s.kind.cluster": "dev", "io.x-k8s.kind.role": "control-plane"}, "")
	b.run(t, "dev-worker", map[string]string{"io.x-k8s.kind.cluster": "dev", "io.x-k8s.kind.role": "worker"}, "")
	b.run(t, "k3d-dev-server-0", map[string]string{"k3d.cluster": "dev", "k3d.role": "server"}, "")
	// These run no containerd: who tries to load into one of them fails.
	b.start(t, "dev-external-load-balancer", map[string]string{"io.x-k8s.kind.cluster": "dev", "io.x-k8s.kind.role": "external-load-balancer"}, nil, sleep...)
	b.start(t, "other-control-plane", map[string]string{"io.x-k8s.kind.cluster": "other", "io.x-k8s.kind.role": "control-plane"}, nil, sleep...)
	b.start(t, "k3d-dev-serverlb", map[string]string{"k3d.cluster": "dev", "k3d.role": "loadbalancer"}, nil, sleep...)

	has := func(node string, i load.Image) bool {
		name, _, _ := strings.Cut(i.Ref, ":v1")
		if !strings.Contains(name, "/") {
			name = "docker.io/library/" + name
		}
		out, err := b.ctr(node, "images", "check", "--snapshotter=native", "name=="+name+":"+strings.TrimPrefix(i.ID, "sha256:"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(out, "complete")
	}
	dev := load.Cluster{Kind: load.KinD, Name: "dev", Local: true, Load: true}

	t.Run("into all nodes of kind", func(t *testing.T) {
		told := &notes{}
		loaded, err := load.New(b.docker, dev).Load(t.Context(), []load.Image{app, team}, told)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range []load.Image{app, team} {
			if !has("dev-control-plane", i) || !has("dev-worker", i) {
				t.Errorf("%s is not in the nodes of the cluster", i.Name)
			}
		}
		if want := "app:" + strings.TrimPrefix(app.ID, "sha256:"); loaded[0].Ref != want || loaded[0].Image != app {
			t.Errorf("loaded %+v, want reference %s", loaded[0], want)
		}
		if want := "registry.example.com/team/web:" + strings.TrimPrefix(team.ID, "sha256:"); loaded[1].Ref != want {
			t.Errorf("reference %s, want %s", loaded[1].Ref, want)
		}
		if loaded[0].Digests[0] != app.ID || len(loaded[0].Digests) != 2 || slices.Contains(loaded[1].Digests, loaded[0].Digests[1]) {
			t.Errorf("digests %v and %v", loaded[0].Digests, loaded[1].Digests)
		}
		if want := []string{"app: loading into 2 of 2 nodes", "registry.example.com/team/web: loading into 2 of 2 nodes"}; !slices.Equal(told.all, want) {
			t.Errorf("told %q", told.all)
		}
		// Where the kubelet looks for it: unpacked by the snapshotter of the node's configuration.
		if out, err := b.ctr("dev-worker", "snapshots", "--snapshotter=native", "list"); err != nil || !strings.Contains(out, "Committed") {
			t.Errorf("snapshots %s, error %v", out, err)
		}
	})
	t.Run("only where it is missing", func(t *testing.T) {
		if _, err := b.ctr("dev-worker", "images", "rm", "docker.io/library/app:"+strings.TrimPrefix(app.ID, "sha256:")); err != nil {
			t.Fatal(err)
		}
		told := &notes{}
		loaded, err := load.New(b.docker, dev).Load(t.Context(), []load.Image{app, team}, told)
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"app: loading into 1 of 2 nodes", "registry.example.com/team/web: found in 2 of 2 nodes"}; !slices.Equal(told.all, want) || !has("dev-worker", app) {
			t.Errorf("told %q", told.all)
		}
		if len(loaded[0].Digests) != 2 || len(loaded[1].Digests) != 2 {
			t.Errorf("digests %v and %v", loaded[0].Digests, loaded[1].Digests)
		}
	})
	t.Run("into k3d", func(t *testing.T) {
		loaded, err := load.New(b.docker, load.Cluster{Kind: load.K3d, Name: "dev", Load: true}).Load(t.Context(), []load.Image{app}, quiet)
		if err != nil {
			t.Fatal(err)
		}
		out, err := b.ctr("k3d-dev-server-0", "images", "list", "-q")
		if err != nil || !strings.Contains(out, "docker.io/library/"+loaded[0].Ref) {
			t.Errorf("images %s, error %v", out, err)
		}
	})
	t.Run("shared with the Docker Engine", func(t *testing.T) {
		loaded, err := load.New(b.docker, load.Cluster{Kind: load.Shared}).Load(t.Context(), []load.Image{app}, quiet)
		if err != nil {
			t.Fatal(err)
		}
		if id, err := engine.ImageID(t.Context(), b.client, loaded[0].Ref); err != nil || id != app.ID || !slices.Equal(loaded[0].Digests, []string{app.ID}) {
			t.Errorf("the Engine has %s as %s (%v), digests %v", id, loaded[0].Ref, err, loaded[0].Digests)
		}
	})
	t.Run("no such cluster", func(t *testing.T) {
		_, err := load.New(b.docker, load.Cluster{Kind: load.KinD, Name: "gone", Load: true}).Load(t.Context(), []load.Image{app}, quiet)
		if err == nil || !strings.Contains(err.Error(), "loading images into the kind cluster gone: the Docker Engine at "+b.docker.Host+" runs no container with the label io.x-k8s.kind.cluster=gone") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a runtime that cannot be reached", func(t *testing.T) {
		c := load.Cluster{Kind: load.Minikube, Name: "m", Load: true, Profile: load.Profile{Runtime: "cri-o"}}
		_, err := load.New(b.docker, c).Load(t.Context(), []load.Image{app}, quiet)
		if err == nil || !strings.Contains(err.Error(), "davit cannot reach into nodes that run cri-o: give the cluster a registry") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a node that fails", func(t *testing.T) {
		b.run(t, "full-control-plane", map[string]string{"io.x-k8s.kind.cluster": "full", "io.x-k8s.kind.role": "control-plane"}, "size=5m")
		_, err := load.New(b.docker, load.Cluster{Kind: load.KinD, Name: "full", Load: true}).Load(t.Context(), []load.Image{big}, quiet)
		if err == nil || !strings.Contains(err.Error(), "in node full-control-plane") || !strings.Contains(err.Error(), "no space left on device") {
			t.Errorf("error %v", err)
		}
	})
}
