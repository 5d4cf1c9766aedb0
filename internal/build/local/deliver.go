package local

import (
	"context"
	"errors"
	"fmt"

	docker "github.com/moby/moby/client"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/event"
)

// Deliver brings an image that was built in the Docker Engine where the request wants it: to its registry, by the Engine and with the
// credentials of the docker command's configuration in configDir, into the request's archive, or nowhere else. Errors of the registry are
// [*build.RegistryError].
func Deliver(ctx context.Context, c *docker.Client, r build.Request, configDir string, sink event.Sink) (build.Result, error) {
	id, err := engine.ImageID(ctx, c, r.Ref)
	switch {
	case err != nil:
		return build.Result{}, err
	case id == "":
		return build.Result{}, fmt.Errorf("%w %s", ErrNoImage, r.Ref)
	case r.Push:
		digest, err := push(ctx, c, r, configDir, sink)
		return build.Result{Digest: digest, ImageID: id}, err
	case r.Archive != nil:
		w, err := r.Archive()
		if err != nil {
			return build.Result{}, err
		}
		err = engine.Save(ctx, c, w, r.Ref)
		err = errors.Join(err, w.Close())
		return build.Result{Digest: id, ImageID: id}, err
	default:
		return build.Result{Digest: id, ImageID: id}, nil
	}
}

// ErrNoImage says that the Docker Engine does not have what was built.
var ErrNoImage = errors.New("the Docker Engine has no image")

func push(ctx context.Context, c *docker.Client, r build.Request, configDir string, sink event.Sink) (string, error) {
	auth, err := engine.Credentials(configDir, r.Ref)
	if err != nil {
		return "", err
	}
	var digest string
	err = build.Patiently(ctx, sink, func() error {
		line := func(text string) { sink.Emit(event.ArtifactLog{Image: r.Image, Line: text}) }
		if digest, err = engine.Push(ctx, c, r.Ref, auth, line); err != nil && ctx.Err() == nil {
			if lost, ok := errors.AsType[*engine.LostError](err); ok {
				return lost
			}
			return build.Refusal("pushing", r.Ref, err)
		}
		return err
	})
	return digest, err
}
