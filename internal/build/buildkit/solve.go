package buildkit

import (
	"cmp"
	"context"
	"errors"

	"github.com/moby/buildkit/client"

	"github.com/davit-dev/davit/internal/build"
)

// solve runs the build and returns what the exporter says of the result.
func (j *job) solve(ctx context.Context, conn *connection, opt client.SolveOpt) (map[string]string, error) {
	syntax, err := j.readSyntax()
	if err != nil {
		return nil, err
	}
	j.useSyntax(&opt, syntax)
	var answer map[string]string
	var failed error
	err = j.patiently(ctx, func() error {
		answer, failed = j.solveOnce(ctx, conn, opt)
		if failed != nil && j.withoutSyntax(&opt, syntax, failed) {
			answer, failed = j.solveOnce(ctx, conn, opt)
		}
		if _, silent := errors.AsType[*build.RegistryError](failed); failed != nil && !silent {
			failed = j.failure(failed)
		}
		if build.IsBusy(failed) {
			return failed
		}
		return nil
	})
	return answer, cmp.Or(err, failed)
}

func (j *job) solveOnce(ctx context.Context, conn *connection, opt client.SolveOpt) (map[string]string, error) {
	j.log.forgetFailure()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	heard := newListener()
	go func() {
		if err := j.untilSilent(ctx, heard); err != nil {
			stop(err)
		}
	}()
	status := make(chan *client.SolveStatus)
	told := make(chan struct{})
	go func() {
		defer close(told)
		for s := range status {
			j.log.update(s)
			heard.update(s)
		}
	}()
	resp, err := conn.Solve(ctx, nil, opt, status)
	<-told
	if err != nil {
		if silent, ok := errors.AsType[*build.RegistryError](context.Cause(ctx)); ok {
			return nil, silent
		}
		return nil, err
	}
	return resp.ExporterResponse, nil
}

// patiently tries again, ever later, what failed for a reason that may pass: what was built already is not built again.
func (j *job) patiently(ctx context.Context, try func() error) error {
	return build.Patiently(ctx, j.sink, try)
}
