package kube

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// daemonSetReady waits until each node that should run a pod runs a new one that is available.
func daemonSetReady(u *unstructured.Unstructured) readiness {
	if strategy, _, _ := unstructured.NestedString(u.Object, "spec", "updateStrategy", "type"); strategy == "OnDelete" {
		return readiness{done: true, message: "is updated on delete only: its rollout is not waited for"}
	}
	if r, stale := notObserved(u); stale {
		return r
	}
	want := count(u, 0, "status", "desiredNumberScheduled")
	updated, available := count(u, 0, "status", "updatedNumberScheduled"), count(u, 0, "status", "numberAvailable")
	switch {
	case updated < want:
		return readiness{message: fmt.Sprintf("waiting for rollout to finish: %d out of %d new pods have been updated...", updated, want)}
	case available < want:
		return readiness{message: fmt.Sprintf("waiting for rollout to finish: %d of %d updated pods are available...", available, want)}
	}
	return readiness{done: true}
}
