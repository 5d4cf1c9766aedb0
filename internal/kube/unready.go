package kube

import (
	"context"
	"slices"

	"github.com/davit-dev/davit/internal/event"
)

// Unready reads the workloads among objects, and says of each that is not ready now why: "deployment.apps/web: waiting for 1 of 1 pods to be ready...". It waits
// for nothing.
func (c *Client) Unready(ctx context.Context, objects []Object, sink event.Sink) ([]string, error) {
	workloads := slices.DeleteFunc(slices.Clone(objects), func(o Object) bool { return readyFuncs[refOf(o.Unstructured).gk] == nil })
	if len(workloads) == 0 {
		return nil, nil
	}
	found, err := c.Compare(ctx, [][]Object{workloads}, sink)
	if err != nil {
		return nil, err
	}
	var unready []string
	for _, a := range found[0] {
		if a.Live == nil {
			unready = append(unready, a.Resource+": it is not there")
			continue
		}
		switch r := readyFuncs[refOf(a.Live).gk](a.Live); {
		case r.failure != "":
			unready = append(unready, a.Resource+": "+r.failure)
		case !r.done:
			unready = append(unready, a.Resource+": "+r.message)
		}
	}
	return unready, nil
}
