package kube

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// podReady is for pods that nothing owns: ready, or ended well.
func podReady(u *unstructured.Unstructured) readiness {
	phase := phaseOf(u)
	switch {
	case phase == "Succeeded", conditionOf(u, "Ready").Status == "True":
		return readiness{done: true}
	case phase == "Failed":
		message, _, _ := unstructured.NestedString(u.Object, "status", "message")
		reason, _, _ := unstructured.NestedString(u.Object, "status", "reason")
		return readiness{failure: trimmed("the pod failed", reason, message), next: "see its log"}
	}
	return readiness{message: fmt.Sprintf("pods not ready: [%s]", u.GetName())}
}

// trimmed joins what is not empty: "a: b: c".
func trimmed(parts ...string) string {
	out := ""
	for _, p := range parts {
		if p = strings.TrimRight(p, ": \n"); p == "" {
			continue
		}
		if out != "" {
			out += ": "
		}
		out += p
	}
	return out
}
