package helm

import (
	"context"
	"fmt"
	"slices"

	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/render/helm"
)

// Preview is what Deploy would do with one release.
type Preview struct {
	Name, Namespace string
	Install         bool // it is not there yet
	Unchanged       bool
	Revision        int // that it has, or would get
	Notes           []string
	Err             error // why it would be refused
	Chart           []byte
	Values          map[string]any   // that it is made with, which may be secret; of one that the helm command deploys, all that is known of it
	Objects         []kube.Previewed // with [Unsettled] for each value that the chart makes another one of each time
	Removed         []kube.Orphan    // what it does not have any more
}

// Preview finds out what Deploy would do, and does nothing of it. The error is for a cluster that cannot be asked.
func (w *Work) Preview(ctx context.Context) ([]Preview, error) {
	all := make([]Preview, len(w.items))
	for i, it := range w.items {
		err := w.decide(ctx, it)
		p := Preview{Name: it.Name, Namespace: it.Namespace, Install: !it.installed(), Err: err}
		if it.last != nil {
			p.Revision = it.last.Version
		}
		if err == nil {
			if err := w.preview(ctx, it, &p); err != nil {
				return nil, fmt.Errorf("release %s: %w", it.Name, err)
			}
		}
		all[i] = p
	}
	return all, nil
}

func (w *Work) preview(ctx context.Context, it *item, p *Preview) (err error) {
	switch it.action {
	case keep:
		p.Unchanged, p.Notes = true, []string{"it is installed, and not upgraded"}
		return nil
	case foreign:
		p.Notes = []string{"it is deployed by the helm command: " + it.foreign}
		p.Values, err = it.given()
		return err
	}
	if w.options.Tests && slices.ContainsFunc(it.trial.Hooks, helm.Hook.IsTest) {
		p.Notes = append(p.Notes, "the tests of its chart run once it is ready")
	}
	if err := w.compare(ctx, []*item{it}); err != nil {
		return err
	}
	var objects []kube.Object
	for _, a := range it.applied {
		objects = append(objects, a.Object)
	}
	if it.action == unchanged {
		p.Unchanged = true
		if objects, p.Objects = standing(it.applied); len(objects) == 0 {
			return nil
		}
	} else {
		p.Revision++
		if it.why != "" {
			p.Notes = append(p.Notes, it.why)
		}
		if p.Chart, err = chartText(it.target.Chart); err != nil {
			return err
		}
		p.Values = it.target.Values
		if p.Err = w.admit(it, it.applied, objects); p.Err != nil {
			return nil
		}
		if p.Removed, err = w.removed(ctx, it, objects); err != nil {
			return err
		}
		missing, err := w.missingCRDs(ctx, it)
		if err != nil {
			return err
		}
		objects = append(missing, objects...)
	}
	seen, err := w.kube.Preview(ctx, kube.Set{}, objects, it.applyOptions(w.options.Force), w.sink)
	if err != nil {
		return err
	}
	if it.action != unchanged {
		if err := w.hideUnsettled(ctx, it, p.Revision, seen.Objects); err != nil {
			return err
		}
	}
	p.Objects = append(p.Objects, seen.Objects...)
	return nil
}

// standing parts the objects that are not as they should be from the others.
func standing(applied []kube.Applied) (strayed []kube.Object, unchanged []kube.Previewed) {
	for _, a := range applied {
		if a.Verb != kube.VerbUnchanged {
			strayed = append(strayed, a.Object)
			continue
		}
		unchanged = append(unchanged, kube.Previewed{
			Object: a.Object, Resource: a.Resource, Action: kube.ActionUnchanged, UID: string(a.Live.GetUID()), Version: a.Live.GetResourceVersion(),
		})
	}
	return strayed, unchanged
}

// removed lists what removeFormer would delete.
func (w *Work) removed(ctx context.Context, it *item, objects []kube.Object) ([]kube.Orphan, error) {
	former, err := w.formerObjects(it)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, o := range objects {
		wanted[keyIn(o, namespaceOr(o, it.Namespace))] = true
	}
	former = slices.DeleteFunc(unique(former), func(o kube.Object) bool { return wanted[keyOf(o)] })
	doomed, err := w.doomed(ctx, former, it.Name, it.Namespace, func(string, kube.Applied) {})
	var gone []kube.Orphan
	for _, a := range doomed {
		gone = append(gone, kube.Orphan{Resource: a.Resource, Namespace: a.Object.GetNamespace()})
	}
	return gone, err
}

func namespaceOr(o kube.Object, namespace string) string {
	if ns := o.GetNamespace(); ns != "" {
		return ns
	}
	return namespace
}
