package kube

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/internal/event"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
	settled := time.Time{}
	if r.done && r.message == "" && count(u, 1, "spec", "replicas") > 0 {
		settled = w.settles(l, pods, now)
	}
	r.done = r.done && settled.IsZero()
	if !r.done {
		l.trouble, again = w.troubleOf(l, pods, r.failure != "", now)
	}
	end := w.start.Add(l.deadline)
	switch {
	case r.done:
		w.succeed(l, r)
	case r.failure != "":
		l.fail(r)
	case l.trouble != nil && again.IsZero() && !l.tolerate:
		l.fail(r)
	case !now.Before(end):
		w.giveUp(l, r, pods)
	default:
		w.progress(l, r, pods)
	}
	return earliest(end, again, settled)
}

// earliest is the first of the times that are set.
func earliest(times ...time.Time) (first time.Time) {
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// afterCrash is how long a container without a readiness probe that has crashed in this run must stay up before it is believed.
const afterCrash = 10 * time.Second

// settles says from when on the pods that this run made can be believed to stay up; zero if that is now.
func (w *waiter) settles(l *workload, pods []*corev1.Pod, now time.Time) time.Time {
	if l.ref.gk.Kind == "Job" {
		return time.Time{}
	}
	var latest time.Time
	if until := w.seen("done/"+l.ref.key(), now).Add(l.settle); len(pods) == 0 && until.After(now) && w.watching {
		latest = until // the watch of the pods may be behind that of the workload
	}
	for _, pod := range pods {
		if pod.CreationTimestamp.Time.Before(l.since) || pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded {
			continue
		}
		for _, s := range pod.Status.ContainerStatuses {
			if hasReadinessProbe(pod, s.Name) {
				continue
			}
			if s.State.Running == nil {
				return now.Add(l.settle + time.Second) // it has just ended, and what it says next counts
			}
			patience := l.settle
			if last := s.LastTerminationState.Terminated; last != nil && last.ExitCode != 0 {
				patience = max(patience, afterCrash)
			}
			up := w.seen(fmt.Sprintf("up/%s/%s/%d", pod.UID, s.Name, s.RestartCount), now)
			if until := up.Add(patience); until.After(now) && until.After(latest) {
				latest = until
			}
		}
	}
	return latest
}

// seen is when something was first seen.
func (w *waiter) seen(key string, now time.Time) time.Time {
	if _, known := w.firstSeen[key]; !known {
		w.firstSeen[key] = now
	}
	return w.firstSeen[key]
}

func hasReadinessProbe(pod *corev1.Pod, container string) bool {
	return slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == container && c.ReadinessProbe != nil })
}

func (l *workload) fail(r readiness) { l.failed, l.verdict = true, r }

// troubleOf finds what is wrong with the pods; with a time if it is too early to say so. A Job whose failure is final (over) has
// counted its crashes.
func (w *waiter) troubleOf(l *workload, pods []*corev1.Pod, over bool, now time.Time) (*trouble, time.Time) {
	for _, pod := range pods {
		if t := podTrouble(pod, w.view.warnings[pod.UID], l.ref.gk.Kind == "Job" && !over); t != nil {
			return t, w.patienceWith(l, t, now)
		}
	}
	if t := w.controllerTrouble(l); t != nil {
		return t, w.patienceWith(l, t, now)
	}
	return nil, time.Time{}
}

// patienceWith is until when a trouble may last before it counts; zero if it counts now.
func (w *waiter) patienceWith(l *workload, t *trouble, now time.Time) time.Time {
	key := l.ref.key() + "/" + t.pod + "/" + t.container + "/" + t.cause
	if end := w.seen(key, now).Add(t.patience); now.Before(end) {
		return end
	}
	if !t.schedule {
		return time.Time{}
	}
	switch w.growth[t.pod] {
	case growthUnknown, growthToAsk:
		w.growth[t.pod] = growthToAsk
		return now
	case growthPromised:
		return w.start.Add(l.deadline)
	}
	return time.Time{}
}

// controllerTrouble is what keeps a controller from making pods at all: a quota, or an admission that refuses. Of a Deployment
// the ReplicaSet of the new generation counts, as the Deployment repeats what is wrong with old ones; StatefulSets,
// DaemonSets and Jobs say it only by events, of which those from before this run are forgiven.
func (w *waiter) controllerTrouble(l *workload) *trouble {
	u, why := w.view.live[l.ref.key()], ""
	switch l.ref.gk.Kind {
	case "Deployment":
		if u = w.view.revisions[w.view.currentReplicaSet(u)]; u != nil {
			why = replicaFailure(u)
		}
	case "ReplicaSet", "ReplicationController":
		why = replicaFailure(u)
	case "StatefulSet", "DaemonSet", "Job":
		for _, e := range w.view.warnings[u.GetUID()] {
			if e.Reason == "FailedCreate" && !e.at.Before(l.since) {
				why = e.Message
			}
		}
	}
	switch {
	case why == "":
		return nil
	case strings.Contains(why, "exceeded quota"):
		return &trouble{cause: "its pods cannot be created", detail: why, next: "ask for less, or raise the quota"}
	}
	return &trouble{cause: "its pods cannot be created", detail: why, patience: configPatience, next: "change the pod template so that the cluster admits it"}
}

func replicaFailure(u *unstructured.Unstructured) string {
	if c := conditionOf(u, "ReplicaFailure"); c.Status == "True" {
		return c.Message
	}
	return ""
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
		l.trouble = w.lastWord(pods)
	}
	if warnings := w.view.warnings[w.view.live[l.ref.key()].GetUID()]; l.trouble == nil && len(warnings) > 0 {
		last := warnings[len(warnings)-1]
		l.trouble = &trouble{cause: trimmed(r.message, last.Reason), detail: last.Message, next: r.next}
	}
	r.failure = fmt.Sprintf("not ready after %s", l.deadline)
	if l.trouble == nil {
		r.failure += ": " + cmp.Or(r.message, "its pods have not stayed up long enough")
		r.next = cmp.Or(r.next, "see its pods and their logs, or give it more time (deploy.statusCheckDeadlineSeconds)")
	}
	l.fail(r)
}

// lastWord is what can be said of a pod that is not ready at the deadline: how a container last ended, or the last that the
// cluster warned of the pod, such as a probe that fails, and the log of a container that runs all the same.
func (w *waiter) lastWord(pods []*corev1.Pod) *trouble {
	i := slices.IndexFunc(pods, func(p *corev1.Pod) bool { return !isReady(p) })
	if i < 0 {
		i = slices.IndexFunc(pods, hasCrashed) // and has not stayed up long enough since
	}
	if i < 0 {
		return nil
	}
	pod := pods[i]
	t := &trouble{pod: pod.Name, node: pod.Spec.NodeName, cause: cmp.Or(containersMessage(pod), "not ready"), next: "see the pod and its log, or give it more time (deploy.statusCheckDeadlineSeconds)"}
	if pod.Spec.NodeName != "" && len(pod.Status.ContainerStatuses) == 0 {
		t.cause, t.next = "node "+pod.Spec.NodeName+" has not begun with it", "see whether the node works (kubectl describe node "+pod.Spec.NodeName+")"
	}
	if warnings := w.view.warnings[pod.UID]; len(warnings) > 0 {
		last := warnings[len(warnings)-1]
		t.cause, t.detail = last.Reason, last.Message
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			t.cause = trimmed("it has to leave node "+pod.Spec.NodeName, c.Message)
		}
	}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		now, before := s.State.Terminated, s.LastTerminationState.Terminated
		switch {
		case now != nil && now.ExitCode != 0:
			t.container, t.logs, t.cause, t.detail = s.Name, true, exitText(now), now.Message
		case before != nil && before.ExitCode != 0:
			t.container, t.logs, t.previous, t.cause, t.detail = s.Name, true, true, exitText(before), before.Message
		case !s.Ready && s.State.Running != nil:
			t.container, t.logs = s.Name, true
		}
	}
	return t
}

func hasCrashed(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool {
		now, before := s.State.Terminated, s.LastTerminationState.Terminated
		return now != nil && now.ExitCode != 0 || before != nil && before.ExitCode != 0
	})
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
