package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/attest"
	"github.com/davit-dev/davit/internal/build/buildkit"
	"github.com/davit-dev/davit/internal/build/carried"
	"github.com/davit-dev/davit/internal/build/classic"
	"github.com/davit-dev/davit/internal/build/custom"
	"github.com/davit-dev/davit/internal/build/dockercli"
	"github.com/davit-dev/davit/internal/build/local"
	"github.com/davit-dev/davit/internal/build/pool"
	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/plan"
)

// place is something that builds, and what it is called.
type place struct {
	builder build.Builder
	name    string
	// old is set for a Docker Engine without BuildKit: builder is nil, and its own builder builds.
	old bool
}

// builders gives each artifact what builds it. A place is looked for when the first artifact needs it.
type builders struct {
	s     *session
	flags *buildFlags

	mu    sync.Mutex
	known map[string]func() (place, error) // by address
}

func (b *builders) builder(ctx context.Context, a plan.Artifact) (build.Builder, string, error) {
	made, name, err := b.plain(ctx, a)
	if err != nil || len(a.Attest) == 0 {
		return made, name, err
	}
	w := b.s.world
	return attest.Around(made, attest.Options{
		Keychain: keychain{b.s.dockerConfig()}, Now: w.Now, Version: w.Version,
		Scanner: attest.FindScanner(filepath.Dir(w.Executable), w.Environ, exec.LookPath),
	}), name, nil
}

// plain gives what builds an artifact, and attests nothing that it does not attest by itself.
func (b *builders) plain(ctx context.Context, a plan.Artifact) (build.Builder, string, error) {
	if _, ok := a.Spec.(build.Custom); ok {
		docker, err := b.s.engine()
		return custom.New(custom.Options{Docker: docker, Keychain: keychain{b.s.dockerConfig()}}), "its build command", err
	}
	docker, err := b.s.engine()
	switch a.Way {
	case local.BuildKit:
		p, err := b.at(ctx, a.Builder)
		if err == nil && p.old {
			return b.withoutBuildKit(a, docker), p.name, nil
		}
		return p.builder, p.name, err
	case local.Classic:
		return classic.New(classic.Options{Docker: docker, DockerConfig: b.s.dockerConfig()}), a.Way.String(), err
	default:
		return b.dockerCommand(docker, a.UseBuildkit, a.WhyWay), a.Way.String(), err
	}
}

// withoutBuildKit builds in an Engine that has none: by its own builder or, as that knows few flags of `docker build`, by the docker command.
func (b *builders) withoutBuildKit(a plan.Artifact, docker engine.Endpoint) build.Builder {
	if spec, ok := a.Spec.(build.Docker); ok && len(spec.CLIFlags) > 0 {
		return b.dockerCommand(docker, new(false), "the Docker Engine has no BuildKit and there are docker.cliFlags")
	}
	return classic.New(classic.Options{Docker: docker, DockerConfig: b.s.dockerConfig(), NoBuildKit: true})
}

func (b *builders) dockerCommand(docker engine.Endpoint, useBuildkit *bool, why string) build.Builder {
	return dockercli.New(dockercli.Options{
		Docker: docker, DockerConfig: b.s.dockerConfig(), Environ: slices.Concat(b.s.world.Environ, b.s.dockerEnviron),
		LookPath: exec.LookPath, UseBuildkit: useBuildkit, Why: why,
	})
}

// at gives the BuildKit at an address, looking for it once.
func (b *builders) at(ctx context.Context, address string) (place, error) {
	b.mu.Lock()
	look, known := b.known[address]
	if !known {
		look = sync.OnceValues(func() (place, error) {
			if pool.Is(address) {
				return b.pool(ctx, address)
			}
			return b.buildkit(ctx, address)
		})
		b.known[address] = look
	}
	b.mu.Unlock()
	return look()
}

// buildkit decides where on this machine, or at which buildkitd, to build.
func (b *builders) buildkit(ctx context.Context, address string) (place, error) {
	s := b.s
	machine := buildkit.Machine{Getenv: s.getenv, Home: s.world.Home, GOOS: runtime.GOOS, Carried: carriedOptions(s.world)}
	switch address {
	case engineName:
		machine.Wanted = buildkit.Engine
	case carriedName:
		machine.Wanted = buildkit.Carried
	default:
		machine.BuildkitHost = address
	}
	facts, err := buildkit.Look(ctx, machine)
	if err != nil {
		return place{}, err
	}
	where, err := buildkit.Choose(facts)
	if err != nil {
		return place{}, err
	}
	if where.Note != "" {
		s.sink.Emit(event.Warning{Message: where.Note})
	}
	if where.Kind == buildkit.OldEngine {
		return place{name: where.String(), old: true}, nil
	}
	return place{builder: buildkit.New(where, b.options()), name: where.String()}, nil
}

// pool opens the pool of BuildKits at an address.
func (b *builders) pool(ctx context.Context, address string) (place, error) {
	options, err := pool.Parse(address)
	if err != nil {
		return place{}, err
	}
	s := b.s
	if s.kube == nil {
		return place{}, fmt.Errorf("the builder %s is in a cluster, and there is no kubeconfig: give --kubeconfig, or another --builder", address)
	}
	docker, err := s.engine()
	if err != nil {
		return place{}, err
	}
	opened, err := pool.Open(ctx, s.kube, options, pool.Local{BuildKit: b.options(), Docker: docker}, s.sink)
	if err != nil {
		return place{}, err
	}
	return place{builder: opened, name: opened.String()}, nil
}

func (b *builders) options() buildkit.Options {
	return buildkit.Options{Getenv: b.s.getenv, DockerConfig: b.s.dockerConfig(), Carried: carriedOptions(b.s.world)}
}

// engine is the address of the Docker Engine: the machine's, or the one in minikube.
func (s *session) engine() (engine.Endpoint, error) {
	return engine.Find(s.getenv, s.world.Home, runtime.GOOS)
}

// carriedOptions says how the BuildKit that davit carries is run. Its version is that of this very file, so that a newly built davit of the same
// version replaces the daemon of an older one.
func carriedOptions(w World) carried.Options {
	version := w.Version
	if info, err := os.Stat(w.Executable); err == nil {
		version = fmt.Sprintf("%s %d %d", version, info.Size(), info.ModTime().UnixNano())
	}
	return carried.Options{
		Dir: w.cacheDir("buildkit"), Command: []string{w.Executable, builderCommand}, Env: w.Environ, Version: version,
	}
}
