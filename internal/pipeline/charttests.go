package pipeline

import (
	"context"
	"errors"

	"github.com/davit-dev/davit/internal/deploy/helm"
	"github.com/davit-dev/davit/internal/event"
)

// testCharts runs the tests of the charts of those deployments that want it. What they deployed is ready.
func (p *Pipeline) testCharts(ctx context.Context, rendered []Rendered) error {
	var all []*helm.Work
	for _, r := range rendered {
		if r.Work != nil && r.Releases.Tests {
			all = append(all, r.Work)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return p.stage(event.StageTest, func() error {
		tests, errs := 0, []error{}
		for _, w := range all {
			n, err := w.Test(ctx)
			tests, errs = tests+n, append(errs, err)
		}
		if tests == 0 {
			p.warn("no chart has tests: templates with the annotation helm.sh/hook: test are some")
		}
		return errors.Join(errs...)
	})
}
