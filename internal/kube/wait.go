package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/davit-dev/davit/internal/event"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	defaultDeadline = 10 * time.Minute
	// afterFailure is how long the other workloads may still become ready once one has failed, so that they are told too.
	afterFailure = 5 * time.Second
)

// WaitOptions says how long to wait.
type WaitOptions struct {
	// Deadline for each workload; 0: ten minutes. A Deployment whose progressDeadlineSeconds is not the server's default (600) has
	// its own.
	Deadline time.Duration
	// TolerateFailuresUntilDeadline makes crashes and failing pulls passing states: only the deadline ends the wait.
	TolerateFailuresUntilDeadline bool
	// Settle is how long a container without a readiness probe must stay up before its pod counts, in pods that this run made. The
	// cluster calls such a pod ready as soon as its program starts, even one that ends at once. 0: not at all.
	Settle time.Duration
	// LoadBalancers waits until Services of type LoadBalancer have an address. The annotation [WaitAnnotation] asks for the same of one.
	LoadBalancers bool
	// Kinds picks what is waited for by its conditions, beside the kinds of which more is known; nil: all custom resources.
	Kinds func(schema.GroupKind) bool
}

// Awaited are objects that are waited for in the same way.
type Awaited struct {
	Applied []Applied
	WaitOptions
}

// Rollout is what Wait saw at its end.
type Rollout struct{ Workloads []Workload }

// Workload is one object that was waited for, or whose pods can be proved.
type Workload struct {
	Resource, Namespace, Kind string
	Pods                      []*corev1.Pod // of the latest generation, by name, without those being deleted
}

// Wait follows the workloads among the objects until each is rolled out or has failed. What is not a workload is not waited
// for. When everything is ready at the first look it costs a list of pods (and of ReplicaSets) in each namespace, and no watch.
//
// When a workload fails for good, the others have some seconds more to settle. The error joins a [*RolloutError] for each that
// failed.
func (c *Client) Wait(ctx context.Context, applied []Applied, o WaitOptions, sink event.Sink) (*Rollout, error) {
	return c.WaitAll(ctx, []Awaited{{applied, o}}, sink)
}

// WaitAll is Wait for objects of several deployments at once, each by its own options.
func (c *Client) WaitAll(ctx context.Context, all []Awaited, sink event.Sink) (*Rollout, error) {
	ctx = quiet(ctx)
	w := newWaiter(c, all, sink)
	if len(w.workloads) == 0 {
		return &Rollout{}, nil
	}
	err := w.look(ctx)
	if err == nil {
		err = w.readClasses(ctx)
	}
	if err != nil {
		return nil, oneIfUnreachable(err)
	}
	w.evaluate()
	if w.waiting() {
		if err := w.follow(ctx); err != nil {
			return nil, err
		}
		if err := w.look(ctx); err != nil {
			return nil, err
		}
	}
	if err := w.err(ctx); err != nil {
		return w.rollout(), err
	}
	if err := w.ownedPods(ctx); err != nil {
		return nil, err
	}
	return w.rollout(), nil
}

// Observe reads the pods of the workloads among the objects without waiting for anything.
func (c *Client) Observe(ctx context.Context, applied []Applied) (*Rollout, error) {
	ctx = quiet(ctx)
	w := newWaiter(c, []Awaited{{Applied: applied}}, event.SinkFunc(func(event.Event) {}))
	if err := w.look(ctx); err != nil {
		return nil, err
	}
	if err := w.ownedPods(ctx); err != nil {
		return nil, err
	}
	return w.rollout(), nil
}

// workload is an object on its way to be ready.
type workload struct {
	ref      ref
	origin   string
	resource Resource
	ready    func(*unstructured.Unstructured) readiness
	deadline time.Duration
	tolerate bool          // failures count at the deadline only
	settle   time.Duration // see WaitOptions
	fresh    bool          // changed by this run
	owned    []*corev1.Pod // of a custom resource
	since    time.Time     // by the cluster's clock: warnings from before are of no interest

	done     bool
	failed   bool
	verdict  readiness // why it failed
	trouble  *trouble  // of one of its pods, at the last look
	said     string
	podsSaid map[string]string
}

func (w *workload) settled() bool { return w.done || w.failed }

type waiter struct {
	client    *Client
	sink      event.Sink
	view      *view
	workloads []*workload
	start     time.Time
	failedAt  time.Time // of the first failure
	watching  bool      // what is seen changes by itself

	firstSeen map[string]time.Time // of a trouble, or of a container that runs
	growth    map[string]growth    // by pod that no node takes
}

// growth is whether an autoscaler has promised a node for a pod.
type growth int

const (
	growthUnknown growth = iota
	growthToAsk          // as soon as the view is not held
	growthNone
	growthPromised
)

func newWaiter(c *Client, all []Awaited, sink event.Sink) *waiter {
	w := &waiter{client: c, sink: sink, view: newView(), start: time.Now(), firstSeen: map[string]time.Time{}, growth: map[string]growth{}}
	for _, group := range all {
		for _, a := range group.Applied {
			ready := group.readyFunc(a.Live)
			if ready == nil {
				continue
			}
			r := refOf(a.Live)
			w.workloads = append(w.workloads, &workload{ref: r, origin: a.Object.Origin, resource: a.resource, ready: ready,
				deadline: deadlineOf(a.Live, group.Deadline), tolerate: group.TolerateFailuresUntilDeadline, settle: group.Settle,
				since: c.since(a), fresh: a.Verb != VerbUnchanged, podsSaid: map[string]string{}})
			w.view.live[r.key()] = a.Live
			w.view.put(a.Live, false)
		}
	}
	return w
}

// since is when an object was last changed by davit; for one that was left alone, the next full second, as the cluster tells no
// finer times.
func (c *Client) since(a Applied) time.Time {
	if a.Verb != VerbUnchanged {
		for _, e := range a.Live.GetManagedFields() {
			if e.Manager == cmp.Or(a.manager, FieldManager) && e.Operation == metav1.ManagedFieldsOperationApply && e.Time != nil {
				return e.Time.Time
			}
		}
	}
	return time.Now().Add(time.Duration(c.skew.Load()) + time.Second).Truncate(time.Second)
}

func deadlineOf(u *unstructured.Unstructured, asked time.Duration) time.Duration {
	own := count(u, 600, "spec", "progressDeadlineSeconds")
	switch {
	case u.GetKind() == "Deployment" && own != 600 && own < math.MaxInt32:
		return time.Duration(own) * time.Second
	case asked > 0:
		return asked
	}
	return defaultDeadline
}

// selections are what belongs to the workloads: their pods, and what tells the generations apart.
func (w *waiter) selections() []selection {
	namespaces := map[string][]*unstructured.Unstructured{}
	kinds := map[string]bool{}
	for _, l := range w.workloads {
		u := w.view.live[l.ref.key()]
		if u == nil || l.ref.gk.Kind == "Pod" || !ownsPods(l.ref) {
			continue
		}
		namespaces[l.ref.namespace] = append(namespaces[l.ref.namespace], u)
		kinds[l.ref.namespace+"/"+l.ref.gk.Kind] = true
	}
	var all []selection
	for ns, workloads := range namespaces {
		labels := podSelector(workloads)
		all = append(all, selection{resource: podResource, namespace: ns, labels: labels})
		if kinds[ns+"/Deployment"] {
			all = append(all, selection{resource: replicaSetResource, namespace: ns, labels: labels})
		}
		if kinds[ns+"/DaemonSet"] {
			all = append(all, selection{resource: revisionResource, namespace: ns, labels: labels})
		}
	}
	return all
}

func ownsPods(r ref) bool {
	return r.gk.Group == "apps" || r.gk.Kind == "Job" || r.gk.Kind == "ReplicationController"
}

// look lists once what belongs to the workloads.
func (w *waiter) look(ctx context.Context) error {
	return forAll(w.selections(), func(s selection) error {
		all, err := w.client.list(ctx, s.resource, s.namespace, s.options())
		if err != nil {
			return fmt.Errorf("listing %s in namespace %s: %w", s.resource.Name, s.namespace, err)
		}
		newMirror(w.view).reset(all)
		return nil
	})
}

// readClasses has claims waited for that are not bound yet, and need not wait for a pod either. A class that is not there, or may not be read, says
// nothing.
func (w *waiter) readClasses(ctx context.Context) error {
	atOnce := map[string]bool{}
	for _, l := range w.workloads {
		u := w.view.live[l.ref.key()]
		if l.ref.gk.Kind != "PersistentVolumeClaim" || phaseOf(u) == "Bound" {
			continue
		}
		class, _, _ := unstructured.NestedString(u.Object, "spec", "storageClassName")
		if _, known := atOnce[class]; !known && class != "" {
			found, err := w.client.get(ctx, classResource, "", class)
			if err != nil && !apierrors.IsForbidden(err) {
				return fmt.Errorf("reading storageclass/%s: %w", class, err)
			}
			atOnce[class] = err == nil && found != nil && found.Object["volumeBindingMode"] == "Immediate"
		}
		if atOnce[class] {
			l.ready = boundReady
		}
	}
	return nil
}

// workloadSelections are the workloads themselves that are not settled.
func (w *waiter) workloadSelections() []selection {
	places := map[place][]*workload{}
	for _, l := range w.workloads {
		if !l.settled() {
			p := place{l.resource.GVR().String(), l.ref.namespace}
			places[p] = append(places[p], l)
		}
	}
	var all []selection
	for p, here := range places {
		s := selection{resource: here[0].resource, namespace: p.namespace}
		for _, l := range here {
			s.known = append(s.known, w.view.live[l.ref.key()])
		}
		if len(here) == 1 {
			s.fields = "metadata.name=" + here[0].ref.name
		} else {
			s.labels = w.commonSet(here)
		}
		all = append(all, s)
	}
	return all
}

// commonSet selects by the set's label, if all workloads carry the same.
func (w *waiter) commonSet(workloads []*workload) string {
	ids := map[string]bool{}
	for _, l := range workloads {
		if u := w.view.live[l.ref.key()]; u != nil {
			ids[u.GetLabels()[labelPartOf]] = true
		}
	}
	if len(ids) != 1 || ids[""] {
		return ""
	}
	return labelPartOf + "=" + slices.Collect(maps.Keys(ids))[0]
}

// follow watches until all workloads are settled.
func (w *waiter) follow(ctx context.Context) error {
	w.watching = true
	watching, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	failed := make(chan error, 1)
	watch := func(s selection, needed bool) {
		wg.Go(func() {
			if err := w.client.follow(watching, s, newMirror(w.view, s.known...)); err != nil && needed {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	namespaces := map[string]bool{}
	for _, s := range append(w.workloadSelections(), w.selections()...) {
		watch(s, true)
		namespaces[s.namespace] = true
	}
	for ns := range namespaces {
		watch(selection{resource: eventResource, namespace: ns, fields: "type=Warning"}, false)
	}
	for {
		wake := w.evaluate()
		if !w.waiting() {
			return nil
		}
		if w.askWhetherGrowing(ctx) {
			continue
		}
		timer := time.NewTimer(time.Until(wake))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case err := <-failed:
			timer.Stop()
			return err
		case <-w.view.changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// waiting says whether any workload is not settled; once one has failed, the rest waits only a little more.
func (w *waiter) waiting() bool {
	if !w.failedAt.IsZero() && time.Since(w.failedAt) >= afterFailure {
		return false
	}
	return slices.ContainsFunc(w.workloads, func(l *workload) bool { return !l.settled() })
}

// askWhetherGrowing asks, for pods that no node takes, whether an autoscaler has promised one. It says whether it asked.
func (w *waiter) askWhetherGrowing(ctx context.Context) bool {
	asked := false
	for _, l := range w.workloads {
		if l.settled() || l.trouble == nil || w.growth[l.trouble.pod] != growthToAsk {
			continue
		}
		asked = true
		w.growth[l.trouble.pod] = growthNone
		found, err := w.client.in(eventResource, l.ref.namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + l.trouble.pod})
		if err != nil {
			continue
		}
		for _, e := range found.Items {
			reason, _, _ := unstructured.NestedString(e.Object, "reason")
			if reason == "TriggeredScaleUp" || reason == "Nominated" {
				w.growth[l.trouble.pod] = growthPromised
			}
		}
	}
	return asked
}

// rollout is what the view shows now.
func (w *waiter) rollout() *Rollout {
	w.view.mu.Lock()
	defer w.view.mu.Unlock()
	r := &Rollout{}
	for _, l := range w.workloads {
		u := w.view.live[l.ref.key()]
		if u == nil {
			continue
		}
		pods := l.owned
		if !l.custom() {
			pods = w.view.newPods(u)
		}
		pods = slices.DeleteFunc(slices.Clone(pods), func(p *corev1.Pod) bool { return p.DeletionTimestamp != nil })
		r.Workloads = append(r.Workloads, Workload{Resource: l.ref.String(), Namespace: l.ref.namespace, Kind: l.ref.gk.Kind, Pods: pods})
	}
	return r
}

// errorOf says why a workload failed. The watches tell in no fixed order: the pod that explains it may have come after.
func (w *waiter) errorOf(l *workload) *RolloutError {
	w.view.mu.Lock()
	defer w.view.mu.Unlock()
	if u := w.view.live[l.ref.key()]; u != nil && l.trouble == nil {
		l.trouble, _ = w.troubleOf(l, w.view.newPods(u), true, time.Now())
	}
	return l.errorFor(l.verdict, l.trouble)
}

// err joins the failures, each with the last log lines of what crashed.
func (w *waiter) err(ctx context.Context) error {
	var failed []*RolloutError
	for _, l := range w.workloads {
		switch {
		case l.failed:
			failed = append(failed, w.errorOf(l))
		case !l.done:
			failed = append(failed, &RolloutError{Resource: l.ref.String(), Namespace: l.ref.namespace, Origin: l.origin,
				Cause: "not ready when another workload failed", Detail: l.said})
		}
	}
	if len(failed) == 0 {
		return nil
	}
	_ = forAll(failed, func(f *RolloutError) error { f.readLog(ctx, w.client); f.readNode(ctx, w.client); return nil })
	errs := make([]error, len(failed))
	for i, f := range failed {
		errs[i] = f
	}
	return errors.Join(errs...)
}
