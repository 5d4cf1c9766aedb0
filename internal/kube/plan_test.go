package kube

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestOrder(t *testing.T) {
	written := []string{"x.io/Widget", "Service", "apps/Deployment", "admissionregistration.k8s.io/ValidatingWebhookConfiguration", "ConfigMap",
		"apiextensions.k8s.io/CustomResourceDefinition", "Namespace", "apps/StatefulSet"}
	var got []string
	for _, level := range inLevels(written, func(s string) schema.GroupKind {
		group, kind, ok := strings.Cut(s, "/")
		if !ok {
			group, kind = "", s
		}
		return schema.GroupKind{Group: group, Kind: kind}
	}) {
		got = append(got, strings.Join(level, "+"))
	}
	want := []string{"Namespace", "apiextensions.k8s.io/CustomResourceDefinition", "ConfigMap", "Service", "apps/Deployment+apps/StatefulSet", "x.io/Widget",
		"admissionregistration.k8s.io/ValidatingWebhookConfiguration"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestKindsOfDefinitions(t *testing.T) {
	crd := parse(t, `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.x.io}
spec:
  group: x.io
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions: [{name: v1, subresources: {status: {}}}, {name: v2}]`)
	got := definedKinds([]Object{{Unstructured: crd}})
	if len(got) != 2 || got[0].GVR().String() != "x.io/v1, Resource=widgets" || !got[0].Status || got[1].Version != "v2" || got[1].Status || !got[1].Namespaced {
		t.Errorf("got %+v", got)
	}
}

// The value comes from the formula of KEP-3659, computed by hand with sha256sum and basenc.
func TestSetID(t *testing.T) {
	got := Set{Name: "shop", Namespace: "prod"}.ID()
	if want := "applyset-MKiGd8qjds7_4l58fSj3Hm-momNfCzEqg3i6kuRIBpI-v1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestScope(t *testing.T) {
	set := Set{Name: "shop", Namespace: "prod"}
	deployment, service := schema.GroupKind{Group: "apps", Kind: "Deployment"}, schema.GroupKind{Kind: "Service"}
	s := set.scopeFor([]ref{{deployment, "prod", "a"}, {service, "other", "b"}, {service, "prod", "c"}})
	parent := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{
		"labels": map[string]any{labelSetID: set.ID()}, "annotations": s.annotations()}}}
	if got := parent.GetAnnotations()[annotationKinds]; got != "Deployment.apps,Service" {
		t.Errorf("kinds are %q", got)
	}
	if got := parent.GetAnnotations()[annotationNamespaces]; got != "other" {
		t.Errorf("namespaces are %q", got)
	}
	if !saysAlready(set, parent, s) || !saysAlready(set, parent, scopeOf(parent)) {
		t.Error("the parent does not say what it was made to say")
	}
	if saysAlready(set, parent, set.scopeFor([]ref{{service, "prod", "c"}})) {
		t.Error("a smaller scope goes unnoticed")
	}
}

func TestPodSelector(t *testing.T) {
	workload := func(labels string) *unstructured.Unstructured {
		return parse(t, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {selector: {matchLabels: `+labels+`}}}`)
	}
	tests := []struct {
		labels []string
		want   string
	}{
		{[]string{`{app: web}`}, "app in (web)"},
		{[]string{`{app: web, tier: a}`, `{app: api}`}, "app in (api,web)"},
		{[]string{`{app: web}`, `{name: api}`}, ""},
	}
	for _, test := range tests {
		var all []*unstructured.Unstructured
		for _, l := range test.labels {
			all = append(all, workload(l))
		}
		if got := podSelector(all); got != test.want {
			t.Errorf("%v: got %q, want %q", test.labels, got, test.want)
		}
	}
}

func TestKubeconfigPaths(t *testing.T) {
	tests := []struct{ flag, env, home, want string }{
		{"f", "a:b", "/h", "f"}, {"", "a:b", "/h", "a b"}, {"", "", "/h", "/h/.kube/config"}, {"", "", "", ""},
	}
	for _, test := range tests {
		if got := strings.Join(KubeconfigPaths(test.flag, test.env, test.home), " "); got != test.want {
			t.Errorf("%+v: got %q", test, got)
		}
	}
}
