package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	docker "github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/image"
)

// Image is one image in the Docker Engine.
type Image struct {
	Name string // the artifact's, as in the config
	Ref  string // where the Docker Engine has it: name:tag
	ID   string // "sha256:..." in the Docker Engine
}

// Loaded is an image as the cluster has it.
type Loaded struct {
	Image
	// Ref is what manifests have to name: the image's name with its id as the tag, which never means anything else, so that pods are replaced
	// when the image changes, and nodes that have it need not be asked again.
	Ref string
	// Digests are those under which a node may report the image: its configuration's, its manifest's.
	Digests []string
}

// Immutable is the reference of an image that never names another: name:<id in hex>, as Skaffold makes it.
func Immutable(name, id string) string { return name + ":" + strings.TrimPrefix(id, "sha256:") }

// Loader brings images from a Docker Engine into a cluster.
type Loader struct {
	docker  engine.Endpoint
	cluster Cluster
}

// New makes a Loader. The Docker Engine has the images and, as containers, the nodes. It does no I/O.
func New(docker engine.Endpoint, cluster Cluster) *Loader { return &Loader{docker, cluster} }

// Name gives the images their immutable references in the Docker Engine. The result is in the order of images.
func (l *Loader) Name(ctx context.Context, images []Image) ([]Loaded, error) {
	if len(images) == 0 {
		return nil, nil
	}
	client, err := engine.Open(l.docker)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	loaded := make([]Loaded, len(images))
	for i, built := range images {
		ref, err := image.Parse(built.Ref)
		if err != nil {
			return nil, err
		}
		loaded[i] = Loaded{Image: built, Ref: Immutable(ref.Name, built.ID), Digests: []string{built.ID}}
		if err := engine.Tag(ctx, client, built.ID, loaded[i].Ref); err != nil {
			return nil, err
		}
	}
	return loaded, nil
}

// Load names the images as Name does and, unless the cluster shares the Docker Engine, brings them into all nodes at once, but for nodes that have them
// already.
func (l *Loader) Load(ctx context.Context, images []Image, sink event.Sink) ([]Loaded, error) {
	loaded, err := l.Name(ctx, images)
	if err != nil || len(loaded) == 0 || !l.cluster.Load {
		return loaded, err
	}
	client, err := engine.Open(l.docker)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	nodes, err := l.nodes(ctx, client)
	if err == nil {
		err = distribute(ctx, client, nodes, loaded, sink)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("loading images into %s: %w", l.cluster, err)
	}
	return loaded, nil
}

// String names the cluster for people.
func (c Cluster) String() string {
	if c.Name == "" {
		return "the cluster"
	}
	return fmt.Sprintf("the %s cluster %s", c.Kind, c.Name)
}

// labels are what kind, k3d and minikube put on the containers of their nodes.
var labels = map[Kind]string{
	KinD: "io.x-k8s.kind.cluster", K3d: "k3d.cluster", Minikube: "name.minikube.sigs.k8s.io",
}

// nodes finds the nodes of the cluster that run pods.
func (l *Loader) nodes(ctx context.Context, client *docker.Client) ([]node, error) {
	if l.cluster.Kind == Minikube && l.cluster.Profile.Runtime != "containerd" {
		return nil, fmt.Errorf("davit cannot reach into nodes that run %s: give the cluster a registry and name it with --default-repo, "+
			"or make it with --container-runtime=docker or containerd", l.cluster.Profile.Runtime)
	}
	found, err := client.ContainerList(ctx, docker.ContainerListOptions{
		Filters: docker.Filters{}.Add("label", labels[l.cluster.Kind]+"="+l.cluster.Name),
	})
	if err != nil {
		return nil, fmt.Errorf("looking for its nodes in the Docker Engine at %s: %w", l.docker.Host, err)
	}
	var nodes []node
	for _, c := range found.Items {
		// Beside nodes there are load balancers and registries.
		role := c.Labels["io.x-k8s.kind.role"] + c.Labels["k3d.role"]
		if slices.Contains([]string{"external-load-balancer", "external-etcd", "loadbalancer", "registry", "noRole"}, role) || len(c.Names) == 0 {
			continue
		}
		nodes = append(nodes, node{client: client, name: strings.TrimPrefix(c.Names[0], "/"), kind: l.cluster.Kind})
	}
	if len(nodes) == 0 {
		return nil, fmt.Errorf("the Docker Engine at %s runs no container with the label %s=%s: is the cluster up, and in this Engine?",
			l.docker.Host, labels[l.cluster.Kind], l.cluster.Name)
	}
	return nodes, nil
}

// distribute brings the images into the nodes, and notes under which digests they are there.
func distribute(ctx context.Context, client *docker.Client, nodes []node, loaded []Loaded, sink event.Sink) error {
	known := make([]map[string]string, len(nodes)) // digests by reference, by node
	list := func(which []int) error {
		group, ctx := errgroup.WithContext(ctx)
		for _, i := range which {
			group.Go(func() (err error) {
				known[i], err = nodes[i].list(ctx, loaded)
				return err
			})
		}
		return group.Wait()
	}
	all := make([]int, len(nodes))
	for i := range nodes {
		all[i] = i
	}
	if err := list(all); err != nil {
		return err
	}
	// Nodes that lack the same images, mostly all of them, share one archive.
	sharing := map[string][]int{}
	for i := range nodes {
		if lacking := missing(known[i], loaded); len(lacking) > 0 {
			key := strings.Join(lacking, "\n")
			sharing[key] = append(sharing[key], i)
		}
	}
	announce(known, loaded, sink)
	group, groupCtx := errgroup.WithContext(ctx)
	for _, which := range sharing {
		group.Go(func() error {
			var into []node
			for _, i := range which {
				into = append(into, nodes[i])
			}
			return transfer(groupCtx, client, missing(known[which[0]], loaded), into)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if len(missing(known[0], loaded)) > 0 {
		if err := list(all[:1]); err != nil {
			return err
		}
	}
	return digests(ctx, nodes[0], known[0], loaded)
}

// missing gives the references of the images that are not known.
func missing(known map[string]string, images []Loaded) []string {
	var refs []string
	for _, i := range images {
		if known[normal(i.Ref)] == "" {
			refs = append(refs, i.Ref)
		}
	}
	return refs
}

func announce(known []map[string]string, loaded []Loaded, sink event.Sink) {
	for _, l := range loaded {
		into := 0
		for _, k := range known {
			if k[normal(l.Ref)] == "" {
				into++
			}
		}
		text := fmt.Sprintf("%s: found in %d of %d nodes", l.Name, len(known), len(known))
		if into > 0 {
			text = fmt.Sprintf("%s: loading into %d of %d nodes", l.Name, into, len(known))
		}
		sink.Emit(event.Note{Message: text})
	}
}

// transfer streams images out of the Docker Engine into several nodes at once.
func transfer(ctx context.Context, client *docker.Client, refs []string, nodes []node) error {
	group, ctx := errgroup.WithContext(ctx)
	writers, pipes := make([]io.Writer, len(nodes)), make([]*io.PipeWriter, len(nodes))
	for i, n := range nodes {
		r, w := io.Pipe()
		writers[i], pipes[i] = w, w
		group.Go(func() error {
			if err := n.load(ctx, r); err != nil {
				r.CloseWithError(io.ErrClosedPipe)
				return err
			}
			_, err := io.Copy(io.Discard, r) // containerd does not read the padding at the end
			return err
		})
	}
	group.Go(func() error {
		err := engine.Save(ctx, client, io.MultiWriter(writers...), refs...)
		for _, w := range pipes {
			w.CloseWithError(err)
		}
		if errors.Is(err, io.ErrClosedPipe) {
			return nil // a node has said why
		}
		return err
	})
	return group.Wait()
}

// digests notes under which digests a node has the images, by what it knows of them. Where the Docker Engine's id of an image is the manifest's digest, as
// in newer ones, the kubelet's is another one: it names an image that came without a registry by its configuration.
func digests(ctx context.Context, n node, known map[string]string, loaded []Loaded) error {
	group, ctx := errgroup.WithContext(ctx)
	for i := range loaded {
		l := &loaded[i]
		if d := known[normal(l.Ref)]; d != l.ID {
			l.Digests = append(l.Digests, d)
			continue
		}
		group.Go(func() (err error) {
			l.Digests, err = n.contents(ctx, l.ID)
			return err
		})
	}
	return group.Wait()
}

// contents are the digests of an index or manifest and of the manifests and configurations in it that the node has.
func (n node) contents(ctx context.Context, digest string) ([]string, error) {
	text, err := n.run(ctx, nil, "ctr", "--namespace=k8s.io", "content", "get", digest)
	if err != nil {
		return nil, err
	}
	var m struct {
		Config    struct{ Digest string }
		Manifests []struct{ Digest string }
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("reading manifest %s of node %s: %w", digest, n.name, err)
	}
	all := []string{digest}
	if m.Config.Digest != "" {
		all = append(all, m.Config.Digest)
	}
	for _, child := range m.Manifests {
		below, err := n.contents(ctx, child.Digest)
		if err != nil {
			continue // of a platform that was not loaded
		}
		all = append(all, below...)
	}
	return all, nil
}
