package cache

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"
)

// ErrNoImage says that a registry answered, and has no such image.
var ErrNoImage = errors.New("there is no image")

// Resolve finds the digests behind references in their registries, in parallel, in their order; errs are in that order, too, nil for each that was found. A registry
// that does not answer is given up after its first failure.
func (c *Cache) Resolve(ctx context.Context, refs []string) (digests []string, errs []error) {
	batch := c.registry.open(ctx, refs, false).patiently()
	defer batch.close()
	digests, errs = make([]string, len(refs)), make([]error, len(refs))
	var g errgroup.Group
	g.SetLimit(c.o.Concurrency)
	for i, ref := range refs {
		g.Go(func() error {
			digests[i], errs[i] = batch.resolve(ref)
			return nil
		})
	}
	_ = g.Wait()
	return digests, errs
}

func (b *batch) resolve(ref string) (string, error) {
	parsed, err := b.parse(ref)
	if err != nil {
		return "", err
	}
	s := b.sessions[parsed.Context().RegistryStr()]
	opts, done, err := s.options()
	if err != nil {
		return "", fmt.Errorf("%s: %w", ref, err)
	}
	defer done()
	d, err := remote.Head(parsed, opts...)
	var answered *transport.Error
	switch {
	case err == nil:
		return d.Digest.String(), nil
	case errors.As(err, &answered) && answered.StatusCode == http.StatusNotFound:
		return "", fmt.Errorf("%w %s: build and push it first", ErrNoImage, ref)
	case !errors.As(err, &answered):
		s.giveUp()
	}
	return "", fmt.Errorf("%s: %w", ref, err)
}
