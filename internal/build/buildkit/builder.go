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
	"time"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/moby/buildkit/client"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/carried"
	"github.com/davit-dev/davit/internal/event"
)

// Options is what a Builder needs of the machine.
type Options struct {
	Getenv       func(string) string // build secrets and SSH_AUTH_SOCK
	DockerConfig string              // folder of the docker command's configuration; see DockerConfigDir
	Carried      carried.Options     // for Where.Kind Carried
	Patience     time.Duration       // with a registry that is silent; build.Patience when 0
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
	flags       Flags // what spec has no field for
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
	if err := j.applyFlags(); err != nil {
		return build.Result{}, err
	}
	if err := j.check(); err != nil {
		return build.Result{}, err
	}
	opt, err := dockerfileRequest(j.request, j.spec, j.flags)
	if err != nil {
		return build.Result{}, err
	}
	j.attestations(opt.FrontendAttrs)
	if j.credentials, err = j.Builder.credentials(); err != nil {
		return build.Result{}, err
	}
	if opt.Session, err = j.services(); err != nil {
		return build.Result{}, err
	}
	conn, err := j.connect(ctx, j.request.Insecure)
	if err != nil {
		return build.Result{}, err
	}
	result, err := j.exportIfAble(ctx, conn, opt)
	return result, errors.Join(err, conn.Close())
}

// exportIfAble asks the BuildKit first whether it is new enough, where an old one would build something else.
func (j *job) exportIfAble(ctx context.Context, conn *connection, opt client.SolveOpt) (build.Result, error) {
	if len(j.spec.Contexts) > 0 {
		switch able, err := conn.bearsNamedContexts(ctx); {
		case err != nil:
			return build.Result{}, j.failure(err)
		case !able:
			return build.Result{}, fmt.Errorf("the BuildKit of the %s is too old for named build contexts: build with a newer one (BUILDKIT_HOST), or with the one inside davit", j.where)
		}
	}
	return j.export(ctx, conn, opt)
}
