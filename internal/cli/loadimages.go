package cli

import (
	"context"
	"fmt"

	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/image"
	imageload "github.com/davit-dev/davit/internal/image/load"
	"github.com/davit-dev/davit/internal/pipeline"
)

// loadGiven brings images that were given to deploy from the Docker Engine into the nodes of a local cluster. Those that the Engine does not have are
// left to the nodes.
func (s *session) loadGiven(ctx context.Context, images []pipeline.Image) error {
	if !s.cluster.Load {
		s.sink.Emit(event.Warning{Message: fmt.Sprintf("--load-images: the nodes of %s get images by themselves, nothing is loaded", s.cluster)})
		return nil
	}
	docker := engine.NewImages(s.engine, s.dockerConfig())
	var which []int
	var found []imageload.Image
	for i, given := range images {
		ref, err := image.Parse(given.Ref)
		if err != nil {
			return err
		}
		ref.Digest = ""
		id, err := docker.ImageID(ctx, ref.String())
		if err != nil {
			return fmt.Errorf("loading %s: %w", given.Name, err)
		}
		if id == "" {
			s.sink.Emit(event.Warning{Message: fmt.Sprintf("--load-images: the Docker Engine has no %s, so the nodes have to get it", ref)})
			continue
		}
		which = append(which, i)
		found = append(found, imageload.Image{Name: given.Name, Ref: ref.String(), ID: id})
	}
	endpoint, err := s.engine()
	if err != nil {
		return err
	}
	began := s.world.Now()
	s.sink.Emit(event.StageStarted{Stage: event.StageLoad})
	loaded, err := imageload.New(endpoint, s.cluster).Load(ctx, found, s.sink)
	if err != nil {
		return err
	}
	s.sink.Emit(event.StageDone{Stage: event.StageLoad, Took: s.world.Now().Sub(began)})
	for n, l := range loaded {
		given := &images[which[n]]
		given.Ref, given.Digest, given.Loaded, given.Local, given.Index = l.Ref, l.ID, l.Digests, true, false
	}
	return nil
}
