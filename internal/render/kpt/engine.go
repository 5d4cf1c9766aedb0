package kpt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	docker "github.com/moby/moby/client"
	"sigs.k8s.io/kustomize/kyaml/fn/runtime/runtimeutil"
	"sigs.k8s.io/kustomize/kyaml/kio"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/event"
)

// inEngine runs a function in the user's Docker Engine, by the protocol of KRM functions: kyaml's
// api-conventions/functions-spec.md.
func (o Options) inEngine(ctx context.Context, f Function, manifests []byte, sink event.Sink) ([]byte, error) {
	client, err := o.client(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: install kpt (kpt.dev/installation), or start Docker", err)
	}
	if err := o.pull(ctx, client, f.Image); err != nil {
		return nil, fmt.Errorf("pulling its image %s: %w", f.Image, err)
	}
	config, err := f.config()
	if err != nil {
		return nil, err
	}
	var said strings.Builder
	filter := &runtimeutil.FunctionFilter{
		FunctionConfig: config, GlobalScope: true,
		Run: func(in io.Reader, out io.Writer) error { return runContainer(ctx, client, f.Image, in, out, &said) },
	}
	var out bytes.Buffer
	err = kio.Pipeline{
		Inputs:  []kio.Reader{&kio.ByteReader{Reader: bytes.NewReader(manifests), PreserveSeqIndent: true}},
		Filters: []kio.Filter{filter},
		Outputs: []kio.Writer{kio.ByteWriter{Writer: &out, ClearAnnotations: annotations}},
	}.Execute()
	if said.Len() > 0 {
		sink.Emit(event.Debug{Message: f.Name + ": " + strings.TrimSpace(said.String())})
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case filter.GetExit() != nil:
		return nil, failure(filter.GetExit(), filter.Results, said.String())
	case err != nil:
		return nil, err
	}
	return out.Bytes(), nil
}

// annotations are what the protocol puts on objects.
var annotations = []string{
	"config.kubernetes.io/index", "config.kubernetes.io/path", "internal.config.kubernetes.io/index", "internal.config.kubernetes.io/path",
	"internal.config.kubernetes.io/annotations-migration-resource-id", "internal.config.kubernetes.io/seqindent",
}

func (o Options) client(ctx context.Context) (*docker.Client, error) {
	if o.Engine == nil {
		return nil, errors.New("neither is there a kpt command nor a Docker Engine")
	}
	endpoint, err := o.Engine()
	if err != nil {
		return nil, err
	}
	client, err := engine.Open(endpoint)
	if err != nil {
		return nil, err
	}
	if _, err := engine.Ping(ctx, client); err != nil {
		return nil, fmt.Errorf("there is no kpt command, and the Docker Engine at %s does not answer: %w", endpoint.Host, err)
	}
	return client, nil
}

func (o Options) pull(ctx context.Context, client *docker.Client, image string) error {
	id, err := engine.ImageID(ctx, client, image)
	if err != nil || id != "" {
		return err
	}
	credentials, err := engine.Credentials(o.DockerConfig, image)
	if err != nil {
		return err
	}
	return engine.Pull(ctx, client, image, credentials)
}

// config is the function's configuration, a ConfigMap.
func (f Function) config() (*yaml.RNode, error) {
	values := map[string]string{}
	for _, setting := range f.Config {
		key, value, _ := strings.Cut(setting, "=")
		values[key] = value
	}
	config := yaml.NewMapRNode(nil)
	config.SetKind("ConfigMap")
	config.SetApiVersion("v1")
	config.SetDataMap(values)
	return config, config.SetName("function-input")
}

// failure tells of a function that failed by what it reported, or else by what it said.
func failure(exit error, results *yaml.RNode, said string) error {
	var reports []string
	if results != nil {
		items, err := results.Elements()
		if err != nil {
			return err
		}
		for _, item := range items {
			name, _ := item.GetString("resourceRef.name")
			if message, _ := item.GetString("message"); message != "" {
				reports = append(reports, strings.TrimSpace(name+" "+message))
			}
		}
	}
	if len(reports) == 0 {
		reports = append(reports, strings.TrimSpace(said))
	}
	return fmt.Errorf("%w: %s", exit, strings.Join(reports, "\n"))
}

// runContainer runs a container of an image as kpt does: without network and privileges, with in on its stdin.
func runContainer(ctx context.Context, client *docker.Client, image string, in io.Reader, out, said io.Writer) error {
	made, err := client.ContainerCreate(ctx, docker.ContainerCreateOptions{
		Config: &container.Config{Image: image, User: "nobody", OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true},
		HostConfig: &container.HostConfig{
			NetworkMode: "none", SecurityOpt: []string{"no-new-privileges"},
		},
	})
	if err != nil {
		return fmt.Errorf("making its container: %w", err)
	}
	defer func() {
		_, _ = client.ContainerRemove(context.WithoutCancel(ctx), made.ID, docker.ContainerRemoveOptions{Force: true}) // mostly, its end is known already
	}()
	stream, err := client.ContainerAttach(ctx, made.ID, docker.ContainerAttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return fmt.Errorf("attaching to its container: %w", err)
	}
	defer stream.Close()
	defer context.AfterFunc(ctx, stream.Close)()
	wait := client.ContainerWait(ctx, made.ID, docker.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	if _, err := client.ContainerStart(ctx, made.ID, docker.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("starting its container: %w", err)
	}
	go func() {
		_, _ = io.Copy(stream.Conn, in) // one that does not want to read it all has its reasons
		_ = stream.CloseWrite()
	}()
	if _, err := stdcopy.StdCopy(out, said, stream.Reader); err != nil {
		return fmt.Errorf("reading what its container prints: %w", err)
	}
	select {
	case result := <-wait.Result:
		if result.StatusCode != 0 {
			return fmt.Errorf("it ended with exit code %d", result.StatusCode)
		}
		return nil
	case err := <-wait.Error:
		return fmt.Errorf("waiting for its container: %w", err)
	}
}
