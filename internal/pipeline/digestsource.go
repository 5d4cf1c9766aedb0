package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/davit-dev/davit/internal/cache"
	"github.com/davit-dev/davit/internal/plan"
)

// Unbuilt gives the images of drafts without building any, for a source of digests that is not [plan.DigestLocal]: with the digest that the
// registry has under the tag, with the tag alone, or none at all.
func (p *Pipeline) Unbuilt(ctx context.Context, drafts []plan.Draft, source plan.DigestSource) ([]Image, error) {
	if source == plan.DigestNone {
		return nil, nil
	}
	if err := checkContexts(drafts); err != nil {
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
	return images, p.Resolve(ctx, images, false)
}

// Resolve adds the digests that the registries have under the tags of the images, where those have none. An image that its registry does not have is an error. With
// lenient, one whose registry does not say keeps its tag alone, with a warning.
func (p *Pipeline) Resolve(ctx context.Context, images []Image, lenient bool) error {
	var tagged []*Image
	var refs []string
	for i := range images {
		if image := &images[i]; image.Digest == "" {
			tagged, refs = append(tagged, image), append(refs, image.Ref)
		}
	}
	digests, errs := p.Cache.Resolve(ctx, refs)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for i, image := range tagged {
		switch {
		case errs[i] == nil:
			image.Digest, image.Index = digests[i], true
			image.Ref += "@" + image.Digest
		case lenient && !errors.Is(errs[i], cache.ErrNoImage):
			p.warn("%v: %s is deployed by its tag, and what runs is not proven", errs[i], image.Name)
			errs[i] = nil
		}
	}
	err := errors.Join(errs...)
	if err != nil && !lenient {
		return fmt.Errorf("looking for the images in their registries (--digest-source remote): %w", err)
	}
	return err
}
