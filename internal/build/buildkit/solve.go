package buildkit

import (
	"context"

	"github.com/moby/buildkit/client"
)

// solve runs the build and returns what the exporter says of the result.
func (j *job) solve(ctx context.Context, conn *connection, opt client.SolveOpt) (map[string]string, error) {
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
		return nil, j.failure(err)
	}
	return resp.ExporterResponse, nil
}
