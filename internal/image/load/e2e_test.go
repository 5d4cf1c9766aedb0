//go:build e2e && linux

package load_test

import (
	"context"
	"crypto/rand"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	docker "github.com/moby/moby/client"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/image/load"
	"github.com/davit-dev/davit/internal/kube"
)

// Where kubebox keeps its containerd.
const (
	kubeboxSocket = "/run/kubebox/containerd.sock"
	kubeboxConfig = "/var/lib/kubebox/containerd.toml"
)

// TestPods loads an image into a real cluster and proves that its pods run what was built. DAVIT_TEST_KUBECONFIG names kubebox's kubeconfig.
//
// Real are the cluster with its containerd and kubelet, the Docker Engine, the image and davit's proof. What stands in: kubebox's node is no container,
// so one with the label of kind's nodes and a ctr leads to the node's containerd.
func TestPods(t *testing.T) {
	kubeconfig := os.Getenv("DAVIT_TEST_KUBECONFIG")
	if kubeconfig == "" {
		t.Fatal("DAVIT_TEST_KUBECONFIG must name the kubeconfig of a kubebox (kubebox kubeconfig --path)")
	}
	ctx := t.Context()
	b := newBench(t)
	b.nodeImage(t)
	b.door(t)
	namespace := "davit-" + strings.ToLower(rand.Text()[:10])
	app := b.build(t, "davit-loaded:v1", "FROM scratch\nCOPY busybox /bin/busybox\nCOPY unique /\nCMD [\"/bin/busybox\", \"sleep\", \"100000\"]\n",
		map[string]string{"busybox": "busybox", "unique": namespace})
	loaded, err := load.New(b.docker, load.Cluster{Kind: load.KinD, Name: "kubebox", Load: true}).Load(ctx, []load.Image{app}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := b.ctr("kubebox-control-plane", "images", "rm", "docker.io/library/"+loaded[0].Ref); err != nil {
			t.Error(err)
		}
	})

	c, err := kube.Connect(kube.Options{Kubeconfig: []string{kubeconfig}, CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	set := kube.Set{Name: "davit-loaded", Namespace: namespace}
	objects := []kube.Object{
		object(t, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": namespace}}),
		object(t, map[string]any{
			"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "loaded", "namespace": namespace},
			"spec": map[string]any{
				"terminationGracePeriodSeconds": int64(0),
				"containers":                    []any{map[string]any{"name": "app", "image": loaded[0].Ref}},
			},
		}),
	}
	applied, err := c.Apply(ctx, set, objects, kube.ApplyOptions{}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Delete(context.WithoutCancel(t.Context()), set, objects, kube.DeleteOptions{Foreground: true, Deadline: 5 * time.Minute}, quiet); err != nil {
			t.Error(err)
		}
	})
	rollout, err := c.Wait(ctx, applied.Objects, kube.WaitOptions{Deadline: 5 * time.Minute}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	var proved []string
	sink := event.SinkFunc(func(e event.Event) {
		if w, ok := e.(event.WorkloadProved); ok {
			for _, c := range w.Containers {
				proved = append(proved, c.Image+" "+c.Digest)
			}
		}
	})
	err = kube.Prove(rollout, []kube.Built{{Image: app.Name, Digests: loaded[0].Digests, Refs: []string{loaded[0].Ref}}}, sink)
	// The kubelet reports the image by the id that the Docker Engine gave it.
	if want := []string{app.Name + " " + app.ID}; err != nil || !slices.Equal(proved, want) {
		t.Errorf("proved %q, want %q; error %v", proved, want, err)
	}
	err = kube.Prove(rollout, []kube.Built{{Image: app.Name, Digests: []string{"sha256:another"}, Refs: []string{loaded[0].Ref}}}, quiet)
	if err == nil || !strings.Contains(err.Error(), "container app runs sha256:") {
		t.Errorf("another image was taken for this one: %v", err)
	}
}

// door starts the container that leads to kubebox's containerd.
func (b *bench) door(t *testing.T) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	created, err := b.client.ContainerCreate(ctx, docker.ContainerCreateOptions{
		Name: "kubebox-control-plane",
		Config: &container.Config{
			Image: "node:v1", Cmd: sleep,
			Labels: map[string]string{"io.x-k8s.kind.cluster": "kubebox", "io.x-k8s.kind.role": "control-plane"},
		},
		HostConfig: &container.HostConfig{NetworkMode: "none", Tmpfs: map[string]string{"/tmp": ""}, Binds: []string{
			kubeboxSocket + ":/run/containerd/containerd.sock", kubeboxConfig + ":/etc/containerd/config.toml",
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.client.ContainerStart(ctx, created.ID, docker.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := b.client.ContainerRemove(ctx, created.ID, docker.ContainerRemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	})
}

func object(t *testing.T, fields map[string]any) kube.Object {
	t.Helper()
	o, err := kube.NewObject(fields, "")
	if err != nil {
		t.Fatal(err)
	}
	return o
}
