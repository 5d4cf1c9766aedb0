package kube

import (
	"fmt"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// readiness is how far a workload is, as its own status says.
type readiness struct {
	done    bool
	message string // what it waits for, or why done is said of something unfinished
	failure string // it will not get there by itself
	next    string // what to do about the failure
}

// readyFuncs says for each kind when it is rolled out. Kinds that are not here, and are Kubernetes' own, have nothing to wait for.
var readyFuncs = map[schema.GroupKind]func(*unstructured.Unstructured) readiness{
	{Group: "apps", Kind: "Deployment"}:                               deploymentReady,
	{Group: "apps", Kind: "StatefulSet"}:                              statefulSetReady,
	{Group: "apps", Kind: "DaemonSet"}:                                daemonSetReady,
	{Group: "apps", Kind: "ReplicaSet"}:                               replicaSetReady,
	{Kind: "ReplicationController"}:                                   replicaSetReady,
	{Group: "batch", Kind: "Job"}:                                     jobReady,
	{Group: "batch", Kind: "CronJob"}:                                 cronJobReady,
	{Kind: "Pod"}:                                                     podReady,
	{Kind: "PersistentVolumeClaim"}:                                   claimReady,
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: definitionReady,
}

// WaitAnnotation on a Service of type LoadBalancer: "true" waits until it has an address.
const WaitAnnotation = "davit.dev/wait"

// readyFunc finds the rule for an object; nil if there is nothing to wait for.
func (o WaitOptions) readyFunc(u *unstructured.Unstructured) func(*unstructured.Unstructured) readiness {
	gk := refOf(u).gk
	picked := o.Kinds != nil && o.Kinds(gk)
	if f := readyFuncs[gk]; f != nil {
		if picked && gk.Kind == "PersistentVolumeClaim" {
			return boundReady
		}
		return f
	}
	if kind, _, _ := unstructured.NestedString(u.Object, "spec", "type"); gk == (schema.GroupKind{Kind: "Service"}) && kind == "LoadBalancer" {
		if o.LoadBalancers || u.GetAnnotations()[WaitAnnotation] == "true" {
			return balancerReady
		}
	}
	if picked || o.Kinds == nil && !builtIn(gk.Group) {
		return customReady
	}
	return nil
}

// balancerReady waits for the address of a load balancer.
func balancerReady(u *unstructured.Unstructured) readiness {
	if given, _, _ := unstructured.NestedSlice(u.Object, "status", "loadBalancer", "ingress"); len(given) > 0 {
		return readiness{done: true}
	}
	return readiness{message: "waiting for the load balancer's address...", next: "see its events; a cluster without a controller for load balancers never gives one"}
}

// customReady asks kstatus, which knows the conditions that custom resources have in common (Ready, Reconciling, Stalled). What
// has none of them is current.
func customReady(u *unstructured.Unstructured) readiness {
	result, err := status.Compute(u)
	switch {
	case err != nil:
		return readiness{done: true, message: fmt.Sprintf("its status cannot be read: %v", err)}
	case result.Status == status.FailedStatus:
		return readiness{failure: result.Message, next: "see the status of the object and the log of its controller"}
	case result.Status == status.InProgressStatus:
		return readiness{message: result.Message}
	}
	return readiness{done: true}
}

func definitionReady(u *unstructured.Unstructured) readiness {
	if conditionOf(u, "Established").Status == "True" {
		return readiness{done: true}
	}
	return readiness{message: "waiting to be established"}
}

// claimReady does not wait for a claim to be bound: many are bound only when a pod uses them, and pods say when
// they miss one. See boundReady.
func claimReady(u *unstructured.Unstructured) readiness {
	if phaseOf(u) == "Lost" {
		return readiness{failure: "its volume is lost", next: "restore the PersistentVolume, or delete the claim"}
	}
	return readiness{done: true}
}

// boundReady waits for a claim of a class whose volumes are bound at once.
func boundReady(u *unstructured.Unstructured) readiness {
	if r := claimReady(u); r.failure != "" || phaseOf(u) == "Bound" {
		return r
	}
	return readiness{message: "waiting for a volume...", next: "see whether the provisioner of its StorageClass runs, or whether there is a PersistentVolume that fits"}
}

func phaseOf(u *unstructured.Unstructured) string {
	phase, _, _ := unstructured.NestedString(u.Object, "status", "phase")
	return phase
}

func cronJobReady(*unstructured.Unstructured) readiness { return readiness{done: true} }

// replicaSetReady serves ReplicaSets and ReplicationControllers that no Deployment owns.
func replicaSetReady(u *unstructured.Unstructured) readiness {
	if r, stale := notObserved(u); stale {
		return r
	}
	want, ready := count(u, 1, "spec", "replicas"), count(u, 0, "status", "readyReplicas")
	if ready < want {
		return readiness{message: fmt.Sprintf("waiting for %d of %d pods to be ready...", want-ready, want)}
	}
	return readiness{done: true}
}

// notObserved says whether the controller has not seen the latest change yet.
func notObserved(u *unstructured.Unstructured) (readiness, bool) {
	if count(u, 0, "status", "observedGeneration") >= u.GetGeneration() {
		return readiness{}, false
	}
	return readiness{message: "waiting for the change to be observed...", next: "no controller acts on it: see whether the cluster's kube-controller-manager runs"}, true
}

// count reads a number of the object, or gives the one that counts when it is not there.
func count(u *unstructured.Unstructured, absent int64, path ...string) int64 {
	n, found, err := unstructured.NestedInt64(u.Object, path...)
	if !found || err != nil {
		return absent
	}
	return n
}
