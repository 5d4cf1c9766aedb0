package buildkit

import (
	"context"
	"time"

	"github.com/moby/buildkit/client"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/event"
)

// pushTries is how often a push is tried that fails for a reason that may pass. The daemons try again themselves after
// 5xx answers and dropped connections; this is about registries that say they are asked too often.
const pushTries = 3

// solve runs the build and returns what the exporter says of the result.
func (j *job) solve(ctx context.Context, conn *connection, opt client.SolveOpt) (map[string]string, error) {
	syntax, err := j.readSyntax()
	if err != nil {
		return nil, err
	}
	j.useSyntax(&opt, syntax)
	var answer map[string]string
	err = j.patiently(ctx, func() error {
		var err error
		answer, err = j.solveOnce(ctx, conn, opt)
		if err != nil && j.withoutSyntax(&opt, syntax, err) {
			answer, err = j.solveOnce(ctx, conn, opt)
		}
		if err != nil {
			return j.failure(err)
		}
		return nil
	})
	return answer, err
}

func (j *job) solveOnce(ctx context.Context, conn *connection, opt client.SolveOpt) (map[string]string, error) {
	j.log.forgetFailure()
	status := make(chan *client.SolveStatus)
	told := make(chan struct{})
	go func() {
		defer close(told)
		for s := range status {
			j.log.update(s)
		}
	}()
	resp, err := conn.Solve(ctx, nil, opt, status)
	<-told
	if err != nil {
		return nil, err
	}
	return resp.ExporterResponse, nil
}

// patiently tries again, ever later, what failed for a reason that may pass: what was built already is not built again.
func (j *job) patiently(ctx context.Context, try func() error) error {
	wait := time.Second
	for n := 1; ; n++ {
		err := try()
		if err == nil || n == pushTries || !build.IsPassing(err) {
			return err
		}
		j.sink.Emit(event.Warning{Message: err.Error() + "; trying again in " + wait.String()})
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		wait *= 2
	}
}
