//go:build e2e

package kube_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// forCluster applies objects of no namespace, which go with the test.
func (c *cluster) forCluster(manifests ...string) {
	c.t.Helper()
	if _, err := c.Apply(c.ctx, kube.Set{}, objects(c.t, manifests...), kube.ApplyOptions{}, c); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if err := c.Delete(c.ctx, kube.Set{}, objects(c.t, manifests...), kube.DeleteOptions{NoWait: true}, c); err != nil {
			c.t.Error(err)
		}
	})
}

// status writes into the status of an object, as its controller does.
func (c *cluster) status(gvr schema.GroupVersionResource, name, patch string) {
	c.t.Helper()
	if _, err := c.others.Resource(gvr).Namespace(c.namespace).Patch(c.ctx, name, types.MergePatchType, []byte(`{"status": `+patch+`}`), metav1.PatchOptions{}, "status"); err != nil {
		c.t.Error(err)
	}
}

// only picks one kind.
func only(kind string) func(schema.GroupKind) bool {
	return func(gk schema.GroupKind) bool { return gk.Kind == kind }
}

// A claim is waited for where its class binds at once, and not where it waits for a pod.
func TestClaims(t *testing.T) {
	c := newCluster(t)
	now, later := c.namespace+"-now", c.namespace+"-later"
	const class = `{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: %s}, provisioner: kubernetes.io/no-provisioner, volumeBindingMode: %s}`
	c.forCluster(fmt.Sprintf(class, now, "Immediate"), fmt.Sprintf(class, later, "WaitForFirstConsumer"))
	const claim = `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: %s}, spec: {accessModes: [ReadWriteOnce], storageClassName: %s, resources: {requests: {storage: 1Gi}}}}`
	applied := c.mustApply(fmt.Sprintf(claim, "later", later), fmt.Sprintf(claim, "now", now)).Objects
	_, err := c.Wait(c.ctx, applied, kube.WaitOptions{Deadline: time.Second}, c)
	if err == nil || !strings.Contains(err.Error(), "persistentvolumeclaim/now (test.yaml:2)") || !strings.Contains(err.Error(), "waiting for a volume...") ||
		!strings.Contains(err.Error(), "provisioner") || strings.Contains(err.Error(), "claim/later") {
		t.Errorf("got %v", err)
	}
	_, err = c.Wait(c.ctx, applied[:1], kube.WaitOptions{Deadline: time.Second, Kinds: only("PersistentVolumeClaim")}, c)
	if err == nil || !strings.Contains(err.Error(), "persistentvolumeclaim/later (test.yaml:1)") || !strings.Contains(err.Error(), "waiting for a volume...") {
		t.Errorf("one that was picked: %v", err)
	}
	c.forCluster(`{apiVersion: v1, kind: PersistentVolume, metadata: {name: ` + now + `}, spec: {accessModes: [ReadWriteOnce], storageClassName: ` + now + `, capacity: {storage: 1Gi}, hostPath: {path: /nowhere}, persistentVolumeReclaimPolicy: Retain}}`)
	if _, err := c.Wait(c.ctx, applied, kube.WaitOptions{}, c); err != nil {
		t.Error(err)
	}
	if phase, _, _ := unstructured.NestedString(c.get(namespaced("persistentvolumeclaims"), "now").Object, "status", "phase"); phase != "Bound" {
		t.Errorf("the claim is %s", phase)
	}
	c.reconnect()
	if _, err := c.Wait(c.ctx, c.mustApply(fmt.Sprintf(claim, "now", now)).Objects, kube.WaitOptions{}, c); err != nil || len(c.watches()) > 0 {
		t.Errorf("a claim that is bound: %v, %q", err, c.watches())
	}
}

// Custom resources are waited for by their conditions, unless kinds are picked; then those are, Kubernetes' own as well.
func TestKindsThatArePicked(t *testing.T) {
	c := newCluster(t)
	group := strings.ReplaceAll(c.namespace, "davit-", "x") + ".example.org"
	c.forCluster(`{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: lamps.` + group + `}, spec: {group: ` + group + `, scope: Namespaced, names: {kind: Lamp, plural: lamps},
  versions: [{name: v1, served: true, storage: true, subresources: {status: {}}, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}`)
	lamps := schema.GroupVersionResource{Group: group, Version: "v1", Resource: "lamps"}
	applied := c.mustApply(`{apiVersion: `+group+`/v1, kind: Lamp, metadata: {name: dim}}`, `{apiVersion: v1, kind: ConfigMap, metadata: {name: plain}}`).Objects
	conditions := func(of string) {
		t.Helper()
		c.status(lamps, "dim", `{"observedGeneration": 1, "conditions": [`+of+`]}`)
		live, err := c.others.Resource(lamps).Namespace(c.namespace).Get(c.ctx, "dim", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		applied[slices.IndexFunc(applied, func(a kube.Applied) bool { return a.Live.GetKind() == "Lamp" })].Live = live
	}
	conditions(`{"type": "Ready", "status": "False", "reason": "Cold", "message": "the lamp is warming up"}`)
	for _, kinds := range []func(schema.GroupKind) bool{nil, only("Lamp")} {
		if _, err := c.Wait(c.ctx, applied, kube.WaitOptions{Deadline: time.Second, Kinds: kinds}, c); err == nil || !strings.Contains(err.Error(), "/dim") || !strings.Contains(err.Error(), "the lamp is warming up") {
			t.Errorf("got %v", err)
		}
	}
	c.reconnect()
	if _, err := c.Wait(c.ctx, applied, kube.WaitOptions{Kinds: only("ConfigMap")}, c); err != nil {
		t.Error(err)
	}
	ready := slices.ContainsFunc(c.events, func(e event.Event) bool {
		r, ok := e.(event.WorkloadReady)
		return ok && r.Resource == "configmap/plain"
	})
	if len(c.events) != 1 || !ready {
		t.Errorf("said %+v", c.events)
	}
	conditions(`{"type": "Stalled", "status": "True", "reason": "Broken", "message": "the bulb is broken"}`)
	if _, err := c.Wait(c.ctx, applied, kube.WaitOptions{}, c); err == nil || !strings.Contains(err.Error(), "the bulb is broken") || strings.Contains(err.Error(), "not ready after") {
		t.Errorf("one that will never get there: %v", err)
	}
	conditions(`{"type": "Ready", "status": "False", "message": "again"}`)
	done := make(chan error)
	go func() {
		_, err := c.Wait(c.ctx, applied, kube.WaitOptions{Kinds: only("Lamp")}, c)
		done <- err
	}()
	c.status(lamps, "dim", `{"conditions": [{"type": "Ready", "status": "True"}]}`)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A node goes away under a pod that was starting there: that is said, and the pod that comes elsewhere counts. The test is the kubelet of that node, and what
// takes the pods of nodes that are gone.
func TestNodeThatGoesAway(t *testing.T) {
	c := newCluster(t)
	nodes := schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
	name := "going-" + c.namespace
	node := object(t, `{apiVersion: v1, kind: Node, metadata: {name: `+name+`, labels: {going: `+name+`}}, spec: {taints: [{key: going, effect: NoExecute}]},
  status: {capacity: {pods: 9, cpu: 9, memory: 9Gi}, allocatable: {pods: 9, cpu: 9, memory: 9Gi}}}`)
	if _, err := c.others.Resource(nodes).Create(c.ctx, node.Unstructured, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	gone := func() { _ = c.others.Resource(nodes).Delete(c.ctx, name, metav1.DeleteOptions{}) }
	t.Cleanup(gone)
	img := c.image(forever)
	applied := c.mustApply(deployment("web", img.ref) + `      tolerations: [{operator: Exists}]
      affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 100, preference: {matchExpressions: [{key: going, operator: In, values: [` + name + `]}]}}]}}
`).Objects
	var pod unstructured.Unstructured
	eventually(t, "the pod is on that node", func() bool {
		all, err := c.others.Resource(pods).Namespace(c.namespace).List(c.ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + name})
		if err != nil || len(all.Items) != 1 {
			return false
		}
		pod = all.Items[0]
		return true
	})
	c.status(pods, pod.GetName(), `{"phase": "Running", "containerStatuses": [{"name": "main", "ready": false, "restartCount": 0, "image": "x", "imageID": "", "state": {"running": {}}}]}`)
	_, err := c.Wait(c.ctx, applied, kube.WaitOptions{Deadline: time.Second}, c)
	if err == nil || !strings.Contains(err.Error(), "pod "+pod.GetName()) || !strings.Contains(err.Error(), "the node is not ready") {
		t.Errorf("got %v", err)
	}
	done := make(chan error)
	var rollout *kube.Rollout
	go func() {
		var err error
		rollout, err = c.Wait(c.ctx, applied, kube.WaitOptions{}, c)
		done <- err
	}()
	gone()
	now := int64(0)
	err = c.others.Resource(pods).Namespace(c.namespace).Delete(c.ctx, pod.GetName(), metav1.DeleteOptions{GracePeriodSeconds: &now})
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	if err := kube.Prove(rollout, img.proof("web"), c); err != nil || c.proofs() != "deployment.apps/web main 1 "+img.digest {
		t.Errorf("proved %q, %v", c.proofs(), err)
	}
}
