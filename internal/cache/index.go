package cache

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// describe reads what a registry has under a reference; of an index, its manifest as well, else nil.
func (c *Cache) describe(ctx context.Context, ref string) (*remote.Descriptor, *v1.IndexManifest, func(), error) {
	batch := c.registry.open(ctx, []string{ref}, false).patiently()
	parsed, err := batch.parse(ref)
	if err != nil {
		batch.close()
		return nil, nil, nil, err
	}
	opts, done, err := batch.sessions[parsed.Context().RegistryStr()].options()
	if err != nil {
		batch.close()
		return nil, nil, nil, err
	}
	release := func() {
		done()
		batch.close()
	}
	found, manifest, err := readIndex(parsed, opts)
	if err != nil {
		release()
		return nil, nil, nil, fmt.Errorf("reading %s: %w", ref, err)
	}
	return found, manifest, release, nil
}

func readIndex(ref name.Reference, opts []remote.Option) (*remote.Descriptor, *v1.IndexManifest, error) {
	found, err := remote.Get(ref, opts...)
	if err != nil || !found.MediaType.IsIndex() {
		return found, nil, err
	}
	index, err := found.ImageIndex()
	if err != nil {
		return nil, nil, err
	}
	manifest, err := index.IndexManifest()
	return found, manifest, err
}

// Digests are all digests under which a node may know the image of a reference: its own and, when it is an index, those of the images in
// it. A node reports the one or the other, depending on its container runtime.
func (c *Cache) Digests(ctx context.Context, ref string) ([]string, error) {
	found, manifest, release, err := c.describe(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer release()
	digests := []string{found.Digest.String()}
	if manifest == nil {
		return digests, nil
	}
	for _, m := range manifest.Manifests {
		digests = append(digests, m.Digest.String())
	}
	return digests, nil
}
