// Package custom builds images by commands of the user's: `custom.buildCommand`.
package custom

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/local"
	"github.com/davit-dev/davit/internal/command"
	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/image/registry"
)

// Options is what a Builder needs of the machine.
type Options struct {
	Docker    engine.Endpoint   // has the images that are not pushed
	Keychain  authn.Keychain    // of the registries that are asked for what was pushed
	Transport http.RoundTripper // to them; nil: the default
}

// Builder runs build commands.
type Builder struct{ o Options }

var _ build.Builder = (*Builder)(nil)

// New makes a Builder. It does no I/O.
func New(o Options) *Builder {
	if o.Transport == nil {
		o.Transport = registry.Transport()
	}
	if o.Keychain == nil {
		o.Keychain = authn.DefaultKeychain
	}
	return &Builder{o}
}

// Build implements build.Builder for [build.Custom]. A command that fails gives a *build.StepError. The image must be there under the
// request's reference afterwards: in the registry when it is to be pushed, in the Docker Engine when not.
func (b *Builder) Build(ctx context.Context, r build.Request, sink event.Sink) (build.Result, error) {
	spec, ok := r.Spec.(build.Custom)
	if !ok {
		return build.Result{}, fmt.Errorf("building %s: a command does not build a %T", r.Image, r.Spec)
	}
	if err := run(ctx, r, spec, sink); err != nil {
		return build.Result{}, fmt.Errorf("building %s: %w", r.Image, err)
	}
	find := b.inEngine
	if r.Push {
		find = b.inRegistry
	}
	result, err := find(ctx, r, sink)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return build.Result{}, fmt.Errorf("building %s: %w", r.Image, err)
	}
	return result, nil
}

// keptLines is how many of the last lines an error repeats.
const keptLines = 10

func run(ctx context.Context, r build.Request, spec build.Custom, sink event.Sink) error {
	if spec.Command == "" {
		return errors.New("custom.buildCommand is empty: give the command that builds the image that $IMAGE names")
	}
	var tail []string
	c := command.Command{Args: command.Shell(spec.Command), Dir: spec.Context, Environ: spec.Environ, Line: func(text string) {
		tail = append(tail, text)
		tail = tail[max(0, len(tail)-keptLines):]
		sink.Emit(event.ArtifactLog{Image: r.Image, Line: text})
	}}
	err := c.Run(ctx)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &exit):
		return &build.StepError{
			Step: fmt.Sprintf("the build command %q in %s", spec.Command, spec.Context), ExitCode: max(exit.ExitCode(), 0), Log: tail, Err: err,
		}
	case err != nil:
		return fmt.Errorf("the build command %q in %s: %w", spec.Command, spec.Context, err)
	}
	return nil
}

func (b *Builder) inEngine(ctx context.Context, r build.Request, sink event.Sink) (build.Result, error) {
	client, err := engine.Open(b.o.Docker)
	if err != nil {
		return build.Result{}, err
	}
	defer client.Close()
	if _, err := engine.Ping(ctx, client); err != nil {
		return build.Result{}, fmt.Errorf("the image is not to be pushed, so it is looked for in the Docker Engine at %s: %w; start it, or push the image (--push, --default-repo)",
			b.o.Docker.Host, err)
	}
	result, err := local.Deliver(ctx, client, r, "", sink)
	if errors.Is(err, local.ErrNoImage) {
		err = fmt.Errorf("the build command succeeded but made no image %s in the Docker Engine at %s: it must build the image that $IMAGE names", r.Ref, b.o.Docker.Host)
	}
	return result, err
}

func (b *Builder) inRegistry(ctx context.Context, r build.Request, _ event.Sink) (build.Result, error) {
	opts := []name.Option{name.WeakValidation}
	if host, _, _ := strings.Cut(r.Ref, "/"); slices.Contains(r.Insecure, host) {
		opts = append(opts, name.Insecure)
	}
	ref, err := name.ParseReference(r.Ref, opts...)
	if err != nil {
		return build.Result{}, err
	}
	found, err := remote.Head(ref, remote.WithContext(ctx), remote.WithAuthFromKeychain(b.o.Keychain), remote.WithTransport(registry.Patient(b.o.Transport)))
	var refused *transport.Error
	if errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound {
		return build.Result{}, fmt.Errorf("the build command succeeded but pushed no image %s: as $PUSH_IMAGE is true, it must push the image that $IMAGE names", r.Ref)
	}
	if err != nil {
		return build.Result{}, build.Refusal("looking for what the build command pushed as", r.Ref, err)
	}
	return build.Result{Digest: found.Digest.String()}, nil
}
