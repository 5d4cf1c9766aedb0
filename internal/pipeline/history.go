package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/davit-dev/davit/internal/deploy/cloudrun"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/plan"
)

// Deploying is what deployments need to know beside the cluster and the plan.
type Deploying struct {
	Kubeconfig string // of the command line, for the kubectl command; may be empty
	Revisions  int    // how many are kept of each set; 0: none
	RollBack   bool   // when a deployment fails
	// Commit names the commit of the working folder; empty when there is none. It is asked for when a revision is kept.
	Commit func(context.Context) string
}

// finish keeps a revision of each set that changed, and puts back the last good ones when the deployment failed and that is wanted.
func (p *Pipeline) finish(ctx context.Context, all sets, images []Image, began time.Time, failure error) error {
	if ctx.Err() != nil {
		return failure
	}
	p.keep(ctx, all, images, kube.Revision{Run: began}, failure)
	if failure == nil || !p.Deploying.RollBack {
		return failure
	}
	return errors.Join(failure, p.undo(ctx, all, began))
}

// keep writes the history. What cannot be kept is no failure.
func (p *Pipeline) keep(ctx context.Context, all sets, images []Image, r kube.Revision, failure error) {
	r.Status = kube.RevisionDeployed
	if failure != nil {
		r.Status = kube.RevisionFailed
	}
	var wg sync.WaitGroup
	commit := sync.OnceValue(func() string {
		if p.Deploying.Commit == nil {
			return ""
		}
		return p.Deploying.Commit(ctx)
	})
	for _, s := range all {
		if s == nil || s.result == nil || p.Deploying.Revisions == 0 {
			continue
		}
		r, content := r, kube.Content{Objects: s.objects, Orphans: s.result.Orphans, Releases: s.releases}
		same, err := s.recorded(content)
		nothing := same || r.Status == kube.RevisionFailed && len(s.releases) == 0
		if r.Changed = s.changed(); err == nil && nothing && r.Changed == "" {
			continue
		}
		wg.Go(func() {
			if err == nil {
				content.Images, r.Images, err = p.imagesIn(ctx, s.objects, images)
			}
			if err == nil {
				if r.Changed == "" && len(s.releases) == 0 {
					r.Note = "deployed by a run that broke off"
				}
				r.Commit, r.Releases = commit(), s.releases
				err = p.record(ctx, s, r, content)
			}
			if err != nil {
				p.warn("no history is kept of this deployment, so it cannot be rolled back to: %v", err)
			}
		})
	}
	wg.Wait()
}

func (p *Pipeline) record(ctx context.Context, s *deployedSet, r kube.Revision, content kube.Content) error {
	kept, err := p.Kube.Record(ctx, s.set, s.result, r, content, p.Deploying.Revisions)
	if apierrors.IsForbidden(err) && r.Status == kube.RevisionDeployed {
		if digest, err := content.Digest(); err == nil {
			_ = p.Kube.WithoutHistory(ctx, s.set, digest) // the warning is about the same
		}
	}
	if err == nil && kept.Bare {
		p.warn("revision %d of %s is kept without its objects, which are too large: it cannot be rolled back to", kept.Number, s.Set)
	}
	return err
}

// recorded says whether the history has this as the last good revision.
func (s *deployedSet) recorded(content kube.Content) (bool, error) {
	was, known := s.result.Recorded()
	digest, err := content.Digest()
	return !known || was == digest, err
}

// changed says what a deployment did: "1 created, 2 configured"; empty when it wrote nothing.
func (s *deployedSet) changed() string {
	counts := map[string]int{kube.VerbPruned: len(s.result.Pruned)}
	for _, a := range s.result.Objects {
		counts[a.Verb]++
	}
	var parts []string
	for _, verb := range []string{kube.VerbCreated, kube.VerbConfigured, kube.VerbReplaced, kube.VerbPruned} {
		if n := counts[verb]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, verb))
		}
	}
	return strings.Join(parts, ", ")
}

// imagesIn gives those of the images that objects name.
func (p *Pipeline) imagesIn(ctx context.Context, objects []kube.Object, images []Image) (built []kube.Built, named []kube.RevisionImage, err error) {
	var all strings.Builder
	for _, o := range objects {
		text, err := json.Marshal(o.Object)
		if err != nil {
			return nil, nil, err
		}
		all.Write(text)
	}
	for _, i := range images {
		if !strings.Contains(all.String(), `"`+i.Ref+`"`) {
			continue
		}
		named = append(named, kube.RevisionImage{Image: i.Name, Reference: i.Ref})
		if i.Digest == "" {
			continue
		}
		if b, err := p.expected(ctx, i); err == nil { // else it was not proven either
			built = append(built, b)
		}
	}
	return built, named, nil
}

// target is a set and the revision that it goes back to.
type target struct {
	*deployedSet
	revision kube.Revision
}

// undo puts back the last good revisions of what a failed run touched.
func (p *Pipeline) undo(ctx context.Context, all sets, began time.Time) error {
	var targets []target
	for _, s := range all {
		if s == nil || s.result == nil {
			continue
		}
		same, err := s.recorded(kube.Content{Objects: s.objects, Releases: s.releases})
		if err == nil && same && s.changed() == "" {
			continue // it is what it was
		}
		past, err := p.Kube.History(ctx, s.set)
		if err != nil {
			return fmt.Errorf("rolling back: %w", err)
		}
		i := slices.IndexFunc(past, func(r kube.Revision) bool { return r.Status == kube.RevisionDeployed })
		if i < 0 {
			p.warn("%s in namespace %s has no good revision to go back to: what was deployed stays", s.Set, s.set.Namespace)
			continue
		}
		targets = append(targets, target{s, past[i]})
	}
	return p.putBack(ctx, targets, began)
}

// putBack makes sets what they were in other revisions, waits, and proves. That is a revision of its own.
func (p *Pipeline) putBack(ctx context.Context, targets []target, began time.Time) error {
	if len(targets) == 0 {
		return nil
	}
	back := make(sets, len(targets))
	contents := make([]kube.Content, len(targets))
	for i, t := range targets {
		var err error
		if contents[i], err = p.Kube.Content(ctx, t.set, t.revision.Number); err != nil {
			return fmt.Errorf("rolling back: %w", err)
		}
		back[i] = &deployedSet{Deployment: t.Deployment, set: t.set, objects: contents[i].Objects, releases: contents[i].Releases}
		p.Sink.Emit(event.Note{Message: fmt.Sprintf("Rolling back %s in namespace %s to %s", t.Set, t.set.Namespace, revisionText(t.revision))})
	}
	rolling := &rollouts{Pipeline: p}
	err := p.stage(event.StageDeploy, func() error {
		for i, s := range back {
			o := p.applyOptions(s.Deployment)
			o.Prune, o.Keep, o.Siblings, o.By = true, contents[i].Orphans, back.siblings(s), nil
			var err error
			if s.result, err = p.Kube.Apply(ctx, s.set, s.objects, o, p.Sink); err != nil {
				return err
			}
			rolling.add(i, s.Deployment, s.result.Objects)
			applied, err := p.putBackReleases(ctx, s.Deployment, s.releases)
			if err != nil {
				return err
			}
			rolling.add(i, s.Deployment, applied)
		}
		return nil
	})
	if err == nil {
		err = rolling.all(ctx)
	}
	if err == nil {
		var built []kube.Built
		for _, c := range contents {
			built = append(built, c.Images...)
		}
		err = kube.Prove(&rolling.seen, built, p.Sink)
	}
	for i, s := range back {
		if s.result == nil || p.Deploying.Revisions == 0 {
			continue
		}
		r := kube.Revision{
			Run: began, Status: kube.RevisionDeployed, Commit: targets[i].revision.Commit, Changed: s.changed(), Images: targets[i].revision.Images,
			Releases: s.releases, Note: fmt.Sprintf("rollback to %d", targets[i].revision.Number),
		}
		if err != nil {
			r.Status = kube.RevisionFailed
		}
		if recordErr := p.record(ctx, s, r, contents[i]); recordErr != nil {
			p.warn("no history is kept of this rollback: %v", recordErr)
		}
	}
	if err != nil {
		return fmt.Errorf("rolling back: %w", err)
	}
	for i, s := range back {
		did := s.changed()
		if did == "" {
			did = "nothing had to be written"
		}
		p.Sink.Emit(event.Note{Message: fmt.Sprintf("%s in namespace %s is back at revision %d: %s", s.Set, s.set.Namespace, targets[i].revision.Number, did)})
	}
	return nil
}

func revisionText(r kube.Revision) string {
	text := fmt.Sprintf("revision %d of %s", r.Number, r.Run.Local().Format(time.DateTime))
	if r.Commit != "" {
		text += ", commit " + r.Commit
	}
	return text
}

// SetHistory is the history of one set.
type SetHistory struct {
	Set       string                    `json:"set"`
	Namespace string                    `json:"namespace"`
	Revisions []kube.Revision           `json:"revisions"` // the newest first
	Releases  []ReleaseHistory          `json:"releases,omitempty"`
	Services  []cloudrun.ServiceHistory `json:"services,omitempty"` // of Cloud Run
}

// History reads what was deployed before.
func (p *Pipeline) History(ctx context.Context, deployments []plan.Deployment) ([]SetHistory, error) {
	var all []SetHistory
	for _, d := range deployments {
		for _, sentence := range withoutHistory(d) {
			p.Sink.Emit(event.Note{Message: sentence})
		}
		one := SetHistory{Set: d.Set}
		if !d.Elsewhere {
			found, err := p.histories(ctx, []plan.Deployment{d})
			if err != nil {
				return nil, err
			}
			one = found[0]
			if one.Releases, err = p.releaseHistory(ctx, d, one.Revisions); err != nil {
				return nil, err
			}
		}
		var err error
		if one.Services, err = p.cloudRunHistory(ctx, d); err != nil {
			return nil, err
		}
		if !d.Elsewhere || d.CloudRun != nil {
			all = append(all, one)
		}
	}
	return all, nil
}

// withoutHistory says of what of a deployment there is no history, and what to do.
func withoutHistory(d plan.Deployment) (sentences []string) {
	const next = ": to go back, check out the commit that is wanted, and run again"
	if d.Docker != nil {
		sentences = append(sentences, d.Set+": a Docker Engine keeps no earlier versions of its containers"+next)
	}
	if d.Kpt != nil {
		sentences = append(sentences, d.Set+": of what kpt deploys, no earlier versions are kept"+next)
	}
	return sentences
}

// here are the deployments that have an inventory, and so a history, in the cluster.
func here(deployments []plan.Deployment) []plan.Deployment {
	return slices.DeleteFunc(slices.Clone(deployments), func(d plan.Deployment) bool { return d.Elsewhere })
}

func (p *Pipeline) histories(ctx context.Context, deployments []plan.Deployment) ([]SetHistory, error) {
	var all []SetHistory
	for _, d := range deployments {
		set := p.set(d)
		revisions, err := p.Kube.History(ctx, set)
		if err != nil {
			return nil, err
		}
		all = append(all, SetHistory{Set: set.Name, Namespace: set.Namespace, Revisions: revisions})
	}
	return all, nil
}

// RollBack makes the deployments what they were in the revision of that number; with 0, what they were before the last run: those of them that the
// last run deployed go back to the good revision before, or to the last good one where that run failed.
func (p *Pipeline) RollBack(ctx context.Context, deployments []plan.Deployment, number int) error {
	kept, inCloud := here(deployments), slices.DeleteFunc(slices.Clone(deployments), func(d plan.Deployment) bool { return d.CloudRun == nil })
	for _, d := range deployments {
		for _, sentence := range withoutHistory(d) {
			if len(kept)+len(inCloud) == 0 {
				return errors.New(sentence)
			}
			p.warn("%s", sentence)
		}
	}
	if n := len(kept) + len(inCloud); number > 0 && n > 1 {
		return fmt.Errorf("each of the %d configs counts its own revisions: name one with --module", n)
	}
	if len(kept) > 0 || len(inCloud) == 0 {
		if err := p.rollBack(ctx, kept, number); err != nil {
			return err
		}
	}
	for _, d := range inCloud {
		if err := p.rollBackCloudRun(ctx, d, number); err != nil {
			return err
		}
	}
	return nil
}

// rollBack makes deployments in the cluster what they were.
func (p *Pipeline) rollBack(ctx context.Context, deployments []plan.Deployment, number int) error {
	began := p.Now()
	histories, err := p.histories(ctx, deployments)
	if err != nil {
		return err
	}
	var last time.Time
	for _, h := range histories {
		if len(h.Revisions) > 0 && h.Revisions[0].Run.After(last) {
			last = h.Revisions[0].Run
		}
	}
	if last.IsZero() {
		return errors.New("there is no history: nothing was deployed here by davit, or it may not keep Secrets")
	}
	var targets []target
	for i, d := range deployments {
		past := histories[i].Revisions
		if len(past) == 0 || number == 0 && !past[0].Run.Equal(last) {
			continue
		}
		r, err := pick(past, number)
		if err != nil {
			return fmt.Errorf("rolling back %s in namespace %s: %w", histories[i].Set, histories[i].Namespace, err)
		}
		targets = append(targets, target{&deployedSet{Deployment: d, set: p.set(d)}, r})
	}
	return p.putBack(ctx, targets, began)
}

// pick finds the revision to go back to. past are the newest first.
func pick(past []kube.Revision, number int) (kube.Revision, error) {
	if number > 0 {
		if i := slices.IndexFunc(past, func(r kube.Revision) bool { return r.Number == number }); i >= 0 {
			return past[i], nil
		}
		return kube.Revision{}, fmt.Errorf("there is no revision %d: davit history lists those that there are", number)
	}
	for _, r := range past {
		if r.Status == kube.RevisionDeployed && (past[0].Status == kube.RevisionFailed || r.Digest != past[0].Digest) {
			return r, nil
		}
	}
	return kube.Revision{}, errors.New("there is no earlier good revision that differs from the last one: davit history lists those that there are")
}
