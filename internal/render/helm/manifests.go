package helm

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"sigs.k8s.io/yaml"
)

// Hook is an object that is not part of the release but belongs to a moment of its life. Its JSON form is the one of release records.
type Hook struct {
	Name              string   `json:"name,omitempty"`
	Kind              string   `json:"kind,omitempty"`
	Path              string   `json:"path,omitempty"` // of the template
	Manifest          string   `json:"manifest,omitempty"`
	Events            []string `json:"events,omitempty"` // pre-install, test, ...
	Weight            int      `json:"weight,omitempty"`
	DeletePolicies    []string `json:"delete_policies,omitempty"`
	OutputLogPolicies []string `json:"output_log_policies,omitempty"`
}

// IsTest says that the hook is for `helm test`.
func (h Hook) IsTest() bool { return slices.Contains(h.Events, "test") }

// document is an object of a template, as text.
type document struct {
	path, text, kind string
}

// The moments of a release that hooks can name; test-success is what test was called in Helm 2.
var events = map[string]string{
	"pre-install": "pre-install", "post-install": "post-install", "pre-delete": "pre-delete", "post-delete": "post-delete",
	"pre-upgrade": "pre-upgrade", "post-upgrade": "post-upgrade", "pre-rollback": "pre-rollback", "post-rollback": "post-rollback",
	"test": "test", "test-success": "test",
}

// separator starts a document. Charts are known to leave out the newline after it.
var separator = regexp.MustCompile(`(?m)^---[ \t]*`)

// split takes rendered templates apart into objects and hooks, each in the order in which they are installed. Notes are taken out before.
func split(pages map[string]string, warn func(string)) (documents []document, hooks []Hook, err error) {
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		for _, text := range separator.Split(strings.TrimLeftFunc(pages[name], unicode.IsSpace), -1) {
			if text = strings.TrimLeftFunc(text, unicode.IsSpace); text == "" {
				continue
			}
			var head struct {
				Kind     string `json:"kind"`
				Metadata struct {
					Name        string            `json:"name"`
					Annotations map[string]string `json:"annotations"`
				} `json:"metadata"`
			}
			if err := yaml.Unmarshal([]byte(text), &head); err != nil {
				return nil, nil, newInvalidError(name, pages[name], text, err)
			}
			moments, isHook := head.Metadata.Annotations["helm.sh/hook"]
			if !isHook {
				documents = append(documents, document{path: name, text: text, kind: head.Kind})
				continue
			}
			hook, err := newHook(moments, head.Metadata.Annotations)
			if err != nil {
				warn(fmt.Sprintf("%s: %s %s is left out: %v", name, head.Kind, head.Metadata.Name, err))
				continue
			}
			hook.Name, hook.Kind, hook.Path, hook.Manifest = head.Metadata.Name, head.Kind, name, text
			hooks = append(hooks, hook)
		}
	}
	slices.SortStableFunc(documents, func(a, b document) int { return byKind(a.kind, b.kind) })
	slices.SortStableFunc(hooks, func(a, b Hook) int { return byKind(a.Kind, b.Kind) })
	return documents, hooks, nil
}

func newHook(moments string, annotations map[string]string) (Hook, error) {
	h := Hook{
		Events: []string{}, DeletePolicies: commas(annotations["helm.sh/hook-delete-policy"]),
		OutputLogPolicies: commas(annotations["helm.sh/hook-output-log-policy"]),
	}
	h.Weight, _ = strconv.Atoi(annotations["helm.sh/hook-weight"]) // as in Helm, what is no number weighs nothing
	for _, m := range commas(moments) {
		event, known := events[m]
		if !known {
			return Hook{}, fmt.Errorf("%q is not a moment for a hook", m)
		}
		h.Events = append(h.Events, event)
	}
	return h, nil
}

func commas(text string) []string {
	out := []string{}
	if text == "" {
		return out
	}
	for item := range strings.SplitSeq(text, ",") {
		out = append(out, strings.ToLower(strings.TrimSpace(item)))
	}
	return out
}

// takeNotes takes NOTES.txt out of the rendered templates and gives the chart's own, or those of its subcharts too.
func takeNotes(pages map[string]string, chart string, all bool) string {
	var notes []string
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		if !strings.HasSuffix(name, "NOTES.txt") {
			continue
		}
		if all || name == path.Join(chart, "templates", "NOTES.txt") {
			notes = append(notes, pages[name])
		}
		delete(pages, name)
	}
	return strings.Join(notes, "\n")
}

// byKind is the order of installing; kinds that it does not know come last, by name.
func byKind(a, b string) int {
	first, second := slices.Index(installOrder, a), slices.Index(installOrder, b)
	switch {
	case first < 0 && second < 0:
		return strings.Compare(a, b)
	case first < 0:
		return 1
	case second < 0:
		return -1
	}
	return cmp.Compare(first, second)
}

var installOrder = []string{
	"PriorityClass", "Namespace", "NetworkPolicy", "ResourceQuota", "LimitRange", "PodSecurityPolicy", "PodDisruptionBudget",
	"ServiceAccount", "Secret", "SecretList", "ConfigMap", "StorageClass", "PersistentVolume", "PersistentVolumeClaim",
	"CustomResourceDefinition", "ClusterRole", "ClusterRoleList", "ClusterRoleBinding", "ClusterRoleBindingList", "Role", "RoleList",
	"RoleBinding", "RoleBindingList", "Service", "DaemonSet", "Pod", "ReplicationController", "ReplicaSet", "Deployment",
	"HorizontalPodAutoscaler", "StatefulSet", "Job", "CronJob", "IngressClass", "Ingress", "APIService",
	"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
}
