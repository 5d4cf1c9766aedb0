package kube

import "k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

// LabelRunID is the label that Skaffold puts on objects and on their pods, with another value at every run.
const LabelRunID = "skaffold.dev/run-id"

// keepRunID leaves Skaffold's label on the pods of a workload that it deployed as long as nothing else about them changes: without it, adopting the
// workload would replace them.
func keepRunID(it *item) {
	if it.live == nil {
		return
	}
	pods, labelled := []string{"spec", "template"}, []string{"spec", "template", "metadata", "labels", LabelRunID}
	id, found, _ := unstructured.NestedString(it.live.Object, labelled...)
	want, templated, _ := unstructured.NestedMap(it.Object.Object, pods...)
	have, _, _ := unstructured.NestedMap(it.live.Object, pods...)
	if !found || !templated || !(differ{builtIn: builtIn(it.ref.gk.Group)}).covers(want, have, "") {
		return
	}
	_ = unstructured.SetNestedField(it.Object.Object, id, labelled...) // fails for labels that are no map, which the server refuses with better words
}
