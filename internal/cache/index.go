package cache

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Digests are all digests under which a node may know the image of a reference: its own and, when it is an index, those of the images in
// it. A node reports the one or the other, depending on its container runtime.
func (c *Cache) Digests(ctx context.Context, ref string) ([]string, error) {
	batch := c.registry.open(ctx, []string{ref}, false)
	defer batch.close()
	parsed, err := batch.parse(ref)
	if err != nil {
		return nil, err
	}
	opts, done, err := batch.sessions[parsed.Context().RegistryStr()].options()
	if err != nil {
		return nil, err
	}
	defer done()
	found, err := remote.Get(parsed, opts...)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref, err)
	}
	digests := []string{found.Digest.String()}
	if !found.MediaType.IsIndex() {
		return digests, nil
	}
	index, err := found.ImageIndex()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref, err)
	}
	for _, m := range manifest.Manifests {
		digests = append(digests, m.Digest.String())
	}
	return digests, nil
}
