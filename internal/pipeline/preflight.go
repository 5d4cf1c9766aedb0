package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/plan"
)

// Preflight asks the cluster whether it would let deployments in, before anything is built: namespaces, kinds, permissions. Charts are rendered with
// stand-ins for the digests that are not known yet. It gives nil when nothing is applied to a cluster.
func (p *Pipeline) Preflight(ctx context.Context, artifacts []plan.Artifact, rendered []Rendered) (*plan.Preflight, error) {
	images, _, err := p.expectedImages(artifacts)
	if err != nil {
		return nil, err
	}
	if rendered, err = p.RenderCharts(ctx, cloned(rendered), images); err != nil {
		return nil, err
	}
	sets, err := p.sets(rendered)
	if err != nil {
		return nil, err
	}
	return p.preflight(ctx, sets)
}

// preflight gives nil when nothing is applied to a cluster.
func (p *Pipeline) preflight(ctx context.Context, sets sets) (*plan.Preflight, error) {
	if !slices.ContainsFunc(sets, func(s *deployedSet) bool { return s != nil }) {
		return nil, nil
	}
	all := &plan.Preflight{Namespaces: map[string]string{}}
	for _, r := range sets {
		if r == nil {
			continue
		}
		found, err := p.Kube.Preflight(ctx, r.set, r.objects, kube.PreflightOptions{
			Delete: r.Prune || r.Force, Wait: r.Wait, History: p.Deploying.Revisions > 0,
		})
		if err != nil {
			return nil, fmt.Errorf("asking the cluster whether it would take the deployment: %w", err)
		}
		all.Version = found.Version
		for _, ns := range found.Namespaces {
			if all.Namespaces[ns.Name] != kube.NamespaceCreated { // by another config
				all.Namespaces[ns.Name] = ns.State
			}
		}
		for _, f := range found.Findings {
			if one := (plan.Finding{Message: f.Message, Fatal: f.Fatal}); !slices.Contains(all.Findings, one) {
				all.Findings = append(all.Findings, one)
			}
		}
	}
	return all, nil
}

// TellPreflight warns of what would be left out, and gives what would fail as an error.
func (p *Pipeline) TellPreflight(found *plan.Preflight) error {
	if found == nil {
		return nil
	}
	var errs []error
	for _, f := range found.Findings {
		if f.Fatal {
			errs = append(errs, errors.New(f.Message))
		} else {
			p.warn("%s", f.Message)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("the cluster would not take the deployment, so nothing was done: %w", err)
	}
	p.Sink.Emit(event.Info{Message: "The cluster (" + found.Version + ") would take the deployment"})
	return nil
}
