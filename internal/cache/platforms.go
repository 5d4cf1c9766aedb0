package cache

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Platforms are those that the image of a reference is made for, as its registry says: "linux/amd64", "linux/arm/v7". Attestations, whose platform
// is "unknown/unknown", are none.
func (c *Cache) Platforms(ctx context.Context, ref string) ([]string, error) {
	found, manifest, release, err := c.describe(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer release()
	if manifest == nil {
		return platformOfImage(ref, found)
	}
	var platforms []string
	for _, m := range manifest.Manifests {
		if m.Platform != nil && m.Platform.OS != "unknown" && m.Platform.Architecture != "unknown" {
			platforms = append(platforms, m.Platform.String())
		}
	}
	return platforms, nil
}

func platformOfImage(ref string, found *remote.Descriptor) ([]string, error) {
	image, err := found.Image()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of %s: %w", ref, err)
	}
	if config.OS == "" || config.Architecture == "" {
		return nil, nil
	}
	return []string{config.Platform().String()}, nil
}
