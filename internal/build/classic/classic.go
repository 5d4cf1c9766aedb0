// Package classic builds Dockerfiles by the Docker Engine's own builder, the one from before BuildKit: for `build.local.useBuildkit: false`.
package classic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/containerd/platforms"
	docker "github.com/moby/moby/client"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/local"
	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/event"
)

// Options is what a Builder needs of the machine.
type Options struct {
	Docker       engine.Endpoint
	DockerConfig string // folder of the docker command's configuration
	// NoBuildKit is set when this builder builds because the Engine has no BuildKit, not because the configuration says so.
	NoBuildKit bool
	Patience   time.Duration // with a registry that is silent; build.Patience when 0
}

// Builder builds in one Docker Engine.
type Builder struct{ o Options }

var _ build.Builder = (*Builder)(nil)

// New makes a Builder. It does no I/O.
func New(o Options) *Builder { return &Builder{o} }

// Build implements build.Builder for [build.Docker]. A failed step is a *build.StepError, a registry that refuses a *build.RegistryError.
func (b *Builder) Build(ctx context.Context, r build.Request, sink event.Sink) (build.Result, error) {
	spec, ok := r.Spec.(build.Docker)
	if !ok {
		return build.Result{}, fmt.Errorf("building %s: the Docker Engine does not build a %T", r.Image, r.Spec)
	}
	j := &job{Builder: b, request: r, spec: spec, sink: sink}
	result, err := j.run(ctx)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return build.Result{}, fmt.Errorf("building %s: %w", r.Image, err)
	}
	return result, nil
}

// job is one build on its way.
type job struct {
	*Builder
	request build.Request
	spec    build.Docker
	sink    event.Sink
	client  *docker.Client
}

func (j *job) run(ctx context.Context) (build.Result, error) {
	if err := j.possible(); err != nil {
		return build.Result{}, err
	}
	client, err := engine.Open(j.o.Docker)
	if err != nil {
		return build.Result{}, err
	}
	defer client.Close()
	j.client = client
	ping, err := engine.Ping(ctx, client)
	if err != nil {
		return build.Result{}, fmt.Errorf("no Docker Engine answers at %s: %w; start it, or let BuildKit build: take useBuildkit and squash out of skaffold.yaml and unset DOCKER_BUILDKIT", j.o.Docker.Host, err)
	}
	if j.spec.Squash && !ping.Experimental {
		j.sink.Emit(event.Warning{Message: fmt.Sprintf("%s is not squashed: the Docker Engine at %s has no experimental features", j.request.Image, j.o.Docker.Host)})
		j.spec.Squash = false
	}
	j.pullCache(ctx)
	if err := j.build(ctx); err != nil {
		return build.Result{}, err
	}
	return local.Deliver(ctx, client, j.request, j.o.DockerConfig, j.sink)
}

// possible says what this builder cannot do.
func (j *job) possible() error {
	needs := func(what, next string) error {
		if j.o.NoBuildKit {
			return fmt.Errorf("%s needs BuildKit, which the Docker Engine at %s does not have: use a newer one, or build elsewhere (--builder davit, or the address of a buildkitd)", what, j.o.Docker.Host)
		}
		return fmt.Errorf("%s needs BuildKit, and the configuration or DOCKER_BUILDKIT says not to use it: %s", what, next)
	}
	switch {
	case len(j.spec.Secrets) > 0:
		return needs("docker.secrets", "set build.local.useBuildkit to true or leave it out")
	case j.spec.SSH != "":
		return needs("docker.ssh", "set build.local.useBuildkit to true or leave it out")
	case len(j.spec.CacheTo) > 0:
		return needs("exporting the build cache", "set build.local.useBuildkit to true or leave it out")
	case len(j.spec.Contexts) > 0:
		return needs("a named build context", "set build.local.useBuildkit to true or leave it out")
	case len(j.request.Platforms) > 1:
		return needs("an image of several platforms", "name one platform, or set build.local.useBuildkit to true")
	case len(j.request.Attest) > 0:
		return needs("--provenance or --sbom", "set build.local.useBuildkit to true or leave it out")
	}
	return nil
}

// pullCache gets the images that cacheFrom names into the Engine. One that cannot be had is a warning: the build only takes longer.
func (j *job) pullCache(ctx context.Context) {
	for _, ref := range j.spec.CacheFrom {
		id, err := engine.ImageID(ctx, j.client, ref)
		if err == nil && id == "" {
			auth, authErr := engine.Credentials(j.o.DockerConfig, ref)
			if err = authErr; err == nil {
				err = engine.Pull(ctx, j.client, ref, auth)
			}
		}
		if err != nil && ctx.Err() == nil {
			j.sink.Emit(event.Warning{Message: fmt.Sprintf("cacheFrom: %v", build.Refusal("pulling", ref, err))})
		}
	}
}

func (j *job) build(ctx context.Context) error {
	o, err := j.buildOptions()
	if err != nil {
		return err
	}
	c, err := newContext(j.spec)
	if err != nil {
		return err
	}
	o.Dockerfile = c.dockerfile
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r, w := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := c.write(ctx, w)
		w.CloseWithError(err)
		sent <- err
	}()
	answer, err := j.client.ImageBuild(ctx, r, o)
	if err == nil {
		err = j.follow(ctx, stop, answer.Body)
		err = errors.Join(err, answer.Body.Close())
	} else {
		err = j.failure(err, step{})
	}
	r.CloseWithError(io.ErrClosedPipe)
	if sendErr := <-sent; sendErr != nil && !errors.Is(sendErr, io.ErrClosedPipe) {
		return fmt.Errorf("sending the build context %s to the Docker Engine: %w", j.spec.Context, sendErr)
	}
	return err
}

func (j *job) buildOptions() (docker.ImageBuildOptions, error) {
	o := docker.ImageBuildOptions{
		Tags: []string{j.request.Ref}, Remove: true, ForceRemove: true, PullParent: j.spec.Pull, NoCache: j.spec.NoCache, Target: j.spec.Target,
		NetworkMode: strings.ToLower(j.spec.Network), ExtraHosts: j.spec.AddHosts, CacheFrom: j.spec.CacheFrom, Squash: j.spec.Squash,
		Labels: j.spec.Labels, BuildArgs: map[string]*string{},
	}
	for name, value := range j.spec.BuildArgs {
		o.BuildArgs[name] = &value
	}
	for _, text := range j.request.Platforms {
		p, err := platforms.Parse(text)
		if err != nil {
			return o, fmt.Errorf("platform %s: %w", text, err)
		}
		o.Platforms = append(o.Platforms, p)
	}
	// Base images may come from any registry. As with the docker command, credentials that cannot be read are missed by those who need them.
	o.AuthConfigs, _ = engine.AllCredentials(j.o.DockerConfig)
	return o, nil
}
