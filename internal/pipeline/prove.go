package pipeline

import (
	"context"
	"fmt"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/manifest"
)

// Pinned gives the images that objects name by digest, each once: those that running containers can be compared with where nothing was built.
func Pinned(rendered []Rendered) ([]Image, error) {
	var images []Image
	seen := map[string]bool{}
	for _, r := range rendered {
		selector, err := manifest.NewSelector(r.Rules...)
		if err != nil {
			return nil, err
		}
		for _, u := range selector.Images(r.Objects) {
			if u.Ref.Digest == "" || seen[u.Node.Value] {
				continue
			}
			seen[u.Node.Value] = true
			images = append(images, Image{Name: u.Ref.Name, Ref: u.Node.Value, Digest: u.Ref.Digest, Index: true, Found: true})
		}
	}
	return images, nil
}

// prove compares what runs with the images. Of one that was found in a manifest, whose registry does not answer here, only the digest itself is known; what
// runs may be the image for this platform in it, so that a difference is not sure.
func (p *Pipeline) prove(ctx context.Context, rollout *kube.Rollout, images []Image, sink event.Sink) error {
	var sure, unsure []kube.Built
	for _, i := range images {
		if i.Digest == "" {
			continue // known by its tag only, which proves nothing
		}
		b, err := p.expected(ctx, i)
		switch {
		case err == nil:
			sure = append(sure, b)
		case !i.Found || ctx.Err() != nil:
			return fmt.Errorf("proving what runs: %w", err)
		default:
			p.Sink.Emit(event.Info{Message: fmt.Sprintf("what is in %s cannot be asked: %v", i.Ref, err)})
			unsure = append(unsure, kube.Built{Image: i.Name, Digests: []string{i.Digest}})
		}
	}
	err := kube.Prove(rollout, sure, sink)
	for _, differs := range kube.ProofErrors(kube.Prove(rollout, unsure, sink)) {
		p.warn("%s in namespace %s runs %s, and its registry cannot be asked whether that is %s", differs.Resource, differs.Namespace, differs.Found, differs.Want)
	}
	return err
}

// expected says under which digests the nodes may know an image.
func (p *Pipeline) expected(ctx context.Context, i Image) (kube.Built, error) {
	b := kube.Built{Image: i.Name, Digests: i.Loaded}
	if b.Digests == nil {
		b.Digests = []string{i.Digest}
	}
	if i.Local {
		b.Refs = []string{i.Ref} // with a tag that only this image has
	}
	if !i.Index {
		return b, nil
	}
	digests, err := p.Cache.Digests(ctx, i.Ref)
	b.Digests = digests
	return b, err
}
