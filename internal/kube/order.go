package kube

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The levels in which objects are applied, one after the other; objects of a level go side by side.
const (
	levelNamespace = iota
	levelCRD
	levelPolicy    // what the admission of later objects asks for
	levelConfig    // what pods mount or run as
	levelService   // before pods, so that their environment and names exist
	levelWorkload  // pods and what makes them
	levelCustom    // custom resources: their controller may be among the workloads
	levelTraffic   // what acts on workloads
	levelAdmission // what may refuse objects: last, so that it cannot refuse this set while its server starts
)

var levels = map[schema.GroupKind]int{
	{Kind: "Namespace"}: levelNamespace,
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: levelCRD,

	{Group: "scheduling.k8s.io", Kind: "PriorityClass"}:              levelPolicy,
	{Group: "node.k8s.io", Kind: "RuntimeClass"}:                     levelPolicy,
	{Group: "storage.k8s.io", Kind: "StorageClass"}:                  levelPolicy,
	{Group: "storage.k8s.io", Kind: "CSIDriver"}:                     levelPolicy,
	{Group: "networking.k8s.io", Kind: "IngressClass"}:               levelPolicy,
	{Group: "networking.k8s.io", Kind: "NetworkPolicy"}:              levelPolicy,
	{Kind: "ResourceQuota"}:                                          levelPolicy,
	{Kind: "LimitRange"}:                                             levelPolicy,
	{Kind: "ServiceAccount"}:                                         levelPolicy,
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}:        levelPolicy,
	{Group: "rbac.authorization.k8s.io", Kind: "Role"}:               levelPolicy,
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}: levelConfig,
	{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}:        levelConfig,

	{Kind: "ConfigMap"}:             levelConfig,
	{Kind: "Secret"}:                levelConfig,
	{Kind: "PersistentVolume"}:      levelConfig,
	{Kind: "PersistentVolumeClaim"}: levelConfig,

	{Kind: "Service"}:   levelService,
	{Kind: "Endpoints"}: levelService,
	{Group: "discovery.k8s.io", Kind: "EndpointSlice"}: levelService,

	{Kind: "Pod"}:                                           levelWorkload,
	{Kind: "ReplicationController"}:                         levelWorkload,
	{Group: "apps", Kind: "ReplicaSet"}:                     levelWorkload,
	{Group: "apps", Kind: "Deployment"}:                     levelWorkload,
	{Group: "apps", Kind: "StatefulSet"}:                    levelWorkload,
	{Group: "apps", Kind: "DaemonSet"}:                      levelWorkload,
	{Group: "batch", Kind: "Job"}:                           levelWorkload,
	{Group: "batch", Kind: "CronJob"}:                       levelWorkload,
	{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}: levelTraffic,
	{Group: "policy", Kind: "PodDisruptionBudget"}:          levelTraffic,
	{Group: "networking.k8s.io", Kind: "Ingress"}:           levelTraffic,

	{Group: "apiregistration.k8s.io", Kind: "APIService"}:                             levelAdmission,
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"}:   levelAdmission,
	{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"}:     levelAdmission,
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicy"}:        levelAdmission,
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicyBinding"}: levelAdmission,
}

// level says when an object of this kind is applied; kinds that are not listed are taken for custom resources.
func level(gk schema.GroupKind) int {
	if l, listed := levels[gk]; listed {
		return l
	}
	return levelCustom
}

// inLevels groups what is to be applied by level, in order, keeping the order as written within one.
func inLevels[T any](all []T, kind func(T) schema.GroupKind) [][]T {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b T) int { return level(kind(a)) - level(kind(b)) })
	var out [][]T
	for i, t := range sorted {
		if i == 0 || level(kind(t)) != level(kind(sorted[i-1])) {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], t)
	}
	return out
}

// definedKinds lists the resources that the CustomResourceDefinitions among the objects bring: what discovery cannot know
// before they are there.
func definedKinds(objects []Object) []Resource {
	var all []Resource
	for _, o := range objects {
		if level(o.GroupVersionKind().GroupKind()) != levelCRD {
			continue
		}
		group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(o.Object, "spec", "names", "kind")
		plural, _, _ := unstructured.NestedString(o.Object, "spec", "names", "plural")
		scope, _, _ := unstructured.NestedString(o.Object, "spec", "scope")
		versions, _, _ := unstructured.NestedSlice(o.Object, "spec", "versions")
		for _, v := range versions {
			version, _ := v.(map[string]any)
			name, _, _ := unstructured.NestedString(version, "name")
			if version["served"] == false {
				continue
			}
			_, status, _ := unstructured.NestedFieldNoCopy(version, "subresources", "status")
			all = append(all, Resource{Group: group, Version: name, Kind: kind, Name: plural, Namespaced: scope == "Namespaced",
				Status: status, Verbs: []string{"get", "list", "watch", "create", "patch", "delete"}})
		}
	}
	return all
}
