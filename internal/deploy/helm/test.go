package helm

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/davit-dev/davit/internal/event"
)

// momentTest is the moment of the hooks that are a chart's tests: https://helm.sh/docs/topics/chart_tests.
const momentTest = "test"

// current is the revision that counts: the one that this run made, else the deployed one. Nil before the first.
func (it *item) current() *record {
	if it.made != nil {
		return it.made
	}
	return it.deployed
}

// Test runs the tests of all charts as `helm test` does, also of releases that did not change: those of one release one after the other, by weight, and
// releases side by side. How they went is kept in the records. It comes after Deploy, once the releases are ready; it gives the number of tests,
// and the errors of all releases.
func (w *Work) Test(ctx context.Context) (int, error) {
	errs, tests := make([]error, len(w.items)), 0
	var group errgroup.Group
	if w.options.Concurrency > 0 {
		group.SetLimit(w.options.Concurrency)
	}
	for i, it := range w.items {
		r := it.current()
		if r == nil || len(r.hooksOf(momentTest)) == 0 {
			continue
		}
		tests += len(r.hooksOf(momentTest))
		group.Go(func() error {
			if errs[i] = w.test(ctx, it, r); errs[i] != nil && ctx.Err() == nil {
				errs[i] = fmt.Errorf("release %s: %w", it.Name, errs[i])
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs, all of them
	return tests, errors.Join(errs...)
}

func (w *Work) test(ctx context.Context, it *item, r *record) error {
	began := w.options.Now()
	s := it.settings
	s.NoHooks = false // that is about the release's own way
	err := w.runHooks(ctx, r, momentTest, s)
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	if err := errors.Join(err, w.store.update(writing, r)); err != nil {
		return err
	}
	var names []string
	for _, h := range r.hooksOf(momentTest) {
		names = append(names, h.Name)
	}
	w.sink.Emit(event.Note{Message: fmt.Sprintf("release/%s passed the tests of its chart in %.1fs: %s", it.Name, w.options.Now().Sub(began).Seconds(), strings.Join(names, ", "))})
	return nil
}
