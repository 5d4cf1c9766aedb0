package pipeline

import (
	"context"
	"slices"

	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/plan"
)

// Complete makes of what Render gave the manifests as they are deployed: with their namespace, those of charts and releases, whose values may speak of images,
// images and labels, what pods demand of nodes, and what functions and hooks make of it all. It writes into the objects of rendered. artifacts are what was
// built here.
func (p *Pipeline) Complete(ctx context.Context, rendered []Rendered, artifacts []plan.Artifact, images []Image) ([]Rendered, error) {
	if !p.Rendering.KeepNamespaces { // charts are told the namespace, and put into their objects what they want
		if err := p.setNamespace(rendered, p.Rendering.Namespace); err != nil {
			return nil, err
		}
	}
	rendered, err := p.RenderCharts(ctx, rendered, images)
	if err != nil {
		return nil, err
	}
	if rendered, err = p.prepareReleases(ctx, rendered, artifacts, images); err != nil {
		return nil, err
	}
	if err := p.setImages(rendered, images); err != nil {
		return nil, err
	}
	if err := p.placeOnNodes(ctx, rendered, artifacts, images); err != nil {
		return nil, err
	}
	return p.finishManifests(ctx, rendered)
}

// cloned are copies for stand-ins to be written into: a run goes on with the originals.
func cloned(rendered []Rendered) []Rendered {
	out := slices.Clone(rendered)
	for i, r := range out {
		out[i].Objects = manifest.Clone(r.Objects)
	}
	return out
}
