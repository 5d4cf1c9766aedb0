package kube

import (
	"fmt"
	"time"

	"github.com/davit-dev/davit/internal/event"
	corev1 "k8s.io/api/core/v1"
)

// evaluate looks at each workload in the view, settles those that can be, and says when to look again at the latest.
func (w *waiter) evaluate() (wake time.Time) {
	w.view.mu.Lock()
	defer w.view.mu.Unlock()
	now := time.Now()
	wake = now.Add(time.Minute)
	for _, l := range w.workloads {
		if l.settled() {
			continue
		}
		again := w.judge(l, now)
		if again.Before(wake) {
			wake = again
		}
		if l.failed && w.failedAt.IsZero() {
			w.failedAt = now
		}
	}
	if !w.failedAt.IsZero() {
		if end := w.failedAt.Add(afterFailure); end.Before(wake) {
			wake = end
		}
	}
	return wake
}

// judge settles one workload, or says when to look again.
func (w *waiter) judge(l *workload, now time.Time) time.Time {
	u := w.view.live[l.ref.key()]
	if u == nil {
		l.fail(readiness{failure: "it was deleted while it was waited for", next: "see who deleted it, and run again"})
		return now
	}
	r := l.ready(u)
	pods := w.view.newPods(u)
	l.trouble = nil
	var again time.Time
	if !r.done {
		l.trouble, again = w.troubleOf(l, pods, r.failure != "", now)
	}
	end := w.start.Add(l.deadline)
	switch {
	case r.done:
		w.succeed(l, r)
	case r.failure != "" && !(r.passing && w.options.TolerateFailuresUntilDeadline):
		l.fail(r)
	case l.trouble != nil && again.IsZero() && !w.options.TolerateFailuresUntilDeadline:
		l.fail(r)
	case !now.Before(end):
		w.giveUp(l, r, pods)
	default:
		w.progress(l, r, pods)
	}
	if again.IsZero() || end.Before(again) {
		again = end
	}
	return again
}

func (l *workload) fail(r readiness) { l.failed, l.verdict = true, r }

// troubleOf finds what is wrong with the pods; with a time if it is too early to say so. A Job whose failure is final (over) has
// counted its crashes.
func (w *waiter) troubleOf(l *workload, pods []*corev1.Pod, over bool, now time.Time) (*trouble, time.Time) {
	for _, pod := range pods {
		t := podTrouble(pod, w.view.warnings[pod.UID], l.ref.gk.Kind == "Job" && !over)
		if t == nil {
			continue
		}
		key := t.pod + "/" + t.container + "/" + t.cause
		if _, known := w.firstSeen[key]; !known {
			w.firstSeen[key] = now
		}
		if end := w.firstSeen[key].Add(t.patience); now.Before(end) {
			return t, end
		}
		if t.schedule {
			grows, asked := w.growing[t.pod]
			if !asked {
				w.growing[t.pod] = false
				return t, now
			}
			if grows {
				return t, w.start.Add(l.deadline)
			}
		}
		return t, time.Time{}
	}
	return w.controllerTrouble(l), time.Time{}
}

// controllerTrouble is what keeps a controller from making pods, which for some kinds only its events say.
func (w *waiter) controllerTrouble(l *workload) *trouble {
	switch l.ref.gk.Kind {
	case "StatefulSet", "DaemonSet", "Job":
	default:
		return nil
	}
	u := w.view.live[l.ref.key()]
	for _, e := range w.view.warnings[u.GetUID()] {
		if e.Reason == "FailedCreate" {
			return &trouble{cause: "its pods cannot be created", detail: e.Message, next: nextForCreate(e.Message)}
		}
	}
	return nil
}

func (w *waiter) succeed(l *workload, r readiness) {
	l.done = true
	if r.message != "" {
		w.sink.Emit(event.Note{Message: l.ref.String() + " " + r.message})
	}
	left := 0
	for _, other := range w.workloads {
		if !other.settled() {
			left++
		}
	}
	w.sink.Emit(event.WorkloadReady{Resource: l.ref.String(), Namespace: l.ref.namespace, Took: time.Since(w.start), Left: left})
}

// giveUp ends the wait at the deadline. A Job that still works is no failure: nobody said how long it may take.
func (w *waiter) giveUp(l *workload, r readiness, pods []*corev1.Pod) {
	if l.ref.gk.Kind == "Job" && l.trouble == nil && len(pods) > 0 {
		l.done = true
		w.sink.Emit(event.Warning{Message: fmt.Sprintf("%s is still running after %s: it is not waited for any longer", l.ref, l.deadline)})
		return
	}
	if l.trouble == nil {
		l.trouble = w.lastWarning(pods)
	}
	r.failure = fmt.Sprintf("not ready after %s", l.deadline)
	if l.trouble == nil {
		r.failure += ": " + r.message
		r.next = "see its pods and their logs, or give it more time with --status-check-deadline"
	}
	l.fail(r)
}

// lastWarning is what can be said of a pod that is not ready at the deadline: the last that the cluster warned of it, such as
// a probe that fails, and the log of a container that runs all the same.
func (w *waiter) lastWarning(pods []*corev1.Pod) *trouble {
	for _, pod := range pods {
		if isReady(pod) {
			continue
		}
		t := &trouble{pod: pod.Name, cause: "not ready", next: "see the pod and its log, or give it more time with --status-check-deadline"}
		if warnings := w.view.warnings[pod.UID]; len(warnings) > 0 {
			last := warnings[len(warnings)-1]
			t.cause, t.detail = last.Reason, last.Message
		}
		for _, s := range pod.Status.ContainerStatuses {
			if !s.Ready && s.State.Running != nil {
				t.container, t.logs = s.Name, true
			}
		}
		return t
	}
	return nil
}

// progress says what is new.
func (w *waiter) progress(l *workload, r readiness, pods []*corev1.Pod) {
	if r.message != "" && r.message != l.said {
		l.said = r.message
		w.sink.Emit(event.RolloutProgress{Resource: l.ref.String(), Namespace: l.ref.namespace, Message: r.message})
	}
	for _, pod := range pods {
		message := podMessage(pod, w.view.warnings[pod.UID])
		if message != "" && message != l.podsSaid[pod.Name] {
			l.podsSaid[pod.Name] = message
			w.sink.Emit(event.RolloutProgress{Resource: l.ref.String(), Namespace: l.ref.namespace, Pod: pod.Name, Message: message})
		}
	}
}
