package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"golang.org/x/sync/errgroup"

	"github.com/davit-dev/davit/internal/cache"
	"github.com/davit-dev/davit/internal/image/load"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/plan"
)

// Outlook is what a run would do.
type Outlook struct {
	plan.Document
	// Secrets are the values of the Secrets among the objects, as one text: they are in nothing else of it. Nil when there are none.
	Secrets []byte
}

// Look finds out what a run of artifacts and rendered would do, and does nothing of it. Objects are compared with those in the cluster, with a
// stand-in for each digest that is not known yet.
func (p *Pipeline) Look(ctx context.Context, artifacts []plan.Artifact, rendered []Rendered) (Outlook, error) {
	var o Outlook
	built, err := p.plannedArtifacts(ctx, artifacts)
	if err != nil {
		return o, err
	}
	if len(rendered) == 0 {
		o.Document = plan.NewDocument(nil, built, nil)
		return o, nil
	}
	images, standins, err := p.expectedImages(artifacts)
	if err != nil {
		return o, err
	}
	if rendered, err = p.Complete(ctx, cloned(rendered), artifacts, images); err != nil {
		return o, err
	}

	all, err := p.sets(rendered)
	if err != nil {
		return o, err
	}
	elsewhere, releases, objects := make([]seen, len(rendered)), make([]seen, len(rendered)), make([]seen, len(rendered))
	var preflight *plan.Preflight
	var engine *plan.Engine
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		preflight, err = p.preflight(groupCtx, all)
		return err
	})
	group.Go(func() (err error) {
		engine, err = p.engine(groupCtx, rendered)
		return err
	})
	for i, s := range all {
		group.Go(func() (err error) {
			elsewhere[i], err = p.lookElsewhere(groupCtx, rendered[i], images, standins)
			return err
		})
		if s == nil {
			continue
		}
		group.Go(func() (err error) {
			objects[i], err = p.lookAt(groupCtx, all, i, standins)
			return err
		})
		group.Go(func() (err error) {
			releases[i], err = p.lookAtReleases(groupCtx, rendered[i], standins)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return o, fmt.Errorf("comparing with what is deployed: %w", err)
	}
	var planned []plan.PlannedObject
	var secrets []map[string]any
	for i := range rendered {
		for _, s := range []seen{elsewhere[i], releases[i], objects[i]} {
			planned, secrets = append(planned, s.objects...), append(secrets, s.secrets)
		}
	}
	if slices.ContainsFunc(secrets, func(s map[string]any) bool { return len(s) > 0 }) {
		if o.Secrets, err = json.Marshal(secrets); err != nil {
			return o, err
		}
	}
	var cluster *plan.Cluster
	if p.Kube != nil {
		cluster = &plan.Cluster{Context: p.Kube.Context(), Server: p.Kube.Server()}
	}
	o.Document = plan.NewDocument(cluster, built, planned)
	o.Preflight, o.Engine = preflight, engine
	return o, nil
}

// seen is what becomes of the objects of one deployment, of one kind.
type seen struct {
	objects []plan.PlannedObject
	secrets map[string]any // the values of Secrets, and of releases, by object
}

// add takes in one object, with the values of a Secret.
func (s *seen) add(one plan.PlannedObject, hidden any) {
	s.objects = append(s.objects, one)
	if hidden == nil {
		return
	}
	if s.secrets == nil {
		s.secrets = map[string]any{}
	}
	s.secrets[one.Namespace+"/"+one.Resource] = hidden
}

// expectedImages gives the images as Build and LoadImages would, with a stand-in for each digest that is not known yet. The second result is the
// stand-ins.
func (p *Pipeline) expectedImages(artifacts []plan.Artifact) ([]Image, []string, error) {
	images := make([]Image, len(artifacts))
	var standins []string
	for i, a := range artifacts {
		digest := plan.Standin(i)
		if s, ok := a.State.(plan.UpToDate); ok {
			digest = s.Digest
		} else {
			standins = append(standins, digest)
		}
		images[i] = p.image(a, digest)
		if !a.Push {
			named, err := reference.ParseNormalizedNamed(a.Ref.Name)
			if err != nil {
				return nil, nil, fmt.Errorf("the image name %q: %w", a.Ref.Name, err)
			}
			images[i].Ref = load.Immutable(reference.FamiliarName(named), digest)
		}
	}
	return images, standins, nil
}

// plannedArtifacts reads also the inputs of artifacts that wait for others, less what those will be, so that a change of them shows.
func (p *Pipeline) plannedArtifacts(ctx context.Context, artifacts []plan.Artifact) ([]plan.PlannedArtifact, error) {
	refs := make(map[string]string, len(artifacts))
	for _, a := range artifacts {
		refs[a.Image] = a.Ref.String()
		if s, ok := a.State.(plan.UpToDate); ok {
			refs[a.Image] = p.image(a, s.Digest).Ref
		}
	}
	planned := make([]plan.PlannedArtifact, len(artifacts))
	for i, a := range artifacts {
		if _, undecided := a.State.(plan.Undecided); undecided {
			m, err := p.read(ctx, a.Draft, refs)
			if err != nil {
				return nil, err
			}
			a.Inputs = m
		}
		planned[i] = a.Planned(string(p.query(a).Key))
	}
	return planned, nil
}

// Last is what is known on this machine of the last build of an artifact.
func (p *Pipeline) Last(a plan.Artifact) (cache.Last, bool) { return p.Cache.Last(identity(a.Draft)) }

// lookAt compares the objects of one deployment with the cluster.
func (p *Pipeline) lookAt(ctx context.Context, all sets, i int, standins []string) (s seen, err error) {
	r := all[i]
	options := p.applyOptions(r.Deployment)
	options.Siblings = all.siblings(r)
	preview, err := p.Kube.Preview(ctx, r.set, r.objects, options, p.Sink)
	if err != nil {
		return s, err
	}
	for _, o := range preview.Objects {
		one, hidden, err := plannedObject(o, r.Set, standins)
		if err != nil {
			return s, err
		}
		s.add(one, hidden)
	}
	for _, o := range preview.Orphans {
		action := plan.ObjectOrphan
		if options.Prune && !o.Kept {
			action = plan.ObjectPrune
		}
		s.add(plan.PlannedObject{Resource: o.Resource, Namespace: o.Namespace, Set: r.Set, Action: action}, nil)
	}
	return s, nil
}

// plannedObject says for programs what becomes of an object. The second result is the values of a Secret.
func plannedObject(o kube.Previewed, set string, standins []string) (one plan.PlannedObject, hidden any, err error) {
	one = plan.PlannedObject{
		Resource: o.Resource, Namespace: o.Object.GetNamespace(), Set: set, Origin: o.Object.Origin, Action: o.Action, UID: o.UID,
	}
	one.Changes = shownChanges(o.Changes, standins)
	for _, n := range o.Notes {
		one.Notes = append(one.Notes, showText(n, standins))
	}
	if o.Err != nil {
		one.Error = showText(o.Err.Error(), standins)
	}
	applied := o.Object.Object
	if o.Secret() {
		one.LiveVersion = o.Version
		applied = maps.Clone(applied)
		hidden = []any{applied["data"], applied["stringData"]}
		delete(applied, "data")
		delete(applied, "stringData")
	}
	one.Object, _ = show(kube.Masked(o.Object), standins).(map[string]any)
	one.Fingerprint, err = fingerprint(applied)
	return one, hidden, err
}

func fingerprint(object map[string]any) (string, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

func shownChanges(changes []kube.Change, standins []string) []plan.FieldChange {
	var shown []plan.FieldChange
	for _, c := range changes {
		shown = append(shown, plan.FieldChange{Path: c.Path, Before: c.Before, After: show(c.After, standins)})
	}
	return shown
}

// show replaces stand-ins in a value by words.
func show(v any, standins []string) any {
	switch v := v.(type) {
	case string:
		return showText(v, standins)
	case []any:
		shown := make([]any, len(v))
		for i, e := range v {
			shown[i] = show(e, standins)
		}
		return shown
	case map[string]any:
		shown := make(map[string]any, len(v))
		for name, e := range v {
			shown[name] = show(e, standins)
		}
		return shown
	}
	return v
}

func showText(s string, standins []string) string {
	for _, digest := range standins {
		s = strings.ReplaceAll(s, digest, plan.ToBeBuilt)
		s = strings.ReplaceAll(s, strings.TrimPrefix(digest, "sha256:"), plan.ToBeBuilt) // the tag of one that is not pushed
	}
	return s
}
