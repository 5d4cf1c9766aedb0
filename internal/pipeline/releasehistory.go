package pipeline

import (
	"context"
	"slices"

	"github.com/davit-dev/davit/internal/deploy/helm"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/plan"
)

// ReleaseHistory is the history of a Helm release, as its own records tell it.
type ReleaseHistory struct {
	Name      string            `json:"name"`
	Namespace string            `json:"namespace"`
	Revisions []ReleaseRevision `json:"revisions"` // the newest first
}

// ReleaseRevision is a revision of a release.
type ReleaseRevision struct {
	helm.Revision
	By int `json:"by,omitempty"` // the first of the set's revisions that has it; 0: none that is kept
}

// releaseHistory reads the records of the releases of a deployment. of are the revisions of its set, the newest first.
func (p *Pipeline) releaseHistory(ctx context.Context, d plan.Deployment, of []kube.Revision) ([]ReleaseHistory, error) {
	named, err := p.namedReleases(d)
	if err != nil || len(named) == 0 {
		return nil, err
	}
	deployer, err := p.deployer(d, false)
	if err != nil {
		return nil, err
	}
	all := make([]ReleaseHistory, 0, len(named))
	for _, r := range named {
		records, err := deployer.History(ctx, r.Namespace, r.Name)
		if err != nil {
			return nil, err
		}
		one := ReleaseHistory{Name: r.Name, Namespace: r.Namespace, Revisions: []ReleaseRevision{}}
		for _, record := range slices.Backward(records) {
			made := ReleaseRevision{Revision: record}
			for _, run := range of {
				if slices.Contains(run.Releases, kube.Release{Name: r.Name, Namespace: r.Namespace, Revision: record.Revision}) {
					made.By = run.Number
				}
			}
			one.Revisions = append(one.Revisions, made)
		}
		all = append(all, one)
	}
	return all, nil
}
