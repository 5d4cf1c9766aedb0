// Package buildkit builds Dockerfiles with BuildKit, wherever it runs: at an address that the user names, inside a Docker
// Engine, or carried by davit.
//
// Look finds facts about the machine, Choose decides from them, New makes a Builder for the decision. A build opens its own
// connection: request.go says what is asked of BuildKit, session.go what it may ask back, progress.go what it tells
// meanwhile, failure.go what a failure means.
package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"golang.org/x/sync/errgroup"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/carried"
	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/event"
)

// Options is what a Builder needs of the machine.
type Options struct {
	Getenv       func(string) string // build secrets and SSH_AUTH_SOCK
	DockerConfig string              // folder of the docker command's configuration; see DockerConfigDir
	Carried      carried.Options     // for Where.Kind Carried
}

// Builder builds with one BuildKit.
type Builder struct {
	where   Where
	options Options
}

var _ build.Builder = (*Builder)(nil)

// New makes a Builder. It does no I/O: a connection is made, and the carried BuildKit started, by each build.
func New(where Where, options Options) *Builder { return &Builder{where: where, options: options} }

// Where says where it builds.
func (b *Builder) Where() Where { return b.where }

// Build implements build.Builder. Errors that the user should see are *build.StepError, *build.RegistryError and
// *carried.UnavailableError.
func (b *Builder) Build(ctx context.Context, r build.Request, sink event.Sink) (build.Result, error) {
	spec, ok := r.Spec.(build.Docker)
	if !ok {
		return build.Result{}, fmt.Errorf("building %s: BuildKit does not build a %T", r.Image, r.Spec)
	}
	j := &job{Builder: b, request: r, spec: spec, log: newProgress(r.Image, sink), sink: sink}
	result, err := j.run(ctx)
	if ctx.Err() != nil {
		// BuildKit's wording of a cancelled call says nothing.
		return build.Result{}, fmt.Errorf("building %s: %w", r.Image, context.Cause(ctx))
	}
	if err != nil {
		return build.Result{}, fmt.Errorf("building %s: %w", r.Image, err)
	}
	return result, nil
}

// job is one build on its way.
type job struct {
	*Builder
	request     build.Request
	spec        build.Docker
	log         *progress
	sink        event.Sink
	ref         reference.NamedTagged
	credentials *configfile.ConfigFile
}

func (j *job) run(ctx context.Context) (build.Result, error) {
	ref, err := reference.ParseNormalizedNamed(j.request.Ref)
	if err != nil {
		return build.Result{}, fmt.Errorf("the image name %q: %w", j.request.Ref, err)
	}
	var ok bool
	if j.ref, ok = reference.TagNameOnly(ref).(reference.NamedTagged); !ok {
		return build.Result{}, fmt.Errorf("the image name %q has a digest already", j.request.Ref)
	}
	opt, err := dockerfileRequest(j.request, j.spec)
	if err != nil {
		return build.Result{}, err
	}
	if j.credentials, err = j.Builder.credentials(); err != nil {
		return build.Result{}, err
	}
	if opt.Session, err = j.services(j.spec, j.credentials); err != nil {
		return build.Result{}, err
	}
	conn, err := j.connect(ctx, j.request.Insecure)
	if err != nil {
		return build.Result{}, err
	}
	result, err := j.export(ctx, conn, opt)
	return result, errors.Join(err, conn.Close())
}

// export builds, and brings the image to its registry or into a Docker Engine.
func (j *job) export(ctx context.Context, conn *connection, opt client.SolveOpt) (build.Result, error) {
	switch {
	case conn.engine != nil:
		return j.exportByEngine(ctx, conn, opt)
	case j.request.Push:
		insecure := j.where.Kind != Carried && isInsecure(j.request, reference.Domain(j.ref))
		opt.Exports = []client.ExportEntry{pushExport(j.request, j.spec, insecure)}
		resp, err := j.solve(ctx, conn, opt)
		if err != nil {
			return build.Result{}, err
		}
		return build.Result{Digest: resp[exptypes.ExporterImageDigestKey]}, nil
	default:
		return j.load(ctx, conn, opt)
	}
}

// exportByEngine builds in a Docker Engine, where the image stays, and lets it push.
func (j *job) exportByEngine(ctx context.Context, conn *connection, opt client.SolveOpt) (build.Result, error) {
	opt.Exports = []client.ExportEntry{{Type: "moby", Attrs: map[string]string{"name": j.request.Ref}}}
	if _, err := j.solve(ctx, conn, opt); err != nil {
		return build.Result{}, err
	}
	id, err := engineImageID(ctx, conn.engine, j.request.Ref)
	if err != nil || !j.request.Push {
		return build.Result{Digest: id, ImageID: id}, err
	}
	auth, err := j.credentials.GetAuthConfig(credentialsKey(j.ref))
	if err != nil {
		return build.Result{}, fmt.Errorf("reading credentials for %s: %w", reference.Domain(j.ref), err)
	}
	var digest string
	err = j.patiently(ctx, func() error {
		var err error
		if digest, err = engine.Push(ctx, conn.engine, j.request.Ref, auth, j.log.line); err != nil {
			return j.pushFailure(err)
		}
		return nil
	})
	return build.Result{Digest: digest, ImageID: id}, err
}

// load builds outside of the Docker Engine and loads the image into it.
func (j *job) load(ctx context.Context, conn *connection, opt client.SolveOpt) (build.Result, error) {
	docker, err := engine.Open(j.where.Docker)
	if err != nil {
		return build.Result{}, err
	}
	defer docker.Close()
	if _, err := docker.Ping(ctx, engine.PingOptions); err != nil {
		return build.Result{}, fmt.Errorf("the image is not to be pushed, and there is no Docker Engine to load it into: %w; push it to a registry (--push, --default-repo) or start a Docker Engine", err)
	}
	r, w := io.Pipe()
	opt.Exports = []client.ExportEntry{{
		Type:   client.ExporterDocker,
		Attrs:  map[string]string{"name": j.request.Ref},
		Output: func(map[string]string) (io.WriteCloser, error) { return w, nil },
	}}
	group, both := errgroup.WithContext(ctx)
	group.Go(func() error {
		_, err := j.solve(both, conn, opt)
		w.CloseWithError(err)
		return err
	})
	group.Go(func() error {
		err := engine.Load(both, docker, r)
		r.CloseWithError(err)
		return err
	})
	if err := group.Wait(); err != nil {
		return build.Result{}, err
	}
	id, err := engineImageID(ctx, docker, j.request.Ref)
	return build.Result{Digest: id, ImageID: id}, err
}
