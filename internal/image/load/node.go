package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/pkg/stdcopy"
	docker "github.com/moby/moby/client"
)

// node is a container that is a node of a cluster and runs containerd.
type node struct {
	client *docker.Client
	name   string
	kind   Kind
}

// normal is a reference as containerd knows it: docker.io/library/app:tag.
func normal(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ref
	}
	return named.String()
}

// list gives the digests of those of the images that the node has, by their normal references.
func (n node) list(ctx context.Context, images []Loaded) (map[string]string, error) {
	args := []string{"ctr", "--namespace=k8s.io", "images", "list"}
	for _, i := range images {
		args = append(args, "name=="+normal(i.Ref))
	}
	out, err := n.run(ctx, nil, args...)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for line := range strings.Lines(string(out)) {
		// REF, TYPE, DIGEST, ...
		if f := strings.Fields(line); len(f) > 2 && strings.HasPrefix(f[2], "sha256:") {
			found[f[0]] = f[2]
		}
	}
	return found, nil
}

// load reads a `docker save` archive into the node. Unlike kind's own, it makes no names of digests: without them the kubelet reports an image
// by its configuration's digest, the id that the Docker Engine knows it by, and the node keeps one name of it instead of one more for each day.
func (n node) load(ctx context.Context, archive io.Reader) error {
	args := []string{"ctr", "--namespace=k8s.io", "images", "import"}
	if s := n.snapshotter(ctx); s != "" {
		args = append(args, "--snapshotter="+s)
	}
	_, err := n.run(ctx, archive, append(args, "-")...)
	return err
}

// snapshotter is the one that the kubelet's images have to be unpacked into, "" for containerd's default. The nodes of k3d have no configuration
// that could be asked for.
func (n node) snapshotter(ctx context.Context) string {
	if n.kind == K3d {
		return ""
	}
	out, err := n.run(ctx, nil, "containerd", "config", "dump")
	if err != nil {
		return ""
	}
	_, cri, _ := bytes.Cut(out, []byte("cri"))
	m := regexp.MustCompile(`(?m)^\s*snapshotter = ['"]([^'"]+)['"]`).FindSubmatch(cri)
	if m == nil {
		return ""
	}
	return string(m[1])
}

// run runs a command in the node and gives its stdout.
func (n node) run(ctx context.Context, stdin io.Reader, args ...string) ([]byte, error) {
	out, err := n.exec(ctx, stdin, args)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%q in node %s: %w", strings.Join(args[:min(len(args), 4)], " "), n.name, err)
	}
	return out, nil
}

func (n node) exec(ctx context.Context, stdin io.Reader, args []string) ([]byte, error) {
	created, err := n.client.ExecCreate(ctx, n.name, docker.ExecCreateOptions{
		Cmd: args, AttachStdin: stdin != nil, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return nil, err
	}
	attached, err := n.client.ExecAttach(ctx, created.ID, docker.ExecAttachOptions{})
	if err != nil {
		return nil, err
	}
	defer attached.Close()
	stop := context.AfterFunc(ctx, attached.Close)
	defer stop()
	if stdin != nil {
		go feed(attached.HijackedResponse, stdin)
	}
	var stdout, stderr bytes.Buffer
	_, err = stdcopy.StdCopy(&stdout, &stderr, attached.Reader)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("the connection broke: %w", err)
	}
	ended, err := n.client.ExecInspect(ctx, created.ID, docker.ExecInspectOptions{})
	if err != nil {
		return nil, err
	}
	if ended.ExitCode != 0 {
		return nil, fmt.Errorf("exit code %d: %s", ended.ExitCode, strings.TrimSpace(stdout.String()+stderr.String()))
	}
	return stdout.Bytes(), nil
}

// feed writes the command's stdin and closes it. An archive that breaks off is the command's to complain about.
func feed(to docker.HijackedResponse, stdin io.Reader) {
	_, _ = io.Copy(to.Conn, stdin)
	_ = to.CloseWrite()
}
