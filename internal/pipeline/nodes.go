package pipeline

import (
	"context"
	"maps"
	"strings"
	"sync"

	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/plan"
)

// NodeOptions says what is done for pods whose images are not made for every node.
type NodeOptions struct {
	Affinity bool // keep pods on nodes that their images run on
	Tolerate bool // bear the taint of GKE's Arm nodes
}

// placeOnNodes does what p.Nodes says for pods. The platforms of what was built are known from the artifacts, those of other images are asked for at their registries.
// An image whose platforms cannot be found out demands nothing, and a warning says so.
func (p *Pipeline) placeOnNodes(ctx context.Context, rendered []Rendered, artifacts []plan.Artifact, images []Image) error {
	o := p.Nodes
	if !o.Affinity && !o.Tolerate {
		return nil
	}
	var objects []manifest.Object
	var rules []manifest.Rules
	for _, r := range rendered {
		objects, rules = append(objects, r.all()...), append(rules, r.Rules...)
	}
	selector, err := manifest.NewSelector(rules...)
	if err != nil {
		return err
	}
	known, err := p.platforms(ctx, selector.PodImages(objects), builtFor(artifacts, images))
	if err != nil {
		return err
	}
	platformsOf := func(image string) []string { return known[image] }
	if o.Tolerate {
		selector.TolerateArm(objects, platformsOf)
	}
	if !o.Affinity {
		return nil
	}
	for _, i := range selector.SetNodeAffinity(objects, platformsOf) {
		p.warn("no node can run all containers of %s %s (%s): their images %s have no platform in common", i.Object.Kind(), i.Object.Name(), i.Object.Origin(), strings.Join(i.Images, ", "))
	}
	return nil
}

// builtFor gives the platforms of what was built, by reference.
func builtFor(artifacts []plan.Artifact, images []Image) map[string][]string {
	refs := make(map[string]string, len(images))
	for _, i := range images {
		refs[i.Name] = i.Ref
	}
	known := map[string][]string{}
	for _, a := range artifacts {
		if len(a.Platforms) > 0 && a.Platforms[0] != plan.AllPlatforms {
			known[refs[a.Image]] = a.Platforms
		}
	}
	return known
}

// platforms asks for what is not known, all at once.
func (p *Pipeline) platforms(ctx context.Context, refs []string, known map[string][]string) (map[string][]string, error) {
	all := maps.Clone(known)
	var mu sync.Mutex
	var wait sync.WaitGroup
	for _, ref := range refs {
		if _, is := known[ref]; is {
			continue
		}
		wait.Go(func() {
			found, err := p.Cache.Platforms(ctx, ref)
			if err != nil && ctx.Err() == nil {
				p.warn("pods with %s may come to nodes that cannot run it: its platforms cannot be found out: %v", ref, err)
			}
			mu.Lock()
			defer mu.Unlock()
			all[ref] = found
		})
	}
	wait.Wait()
	return all, ctx.Err()
}
