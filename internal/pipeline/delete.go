package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
)

// Doomed gives the objects that Delete would delete, in that order: those of the config as they are there, with the values of Secrets hidden, of others what names
// them. It deletes nothing.
func (p *Pipeline) Doomed(ctx context.Context, rendered []Rendered) ([]map[string]any, error) {
	all, err := p.sets(rendered)
	if err != nil {
		return nil, err
	}
	var out []map[string]any
	for _, s := range slices.Backward(all) {
		if s == nil {
			continue
		}
		doomed, err := p.Kube.Doomed(ctx, s.set, s.objects, p.Sink)
		if err != nil {
			return nil, fmt.Errorf("looking for what is deployed: %w", err)
		}
		for _, o := range doomed {
			if o.Origin != "" {
				out = append(out, kube.Masked(o))
				continue
			}
			meta := map[string]any{"name": o.GetName()}
			if o.GetNamespace() != "" {
				meta["namespace"] = o.GetNamespace()
			}
			out = append(out, map[string]any{"apiVersion": o.GetAPIVersion(), "kind": o.GetKind(), "metadata": meta})
		}
	}
	for _, r := range rendered {
		p.doomedElsewhere(r)
		named, err := p.namedReleases(r.Deployment)
		if err != nil {
			return nil, err
		}
		for _, n := range named {
			p.Sink.Emit(event.Note{Message: fmt.Sprintf("The release %s would be uninstalled", n.Name)})
		}
	}
	return out, nil
}

// doomedElsewhere tells what Delete would take away that davit did not apply to a cluster.
func (p *Pipeline) doomedElsewhere(r Rendered) {
	for image := range r.Docker.Images() {
		p.Sink.Emit(event.Note{Message: fmt.Sprintf("The container of image %s would be removed", image)})
	}
	if r.CloudRun != nil {
		for _, o := range r.Objects {
			p.Sink.Emit(event.Note{Message: fmt.Sprintf("The %s %s would be deleted from Cloud Run", o.Kind(), o.Name())})
		}
	}
	if r.Kpt != nil {
		p.Sink.Emit(event.Note{Message: "The kpt package " + r.Kpt.Dir + " would be destroyed"})
	}
}
