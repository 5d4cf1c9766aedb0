package kube

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// deploymentReady follows the rules of a rollout status: the latest template is observed, all replicas are of it, none of
// the old is left, and all are available.
func deploymentReady(u *unstructured.Unstructured) readiness {
	if paused, _, _ := unstructured.NestedBool(u.Object, "spec", "paused"); paused {
		return readiness{done: true, message: "is paused: its rollout is not waited for"}
	}
	if r, stale := notObserved(u); stale {
		return r
	}
	if c := conditionOf(u, "Progressing"); c.Reason == "ProgressDeadlineExceeded" {
		return readiness{failure: "it made no progress within its progressDeadlineSeconds: " + c.Message, next: "kubectl describe its pods"}
	}
	want := count(u, 1, "spec", "replicas")
	all, updated := count(u, 0, "status", "replicas"), count(u, 0, "status", "updatedReplicas")
	available := count(u, 0, "status", "availableReplicas")
	switch {
	case updated < want:
		return readiness{message: fmt.Sprintf("waiting for rollout to finish: %d out of %d new replicas have been updated...", updated, want)}
	case all > updated:
		return readiness{message: fmt.Sprintf("waiting for rollout to finish: %d old replicas are pending termination...", all-updated)}
	case available < updated:
		return readiness{message: fmt.Sprintf("waiting for rollout to finish: %d of %d updated replicas are available...", available, updated)}
	}
	return readiness{done: true}
}
