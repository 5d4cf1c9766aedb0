package pipeline

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/hook"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/plan"
)

// settle is how long a container without a readiness probe must stay up before its pod counts: a program that ends at once would pass
// otherwise. A kubelet looks at its containers once a second, so a program that ended just after a look is told of a second later.
const settle = 1200 * time.Millisecond

// rollouts are the deployments of a run, on their way to be ready.
type rollouts struct {
	*Pipeline
	open []openRollout // applied, and not waited for yet
	seen kube.Rollout  // what was found running
}

type openRollout struct {
	deployment int // its place among all
	wait       bool
	kube.Awaited
}

// add takes in what a deployment, by its place among all, put into the cluster.
func (r *rollouts) add(deployment int, d plan.Deployment, applied []kube.Applied) {
	o := kube.WaitOptions{Deadline: d.Deadline, TolerateFailuresUntilDeadline: d.Tolerate, Settle: settle, LoadBalancers: d.LoadBalancers}
	if d.Kinds != nil {
		o.Kinds = func(gk schema.GroupKind) bool {
			return slices.ContainsFunc(d.Kinds, func(k plan.AwaitedKind) bool { return k.Match(gk.Group, gk.Kind) })
		}
	}
	r.applied = append(r.applied, applied...)
	r.open = append(r.open, openRollout{deployment, d.Wait, kube.Awaited{Applied: applied, WaitOptions: o}})
}

// ready waits until deployments, by their places, are ready; those of which that was seen before are not asked for again.
func (r *rollouts) ready(ctx context.Context, deployments ...int) error {
	return r.settleThose(ctx, func(o openRollout) bool { return o.wait && slices.Contains(deployments, o.deployment) })
}

// all waits for what is left, and looks at what need not be waited for.
func (r *rollouts) all(ctx context.Context) error {
	if err := r.settleThose(ctx, func(o openRollout) bool { return o.wait }); err != nil {
		return err
	}
	for _, o := range r.open {
		found, err := r.Kube.Observe(ctx, o.Applied)
		if err != nil {
			return err
		}
		r.seen.Workloads = append(r.seen.Workloads, found.Workloads...)
	}
	r.open = nil
	return nil
}

// settleThose waits for the deployments that pick picks, all together.
func (r *rollouts) settleThose(ctx context.Context, pick func(openRollout) bool) error {
	var now []kube.Awaited
	var later []openRollout
	for _, o := range r.open {
		if pick(o) {
			now = append(now, o.Awaited)
		} else {
			later = append(later, o)
		}
	}
	if len(now) == 0 {
		return nil
	}
	r.open = later
	return r.stage(event.StageWait, func() error {
		found, err := r.Kube.WaitAll(ctx, now, r.Sink)
		if err == nil {
			r.seen.Workloads = append(r.seen.Workloads, found.Workloads...)
		}
		return err
	})
}

// around deploys between hooks: those after it run once what it deployed is ready, so that they find the new pods. namespaces are those that hooks
// look for containers in; deploy gives the ones that it found out about.
func (p *Pipeline) around(ctx context.Context, d plan.Rollout, namespaces []string, deploy func() ([]string, error), ready func() error) error {
	place := p.hookPlace(d, namespaces)
	if err := place.Run(ctx, "before", d.Before, p.Sink); err != nil {
		return err
	}
	more, err := deploy()
	if err != nil || len(d.After) == 0 {
		return err
	}
	if err := ready(); err != nil {
		return err
	}
	return p.hookPlace(d, append(namespaces, more...)).Run(ctx, "after", d.After, p.Sink)
}

func (p *Pipeline) hookPlace(d plan.Rollout, namespaces []string) hook.Place {
	slices.Sort(namespaces)
	place := hook.Place{
		Env: maps.Clone(p.HookEnv), Environ: p.Environ, Kube: p.Kube, Namespaces: slices.Compact(namespaces),
		Prefix: func(pod, container string) string { return d.Logs.Prefix(pod, container) },
	}
	kubeContext := ""
	if p.Kube != nil {
		kubeContext = p.Kube.Context()
	}
	maps.Copy(place.Env, hook.Env{"RUN_ID": p.runID(), "KUBE_CONTEXT": kubeContext, "NAMESPACES": strings.Join(place.Namespaces, ",")})
	return place
}

// runID tells hooks which run they belong to. Nothing in the cluster carries it.
func (p *Pipeline) runID() string {
	if p.run == "" {
		p.run = uuid.NewString()
	}
	return p.run
}

// namespacesOf are those of objects.
func namespacesOf(applied []kube.Applied) []string {
	var all []string
	for _, a := range applied {
		if namespace := a.Live.GetNamespace(); namespace != "" && !slices.Contains(all, namespace) {
			all = append(all, namespace)
		}
	}
	return all
}
