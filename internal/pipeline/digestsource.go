package pipeline

import (
	"context"
	"fmt"

	"github.com/davit-dev/davit/internal/plan"
)

// Unbuilt gives the images of drafts without building any, for a source of digests that is not [plan.DigestLocal]: with the digest that the
// registry has under the tag, with the tag alone, or none at all.
func (p *Pipeline) Unbuilt(ctx context.Context, drafts []plan.Draft, source plan.DigestSource) ([]Image, error) {
	if source == plan.DigestNone {
		return nil, nil
	}
	if err := findSources(drafts); err != nil {
		return nil, err
	}
	tagged, err := p.references(ctx, drafts)
	if err != nil {
		return nil, err
	}
	p.announceTags(drafts, tagged)
	images := make([]Image, len(drafts))
	refs := make([]string, len(drafts))
	for i, d := range drafts {
		refs[i] = tagged[i].String()
		images[i] = Image{Name: d.Image, Ref: refs[i]}
	}
	if source != plan.DigestRemote {
		return images, nil
	}
	digests, err := p.Cache.Resolve(ctx, refs)
	if err != nil {
		return nil, fmt.Errorf("looking for the images in their registries (--digest-source remote): %w", err)
	}
	for i, digest := range digests {
		tagged[i].Digest = digest
		images[i].Ref, images[i].Digest, images[i].Index = tagged[i].String(), digest, true
	}
	return images, nil
}
