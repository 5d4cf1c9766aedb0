package helm

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/internal/kube"
)

// Unsettled stands for a value that comes out different each time that a chart is rendered, such as a password out of randAlphaNum.
const Unsettled = "(another one each time)"

// hideUnsettled puts Unsettled in the place of what another rendering gives another value.
func (w *Work) hideUnsettled(ctx context.Context, it *item, revision int, all []kube.Previewed) error {
	again, err := w.renderAgain(ctx, it, revision, it.action == upgrade)
	if err != nil {
		return err
	}
	objects, err := clusterObjects(it.Name, it.Namespace, again.objects, true)
	if err != nil {
		return err
	}
	other := map[string]map[string]any{}
	for _, o := range objects {
		other[keyIn(o, namespaceOr(o, it.Namespace))] = o.Object
	}
	for i, p := range all {
		twin, rendered := other[keyIn(p.Object, namespaceOr(p.Object, it.Namespace))]
		if !rendered {
			continue
		}
		moving := map[any]bool{}
		findUnsettled(p.Object.Object, twin, moving)
		if len(moving) == 0 {
			continue
		}
		all[i].Object.Unstructured = &unstructured.Unstructured{Object: without(p.Object.Object, moving).(map[string]any)}
		for n, c := range p.Changes {
			p.Changes[n].After = without(c.After, moving)
		}
	}
	return nil
}

// findUnsettled collects the texts and numbers that differ.
func findUnsettled(now, again any, moving map[any]bool) {
	switch now := now.(type) {
	case map[string]any:
		other, _ := again.(map[string]any)
		for name, value := range now {
			if name != "namespace" { // which a preview fills in
				findUnsettled(value, other[name], moving)
			}
		}
	case []any:
		other, _ := again.([]any)
		for i, value := range now {
			if i < len(other) {
				findUnsettled(value, other[i], moving)
			} else {
				findUnsettled(value, nil, moving)
			}
		}
	default:
		if now != nil && now != again {
			moving[now] = true
		}
	}
}

// without gives a value with Unsettled in the place of those that move.
func without(v any, moving map[any]bool) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, value := range v {
			out[name] = without(value, moving)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = without(value, moving)
		}
		return out
	}
	if moving[v] {
		return Unsettled
	}
	return v
}
