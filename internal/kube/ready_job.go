package kube

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// jobReady waits until a Job is complete or has failed. Its own backoffLimit says how often its pods may fail.
func jobReady(u *unstructured.Unstructured) readiness {
	if suspended, _, _ := unstructured.NestedBool(u.Object, "spec", "suspend"); suspended {
		return readiness{done: true, message: "is suspended: it is not waited for"}
	}
	for _, kind := range []string{"Failed", "FailureTarget"} {
		if c := conditionOf(u, kind); c.Status == "True" {
			return readiness{failure: fmt.Sprintf("the job failed (%s): %s", c.Reason, c.Message), next: "a job that failed stays so: mend it, delete it, and run again"}
		}
	}
	if conditionOf(u, "Complete").Status == "True" || conditionOf(u, "SuccessCriteriaMet").Status == "True" {
		return readiness{done: true}
	}
	return readiness{message: fmt.Sprintf("waiting for completion: %d of %d pods succeeded...", count(u, 0, "status", "succeeded"), count(u, 1, "spec", "completions"))}
}
