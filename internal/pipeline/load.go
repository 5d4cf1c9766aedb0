package pipeline

import (
	"context"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/image/load"
	"github.com/davit-dev/davit/internal/plan"
)

// LoadImages brings the images of artifacts that are not pushed to where the cluster finds them, and returns all images as manifests have to name
// them.
func (p *Pipeline) LoadImages(ctx context.Context, artifacts []plan.Artifact, images []Image) ([]Image, error) {
	var which []int
	var local []load.Image
	for i, a := range artifacts {
		if !a.Push {
			which = append(which, i)
			local = append(local, load.Image{Name: a.Image, Ref: a.Ref.String(), ID: images[i].Digest})
		}
	}
	if len(local) == 0 {
		return images, nil
	}
	result := append([]Image(nil), images...)
	bring := func() error {
		loaded, err := p.Load(ctx, local)
		for n, l := range loaded {
			result[which[n]].Ref, result[which[n]].Loaded = l.Ref, l.Digests
		}
		return err
	}
	if !p.Loads {
		return result, bring()
	}
	return result, p.stage(event.StageLoad, bring)
}
