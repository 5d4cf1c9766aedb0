package kube

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// statefulSetReady waits for all pods to be ready and, above the partition, of the new revision. With OnDelete the cluster
// does not roll out by itself, so there is nothing to wait for.
func statefulSetReady(u *unstructured.Unstructured) readiness {
	if strategy, _, _ := unstructured.NestedString(u.Object, "spec", "updateStrategy", "type"); strategy == "OnDelete" {
		return readiness{done: true, message: "is updated on delete only: its rollout is not waited for"}
	}
	if r, stale := notObserved(u); stale {
		return r
	}
	want, ready := count(u, 1, "spec", "replicas"), count(u, 0, "status", "readyReplicas")
	updated := count(u, 0, "status", "updatedReplicas")
	partition := count(u, 0, "spec", "updateStrategy", "rollingUpdate", "partition")
	current, _, _ := unstructured.NestedString(u.Object, "status", "currentRevision")
	update, _, _ := unstructured.NestedString(u.Object, "status", "updateRevision")
	switch {
	case ready < want:
		return readiness{message: fmt.Sprintf("waiting for %d pods to be ready...", want-ready)}
	case partition > 0 && updated < want-partition:
		return readiness{message: fmt.Sprintf("waiting for partitioned rollout to finish: %d out of %d new pods have been updated...", updated, want-partition)}
	case partition == 0 && update != current:
		return readiness{message: fmt.Sprintf("waiting for rolling update to complete: %d pods at revision %s...", updated, update)}
	}
	return readiness{done: true}
}
