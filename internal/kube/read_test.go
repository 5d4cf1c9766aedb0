package kube

import (
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestNamesOfKinds(t *testing.T) {
	r := Resource{Group: "apps", Version: "v1", Kind: "Deployment", Name: "deployments", Singular: "deployment", Short: []string{"deploy"}}
	for name, want := range map[string]bool{
		"deployments": true, "deployment": true, "Deployment": true, "deploy": true, "deployments.apps": true, "deployment.v1.apps": true,
		"deployments.extensions": false, "deployment.v1beta1.apps": false, "pod": false, "": false,
	} {
		if got := r.called(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	if (Resource{Kind: "Pod", Name: "pods"}).called("") {
		t.Error("an empty name names a kind")
	}
}

func TestClean(t *testing.T) {
	live := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"a": "b"}, "status": map[string]any{},
		"metadata": map[string]any{
			"name": "a", "uid": "1", "resourceVersion": "2", "generation": int64(3), "creationTimestamp": "2026-01-01T00:00:00Z",
			"annotations": map[string]any{"kubectl.kubernetes.io/last-applied-configuration": "{}"},
			"labels":      map[string]any{labelPartOf: "x", "app": "web"},
		},
	}}
	want := map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"a": "b"},
		"metadata": map[string]any{"name": "a", "labels": map[string]any{"app": "web"}},
	}
	if got := clean(live).Object; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}
