package helm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/davit-dev/davit/internal/kube"
)

// lastWords is how long the record of a release that was interrupted may take to be written.
const lastWords = 10 * time.Second

// newRecord makes the record of the revision that comes next.
func (w *Work) newRecord(it *item) (*record, error) {
	now := moment{w.options.Now()}
	r := &record{
		Name: it.Name, Namespace: it.Namespace, Version: 1, Config: it.target.Values, Method: "ssa", labels: map[string]string{},
		Info: info{FirstDeployed: now, LastDeployed: now, Notes: it.target.Notes},
	}
	r.set(statusPendingInstall, "Initial install underway")
	if it.last != nil {
		r.Version = it.last.Version + 1
	}
	if base := it.base(); it.action == upgrade {
		r.Info.FirstDeployed = base.Info.FirstDeployed
		r.set(statusPendingUpgrade, "Preparing upgrade")
		maps.Copy(r.labels, it.last.labels)
	}
	maps.Copy(r.labels, it.settings.Labels)
	maps.DeleteFunc(r.labels, func(_, value string) bool { return value == "null" })
	var err error
	if r.Chart, err = chartText(it.target.Chart); err != nil {
		return nil, err
	}
	if r.Manifest, err = it.target.manifestText(); err != nil {
		return nil, err
	}
	r.Hooks, err = it.target.recordHooks()
	return r, err
}

// begin writes the new revision, after having made room for it.
func (w *Work) begin(ctx context.Context, it *item, r *record) error {
	if most := it.settings.HistoryMax; r.Version > most {
		if err := w.store.forget(ctx, r.Namespace, r.Name, most); err != nil {
			return err
		}
	}
	err := w.store.create(ctx, r)
	if !errors.Is(err, errTaken) {
		return err
	}
	all, err := w.store.history(ctx, r.Namespace, r.Name)
	if err != nil {
		return err
	}
	if last := all[len(all)-1]; it.last == nil && last.Info.Status == statusSuperseded { // all of them are: somebody deleted the newest
		r.Version = last.Version + 1
		return w.store.create(ctx, r)
	}
	return fmt.Errorf("somebody else made revision %d of it in the meantime: run again when that is done", r.Version)
}

// finish says in the records that the new revision is the one that counts.
func (w *Work) finish(ctx context.Context, it *item) error {
	r := it.made
	verb := kube.VerbConfigured
	r.set(statusDeployed, "Upgrade complete")
	if it.action == install {
		verb = kube.VerbCreated
		r.Info.Description = "Install complete"
	}
	if it.settings.Description != "" {
		r.Info.Description = it.settings.Description
	}
	if err := w.store.update(ctx, r); err != nil {
		return err
	}
	w.tell(it, verb)
	if it.deployed != nil {
		if err := w.supersede(ctx, it.deployed); err != nil {
			return err
		}
	}
	for _, old := range it.failed {
		if old.Info.Status == statusFailed {
			continue
		}
		old.set(statusFailed, "Left half-way, and taken from there by davit")
		if err := w.store.update(ctx, old); err != nil {
			return err
		}
	}
	return nil
}

// supersede says in records that another revision counts now.
func (w *Work) supersede(ctx context.Context, records ...*record) error {
	for _, r := range records {
		r.Info.Status = statusSuperseded
		if err := w.store.update(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// giveUp says in the record that the revision failed, and goes back if that is asked for.
func (w *Work) giveUp(ctx context.Context, it *item, cause error) error {
	undoing := context.WithoutCancel(ctx)
	writing, cancel := context.WithTimeout(undoing, lastWords)
	defer cancel()
	it.made.set(statusFailed, fmt.Sprintf("%s %q failed: %v", map[action]string{install: "Release", upgrade: "Upgrade"}[it.action], it.Name, cause))
	if err := w.store.update(writing, it.made); err != nil {
		cause = errors.Join(cause, err)
	}
	if !it.settings.RollbackOnFailure {
		return cause
	}
	what, err := w.undo(undoing, it)
	if err != nil {
		return errors.Join(cause, fmt.Errorf("going back, as --rollback-on-failure asks: %w", err))
	}
	return fmt.Errorf("%w\n%s, as --rollback-on-failure asks", cause, what)
}
