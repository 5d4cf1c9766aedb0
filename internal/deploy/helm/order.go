package helm

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/davit-dev/davit/internal/kube"
)

// Deploy carries the releases out, each as soon as those that it depends on are done. It gives the objects of all of them, in the order of the
// config, also when it fails. A release that fails leaves those that depend on it alone; the others go on.
func (w *Work) Deploy(ctx context.Context) ([]kube.Applied, error) {
	if err := w.decideAll(ctx); err != nil {
		return nil, err
	}
	limit := int64(w.options.Concurrency)
	if limit <= 0 {
		limit = int64(max(1, len(w.items)))
	}
	budget := semaphore.NewWeighted(limit)
	for _, it := range w.inOrder {
		go func() {
			defer close(it.done)
			if it.err = w.inTurn(ctx, it, budget); it.err != nil && ctx.Err() == nil {
				it.err = fmt.Errorf("release %s: %w", it.Name, it.err)
			}
		}()
	}
	var applied []kube.Applied
	var errs []error
	for _, it := range w.items {
		<-it.done
		errs = append(errs, it.err)
		for _, a := range it.applied {
			if a.Live != nil {
				applied = append(applied, a)
			}
		}
	}
	if ctx.Err() != nil {
		return applied, context.Cause(ctx)
	}
	return applied, errors.Join(errs...)
}

// decideAll decides what becomes of each release, and refuses what cannot go well, before anything is written.
func (w *Work) decideAll(ctx context.Context) error {
	errs := make([]error, len(w.items))
	var group errgroup.Group
	group.SetLimit(max(2, runtime.NumCPU()))
	for i, it := range w.items {
		group.Go(func() error {
			errs[i] = w.decide(ctx, it)
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs, all of them
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return w.compare(ctx, w.items)
}

// inTurn waits for what the release depends on and for its place, and carries it out. One that lacks what an earlier release of the config may
// bring, a kind or a namespace, is tried again after those: a config that was written for releases one after the other works.
func (w *Work) inTurn(ctx context.Context, it *item, budget *semaphore.Weighted) error {
	moved := false
	for _, other := range w.items {
		if !slices.Contains(it.DependsOn, other.Name) {
			continue
		}
		<-other.done
		if other.err != nil {
			return fmt.Errorf("it is left alone, as %s, on which it depends, failed", other.Name)
		}
		moved = moved || other.made != nil
	}
	if moved { // what its chart finds in the cluster may be new
		if err := w.anew(ctx, it); err != nil {
			return err
		}
	}
	err := w.withBudget(ctx, it, budget)
	var missing *missingError
	if !errors.As(err, &missing) {
		return err
	}
	for _, other := range w.inOrder {
		if other == it {
			break
		}
		<-other.done
		moved = moved || other.made != nil
	}
	if !moved {
		return err
	}
	if err := w.anew(ctx, it); err != nil {
		return err
	}
	return w.withBudget(ctx, it, budget)
}

func (w *Work) withBudget(ctx context.Context, it *item, budget *semaphore.Weighted) error {
	if err := budget.Acquire(ctx, 1); err != nil {
		return err
	}
	defer budget.Release(1)
	return w.carryOut(ctx, it)
}

// anew looks at a release again.
func (w *Work) anew(ctx context.Context, it *item) error {
	w.kube.Forget()
	fresh := *w
	var err error
	if fresh.capabilities, err = w.findCapabilities(ctx); err != nil {
		return err
	}
	if it.trial == nil {
		return nil
	}
	if err := fresh.prepare(ctx, it); err != nil {
		return err
	}
	if it.trial != nil {
		if err := w.transform(ctx, it.trial.all()); err != nil {
			return err
		}
	}
	if err := fresh.decide(ctx, it); err != nil {
		return err
	}
	return w.compare(ctx, []*item{it})
}
