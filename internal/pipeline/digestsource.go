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
	for i, d := range drafts {
		images[i] = Image{Name: d.Image, Ref: tagged[i].String()}
	}
	if source != plan.DigestRemote {
		return images, nil
	}
	return images, p.Resolve(ctx, images)
}

// Resolve adds the digests that the registries have under the tags of the images, where those have none.
func (p *Pipeline) Resolve(ctx context.Context, images []Image) error {
	var refs []string
	for _, i := range images {
		if i.Digest == "" {
			refs = append(refs, i.Ref)
		}
	}
	digests, err := p.Cache.Resolve(ctx, refs)
	if err != nil {
		return fmt.Errorf("looking for the images in their registries (--digest-source remote): %w", err)
	}
	for i := range images {
		if image := &images[i]; image.Digest == "" {
			image.Digest, image.Index = digests[0], true
			image.Ref += "@" + image.Digest
			digests = digests[1:]
		}
	}
	return nil
}
