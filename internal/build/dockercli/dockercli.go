// Package dockercli builds Dockerfiles by the docker command: for `build.local.useDockerCLI` and for `docker.cliFlags` that only it knows.
package dockercli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/local"
	"github.com/davit-dev/davit/internal/command"
	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/event"
)

// Options is what a Builder needs of the machine.
type Options struct {
	Docker       engine.Endpoint              // where the docker command builds
	DockerConfig string                       // folder of its configuration
	Environ      []string                     // of the command
	LookPath     func(string) (string, error) // finds it
	UseBuildkit  *bool                        // build.local.useBuildkit; nil leaves it to the command
	Why          string                       // why the command is wanted, for the error when it is not there
}

// Builder runs the docker command.
type Builder struct{ o Options }

var _ build.Builder = (*Builder)(nil)

// New makes a Builder. It does no I/O.
func New(o Options) *Builder { return &Builder{o} }

// Build implements build.Builder for [build.Docker]. A build that fails is a *build.StepError with the command's last lines, a registry that
// refuses a *build.RegistryError.
func (b *Builder) Build(ctx context.Context, r build.Request, sink event.Sink) (build.Result, error) {
	spec, ok := r.Spec.(build.Docker)
	if !ok {
		return build.Result{}, fmt.Errorf("building %s: the docker command does not build a %T", r.Image, r.Spec)
	}
	result, err := b.build(ctx, r, spec, sink)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return build.Result{}, fmt.Errorf("building %s: %w", r.Image, err)
	}
	return result, nil
}

func (b *Builder) build(ctx context.Context, r build.Request, spec build.Docker, sink event.Sink) (build.Result, error) {
	if len(r.Attest) > 0 {
		return build.Result{}, errors.New("the docker command leaves images in the Docker Engine, which keeps no attestations: leave --provenance and --sbom out, or useDockerCLI")
	}
	if len(r.Platforms) > 1 {
		return build.Result{}, errors.New("the docker command builds for one platform at a time: name one with --platform, or leave useDockerCLI out")
	}
	docker, err := b.o.LookPath("docker")
	if err != nil {
		return build.Result{}, fmt.Errorf("the docker command is to build, because %s, and it is not there: %w; install it, or change that in skaffold.yaml", b.o.Why, err)
	}
	args := append([]string{docker}, Args(r, spec)...)
	if isTrue(b.o.UseBuildkit) && !r.Push && b.hasBuildx(ctx, docker) {
		args = append(args, "--load")
	}
	if err := b.run(ctx, r, args, sink); err != nil {
		return build.Result{}, err
	}
	client, err := engine.Open(b.o.Docker)
	if err != nil {
		return build.Result{}, err
	}
	defer client.Close()
	result, err := local.Deliver(ctx, client, r, b.o.DockerConfig, sink)
	if errors.Is(err, local.ErrNoImage) {
		err = fmt.Errorf("docker build succeeded, but the Docker Engine at %s has no image %s: if the builder of docker buildx is a container, add --load to docker.cliFlags", b.o.Docker.Host, r.Ref)
	}
	return result, err
}

func isTrue(b *bool) bool { return b != nil && *b }

// hasBuildx says whether the docker command builds by buildx, which may leave an image outside of the Docker Engine unless told not to, or by itself,
// when it does not know how it could be told.
func (b *Builder) hasBuildx(ctx context.Context, docker string) bool {
	_, err := command.Command{Args: []string{docker, "buildx", "version"}, Environ: b.o.Environ, Line: func(string) {}}.Output(ctx)
	return err == nil
}

// keptLines is how many of the last lines an error repeats.
const keptLines = event.LastLines

func (b *Builder) run(ctx context.Context, r build.Request, args []string, sink event.Sink) error {
	var tail []string
	err := command.Command{Args: args, Environ: b.environ(r), Line: func(text string) {
		tail = append(tail, text)
		tail = tail[max(0, len(tail)-keptLines):]
		sink.Emit(event.ArtifactLog{Image: r.Image, Line: text})
	}}.Run(ctx)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &exit):
		return &build.StepError{Step: "docker build", ExitCode: max(exit.ExitCode(), 0), Log: tail, Err: err}
	default:
		return err
	}
}

// environ tells the docker command which of its builders to use, where the configuration says so or a platform needs BuildKit.
func (b *Builder) environ(r build.Request) []string {
	environ := slices.Clone(b.o.Environ)
	switch {
	case b.o.UseBuildkit != nil && !*b.o.UseBuildkit:
		environ = append(environ, "DOCKER_BUILDKIT=0")
	case b.o.UseBuildkit != nil, len(r.Platforms) > 0:
		environ = append(environ, "DOCKER_BUILDKIT=1")
	}
	return environ
}

// Args are the docker command's arguments for a request, in Skaffold's order: of flags that are there twice, the last counts for some.
func Args(r build.Request, spec build.Docker) []string {
	args := []string{"build", spec.Context, "--file", spec.Dockerfile, "-t", r.Ref}
	each := func(flag string, values []string) {
		for _, v := range values {
			args = append(args, flag, v)
		}
	}
	each("--build-arg", pairs(spec.BuildArgs))
	each("--add-host", spec.AddHosts)
	each("--cache-from", spec.CacheFrom)
	each("--cache-to", spec.CacheTo)
	each("--label", pairs(spec.Labels))
	each("--build-context", pairs(spec.Contexts))
	args = append(args, spec.CLIFlags...)
	if spec.Target != "" {
		args = append(args, "--target", spec.Target)
	}
	if spec.Network != "" {
		args = append(args, "--network", strings.ToLower(spec.Network))
	}
	if spec.NoCache {
		args = append(args, "--no-cache")
	}
	if spec.Squash {
		args = append(args, "--squash")
	}
	if spec.Pull {
		args = append(args, "--pull")
	}
	for _, s := range spec.Secrets {
		text := "id=" + s.ID
		if s.Source != "" {
			text += ",src=" + s.Source
		}
		if s.Env != "" {
			text += ",env=" + s.Env
		}
		args = append(args, "--secret", text)
	}
	if spec.SSH != "" {
		args = append(args, "--ssh", spec.SSH)
	}
	each("--platform", r.Platforms)
	return args
}

func pairs(m map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, name+"="+m[name])
	}
	return out
}
