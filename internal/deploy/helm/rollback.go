package helm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/render/helm"
)

// Revision is one revision of a release, for people.
type Revision struct {
	Name        string    `json:"-"`
	Namespace   string    `json:"-"`
	Revision    int       `json:"revision"`
	Deployed    time.Time `json:"time"`
	Status      string    `json:"status"`               // "deployed", "superseded", "failed", ...
	Chart       string    `json:"chart,omitempty"`      // "shop-1.2.0"
	App         string    `json:"appVersion,omitempty"` // "1.2.0"
	Description string    `json:"description,omitempty"`
}

// History gives the revisions of a release that are kept, the oldest first; none when it is not installed.
func (d *Deployer) History(ctx context.Context, namespace, name string) ([]Revision, error) {
	records, err := d.store.history(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	var all []Revision
	for _, r := range records {
		all = append(all, r.revision())
	}
	return all, nil
}

func (r *record) revision() Revision {
	one := Revision{Name: r.Name, Namespace: r.Namespace, Revision: r.Version, Status: r.Info.Status, Description: r.Info.Description, Deployed: r.Info.LastDeployed.Time}
	if c, err := r.chart(); err == nil && c.Metadata != nil {
		one.Chart, one.App = c.Metadata.Name+"-"+c.Metadata.Version, c.Metadata.AppVersion
	}
	return one
}

// Revisions are those that the releases have after Deploy, in the order of the config.
func (w *Work) Revisions() []Revision {
	var all []Revision
	for _, it := range w.items {
		if r := it.current(); r != nil {
			all = append(all, r.revision())
		}
	}
	return all
}

// PutBack makes a release what it was in a revision, by Rollback unless it is that already. It gives what the release consists of.
func (d *Deployer) PutBack(ctx context.Context, namespace, name string, revision int) ([]kube.Applied, error) {
	all, err := d.store.latest(ctx, namespace, []string{name})
	if err != nil {
		return nil, err
	}
	if found := all[name]; len(found) > 0 {
		last := found[len(found)-1]
		if last.Info.Status == statusDeployed && (last.Version == revision || last.Info.RolledBackTo == revision) {
			return nil, nil
		}
	}
	return d.Rollback(ctx, namespace, name, revision, helm.DefaultDeployment())
}

// Rollback makes a new revision of an older one, as `helm rollback` does; revision 0 is the last one before the newest that was deployed. It gives the
// objects that were applied.
func (d *Deployer) Rollback(ctx context.Context, namespace, name string, revision int, s helm.Deployment) ([]kube.Applied, error) {
	applied, err := d.rollback(ctx, namespace, name, revision, s)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("rolling back release %s: %w", name, err)
	}
	return applied, err
}

func (d *Deployer) rollback(ctx context.Context, namespace, name string, revision int, s settings) ([]kube.Applied, error) {
	all, err := d.store.history(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("it is not installed in namespace %s", namespace)
	}
	last := all[len(all)-1]
	target, err := findTarget(all, revision)
	if err != nil {
		return nil, err
	}
	now := moment{d.options.Now()}
	r := &record{
		Name: name, Namespace: namespace, Version: last.Version + 1, Chart: target.Chart, Config: target.Config, Manifest: target.Manifest, Hooks: target.Hooks,
		Method: "ssa", labels: target.labels,
		Info: info{FirstDeployed: last.Info.FirstDeployed, LastDeployed: now, Notes: target.Info.Notes, RolledBackTo: target.Version},
	}
	description := fmt.Sprintf("Rollback to %d", target.Version)
	r.set(statusPendingRollback, description)
	c := change{record: r, settings: s, options: kube.ApplyOptions{Manager: fieldManager, Force: d.options.Force || s.ForceReplace}, before: "pre-rollback", after: "post-rollback"}
	objects, err := r.objects()
	if err != nil {
		return nil, err
	}
	if c.objects, err = clusterObjects(name, namespace, objects, true); err != nil {
		return nil, err
	}
	if c.old, err = objectsSince(all); err != nil {
		return nil, err
	}
	if err := d.store.create(ctx, r); err != nil {
		return nil, err
	}
	applied, err := d.perform(ctx, c)
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	if err != nil {
		r.set(statusFailed, fmt.Sprintf("Rollback %q failed: %v", name, err))
		return applied, errors.Join(err, d.store.update(writing, r))
	}
	r.set(statusDeployed, description)
	if err := d.store.update(writing, r); err != nil {
		return applied, err
	}
	d.tellOf(name, namespace, kube.VerbConfigured)
	d.sink.Emit(event.Note{Message: fmt.Sprintf("release %s is back at revision %d (as revision %d)", name, target.Version, r.Version)})
	for _, old := range all {
		if old.Info.Status == statusDeployed {
			old.Info.Status = statusSuperseded
			if err := d.store.update(writing, old); err != nil {
				return applied, err
			}
		}
	}
	return applied, nil
}

// findTarget finds the revision to go back to.
func findTarget(all []*record, revision int) (*record, error) {
	for _, r := range slices.Backward(all) {
		good := r.Info.Status == statusDeployed || r.Info.Status == statusSuperseded
		if revision == r.Version || revision == 0 && good && r != all[len(all)-1] {
			return r, nil
		}
	}
	if revision == 0 {
		return nil, errors.New("no earlier revision of it was ever deployed")
	}
	return nil, fmt.Errorf("it has no revision %d: the oldest that is kept is %d", revision, all[0].Version)
}

// objectsSince are all objects that may be in the cluster: those of the deployed revision, and of those after it.
func objectsSince(all []*record) ([]kube.Object, error) {
	var objects []kube.Object
	for _, r := range slices.Backward(all) {
		found, err := r.objects()
		if err != nil {
			return nil, err
		}
		made, err := clusterObjects(r.Name, r.Namespace, found, false)
		if err != nil {
			return nil, err
		}
		objects = append(objects, made...)
		if r.Info.Status == statusDeployed || r.Info.Status == statusUninstalled {
			break
		}
	}
	return objects, nil
}

// Undo takes back what Deploy did, in reverse: releases that were upgraded go back to the revision that was deployed before, those that were installed are
// uninstalled. It says what it put back. Releases that --rollback-on-failure has taken back already stay.
func (w *Work) Undo(ctx context.Context) error {
	var errs []error
	for _, it := range slices.Backward(w.inOrder) {
		if it.made == nil || it.undone {
			continue
		}
		what, err := w.undo(ctx, it)
		if err != nil {
			errs = append(errs, fmt.Errorf("release %s: %w", it.Name, err))
			continue
		}
		w.sink.Emit(event.Note{Message: fmt.Sprintf("release %s %s", it.Name, what)})
	}
	return errors.Join(errs...)
}

func (w *Work) undo(ctx context.Context, it *item) (what string, err error) {
	it.undone = true
	if it.deployed == nil {
		if err := w.uninstall(ctx, it.Namespace, it.Name, it.settings); err != nil {
			return "", err
		}
		return "was uninstalled", nil
	}
	if _, err := w.rollback(ctx, it.Namespace, it.Name, it.deployed.Version, it.settings); err != nil {
		return "", err
	}
	return fmt.Sprintf("went back to revision %d", it.deployed.Version), nil
}

// Uninstall takes releases away with all that belongs to them, those first on which no other depends, and waits until they are gone. One that is not
// there is fine.
func (d *Deployer) Uninstall(ctx context.Context, releases []helm.Release) error {
	levels, err := helm.Order(releases)
	if err != nil {
		return err
	}
	var errs []error
	for _, level := range slices.Backward(levels) {
		failed := make([]error, len(level))
		var group errgroup.Group
		for n, i := range level {
			group.Go(func() error {
				failed[n] = d.uninstallOne(ctx, releases[i])
				return nil
			})
		}
		_ = group.Wait() // the errors are in failed, all of them
		errs = append(errs, failed...)
	}
	return errors.Join(errs...)
}

func (d *Deployer) uninstallOne(ctx context.Context, r helm.Release) error {
	s, foreign, err := r.Deployment()
	switch {
	case err != nil:
	case foreign != "" && !r.Secrets:
		err = helm.UninstallByCommand(ctx, r, d.options.Render, foreign, d.options.Cluster, d.sink)
	default:
		err = d.uninstall(ctx, r.Namespace, r.Name, s)
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("uninstalling release %s: %w", r.Name, err)
	}
	return err
}

func (d *Deployer) uninstall(ctx context.Context, namespace, name string, s settings) error {
	all, err := d.store.history(ctx, namespace, name)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		d.sink.Emit(event.Info{Message: fmt.Sprintf("release %s is not installed in namespace %s", name, namespace)})
		return nil
	}
	last := all[len(all)-1]
	var errs []error
	if last.Info.Status != statusUninstalled {
		last.Info.Deleted = moment{d.options.Now()}
		last.set(statusUninstalling, "Deletion in progress (or silently failed)")
		if err := d.store.update(ctx, last); err != nil {
			return err
		}
		if err := d.runHooks(ctx, last, "pre-delete", s); err != nil {
			return err
		}
		objects, err := objectsSince(all)
		if err != nil {
			return err
		}
		if err := d.remove(ctx, unique(objects), name, namespace, kube.DeleteOptions{Foreground: true}); err != nil {
			return err
		}
		errs = append(errs, d.runHooks(ctx, last, "post-delete", s))
	}
	for _, r := range all {
		errs = append(errs, d.store.remove(ctx, r))
	}
	d.tellOf(name, namespace, kube.VerbDeleted)
	return errors.Join(errs...)
}

func unique(objects []kube.Object) []kube.Object {
	seen := map[string]bool{}
	return slices.DeleteFunc(objects, func(o kube.Object) bool {
		again := seen[keyOf(o)]
		seen[keyOf(o)] = true
		return again
	})
}
