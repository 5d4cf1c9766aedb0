package helm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/render/helm/chart"
)

// decide finds out what becomes of a release whose objects have their images by now.
func (w *Work) decide(ctx context.Context, it *item) (err error) {
	if it.action == keep || it.action == foreign {
		return nil
	}
	if err := w.refuseStuck(it); err != nil {
		return err
	}
	switch {
	case it.last == nil:
		it.action, it.target = install, it.trial
		return nil
	case !it.installed():
		it.action = install
	default:
		if it.why, err = w.differs(ctx, it); err != nil {
			return err
		}
		if it.why == "" {
			it.action = unchanged
			return nil
		}
		w.sink.Emit(event.Info{Message: fmt.Sprintf("release %s gets a new revision: %s", it.Name, it.why)})
		it.action = upgrade
	}
	return w.renderTarget(ctx, it)
}

// renderTarget renders the revision that comes next.
func (w *Work) renderTarget(ctx context.Context, it *item) (err error) {
	revision := 1
	if it.last != nil {
		revision = it.last.Version + 1
	}
	if it.target, err = w.render(ctx, it, revision, it.action == upgrade); err != nil {
		return err
	}
	return w.transform(ctx, it.target.all())
}

// refuseStuck refuses a release that somebody is at work on, or has left half-way.
func (w *Work) refuseStuck(it *item) error {
	if it.last == nil || !it.last.pending() && it.last.Info.Status != statusUninstalling || w.options.Force {
		return nil
	}
	if w.store.claims.abandoned(it.last) {
		w.sink.Emit(event.Note{Message: fmt.Sprintf("release %s: revision %d was left half-way by a run of davit on this machine: going on from there", it.Name, it.last.Version)})
		return nil
	}
	return fmt.Errorf("release %s in namespace %s is %s since %s (revision %d): somebody else is at work on it, or was stopped half-way: "+
		"if nobody is, run again with --force to take it from there", it.Name, it.Namespace, it.last.Info.Status,
		it.last.Info.LastDeployed.Local().Format("2006-01-02 15:04:05"), it.last.Version)
}

// differs says in what a release differs from its deployed revision; "" if in nothing.
func (w *Work) differs(ctx context.Context, it *item) (string, error) {
	r := it.deployed
	if r == nil || it.last != r {
		return fmt.Sprintf("revision %d is %s", it.last.Version, it.last.Info.Status), nil
	}
	now, err := chartText(it.trial.Chart)
	if err != nil {
		return "", err
	}
	old, err := r.chart()
	if err != nil {
		return "", err
	}
	before, err := chartText(old)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(now, before) {
		return "the chart changed" + chartChange(old, it.trial.Chart), nil
	}
	if changed := changedValues(r.Config, it.trial.Values); len(changed) > 0 {
		return "values changed: " + strings.Join(changed, ", "), nil
	}
	deployed, err := deployedObjects(r)
	if err != nil {
		return "", err
	}
	rendered, err := byName(it.trial.all())
	if err != nil {
		return "", err
	}
	changed := changedKeys(deployed, rendered, reflect.DeepEqual)
	if len(changed) == 0 {
		return "", nil
	}
	return w.unsettled(ctx, it, deployed, rendered, changed)
}

func chartChange(old, now *chart.Chart) string {
	if old.Metadata.Version != now.Metadata.Version {
		return fmt.Sprintf(" from version %s to %s", old.Metadata.Version, now.Metadata.Version)
	}
	files := func(c *chart.Chart) map[string]any {
		all := map[string]any{"values.yaml": c.Values}
		for _, f := range slices.Concat(c.Templates, c.Files) {
			all[f.Name] = string(f.Data)
		}
		return all
	}
	if changed := changedKeys(files(old), files(now), reflect.DeepEqual); len(changed) > 0 {
		return ": " + strings.Join(changed, ", ")
	}
	return ""
}

// changedValues names the values that differ, never what they are.
func changedValues(old, now map[string]any) []string {
	return changedKeys(old, now, func(a, b any) bool {
		x, errX := json.Marshal(a)
		y, errY := json.Marshal(b)
		return errX == nil && errY == nil && bytes.Equal(x, y)
	})
}

func changedKeys(old, now map[string]any, same func(a, b any) bool) []string {
	var changed []string
	all := slices.AppendSeq(slices.Collect(maps.Keys(old)), maps.Keys(now))
	slices.Sort(all)
	for _, key := range slices.Compact(all) {
		a, was := old[key]
		b, is := now[key]
		if was != is || !same(a, b) {
			changed = append(changed, key)
		}
	}
	return changed
}

// unsettled is asked when a chart that did not change gives other objects than before. What comes out different each time, such as a password out of
// randAlphaNum, is no change: it stays as it was.
func (w *Work) unsettled(ctx context.Context, it *item, deployed, rendered map[string]any, changed []string) (string, error) {
	again, err := w.renderAgain(ctx, it, it.deployed.Version, it.deployed.Version > 1)
	if err != nil {
		return "", err
	}
	other, err := byName(again.all())
	if err != nil {
		return "", err
	}
	if settled(deployed, rendered, other) {
		w.sink.Emit(event.Info{Message: fmt.Sprintf("release %s: what its chart gives differs each time (%s): that alone makes no revision",
			it.Name, strings.Join(changed, ", "))})
		return "", nil
	}
	return strings.Join(changed, ", ") + " changed", nil
}

// renderAgain renders a release once more, without a word, to find out what comes out different each time.
func (w *Work) renderAgain(ctx context.Context, it *item, revision int, isUpgrade bool) (*rendered, error) {
	quiet := *w
	quiet.Deployer = &Deployer{kube: w.kube, options: w.options, store: w.store, sink: event.SinkFunc(func(event.Event) {})}
	again, err := quiet.render(ctx, it, revision, isUpgrade)
	if err != nil {
		return nil, err
	}
	return again, w.transform(ctx, again.all())
}

// settled says whether before equals now in all in which now equals again.
func settled(before, now, again any) bool {
	if reflect.DeepEqual(before, now) {
		return true
	}
	switch a := now.(type) {
	case map[string]any:
		b, isMap := before.(map[string]any)
		c, alsoMap := again.(map[string]any)
		if !isMap || !alsoMap {
			break
		}
		for _, key := range slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b)) {
			if !settled(b[key], a[key], c[key]) {
				return false
			}
		}
		return true
	case []any:
		b, isList := before.([]any)
		c, alsoList := again.([]any)
		if !isList || !alsoList || len(a) != len(b) || len(a) != len(c) {
			break
		}
		for i := range a {
			if !settled(b[i], a[i], c[i]) {
				return false
			}
		}
		return true
	}
	return !reflect.DeepEqual(now, again)
}

// byName gives objects by kind, namespace and name.
func byName(objects []manifest.Object) (map[string]any, error) {
	all := make(map[string]any, len(objects))
	for _, o := range objects {
		fields, err := o.Value()
		if err != nil {
			return nil, err
		}
		name := strings.ToLower(o.Kind()) + "/" + o.Name()
		if ns := o.Namespace(); ns != "" {
			name += " in " + ns
		}
		if _, twice := all[name]; twice {
			name += " (again)"
		}
		all[name] = fields
	}
	return all, nil
}

func deployedObjects(r *record) (map[string]any, error) {
	objects, err := r.objects()
	if err != nil {
		return nil, err
	}
	for _, h := range r.Hooks {
		more, err := manifest.ParseMade("release "+r.Name+": "+h.Path, []byte(h.Manifest))
		if err != nil {
			return nil, err
		}
		objects = append(objects, more...)
	}
	all, err := byName(objects)
	withoutRunIDs(all)
	return all, err
}

// withoutRunIDs takes away the labels of a run of Skaffold, which alone make no new revision.
func withoutRunIDs(fields map[string]any) {
	for name, value := range fields {
		below, isMap := value.(map[string]any)
		if !isMap {
			continue
		}
		if _, labelled := below[kube.LabelRunID]; labelled && name == "labels" {
			if delete(below, kube.LabelRunID); len(below) == 0 {
				delete(fields, name)
			}
			continue
		}
		withoutRunIDs(below)
	}
}

// objects are those of the revision's manifest.
func (r *record) objects() ([]manifest.Object, error) {
	objects, err := manifest.ParseMade(fmt.Sprintf("release %s, revision %d", r.Name, r.Version), []byte(r.Manifest))
	if err != nil {
		return nil, fmt.Errorf("the record of release %s is damaged: %w", r.Name, err)
	}
	return objects, nil
}

// The marks of a release's objects, by which Helm knows them: https://helm.sh/docs/topics/charts_hooks.
const (
	labelManagedBy      = "app.kubernetes.io/managed-by"
	managedByHelm       = "Helm"
	annotationName      = "meta.helm.sh/release-name"
	annotationNamespace = "meta.helm.sh/release-namespace"
	annotationPolicy    = "helm.sh/resource-policy"
)

// clusterObjects makes objects of a release ready for the cluster: with their namespace and, if marked, Helm's marks.
func clusterObjects(name, namespace string, objects []manifest.Object, marked bool) ([]kube.Object, error) {
	out, err := kube.NewObjects(objects, namespace)
	if err != nil || !marked {
		return out, err
	}
	for _, object := range out {
		object.SetLabels(with(object.GetLabels(), labelManagedBy, managedByHelm))
		object.SetAnnotations(with(object.GetAnnotations(), annotationName, name, annotationNamespace, namespace))
	}
	return out, nil
}

func with(m map[string]string, pairs ...string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// manifestText is the text of a revision's manifest, in which each object says which template it is of.
func (r *rendered) manifestText() (string, error) {
	var b bytes.Buffer
	for _, o := range r.objects {
		fmt.Fprintf(&b, "---\n# Source: %s\n", strings.TrimPrefix(o.File, "release "+r.Release.Name+": "))
		text, err := yamlOf(o)
		if err != nil {
			return "", err
		}
		b.Write(text)
	}
	return b.String(), nil
}

func yamlOf(o manifest.Object) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(o.Node); err != nil {
		return nil, fmt.Errorf("writing %s: %w", o.Origin(), err)
	}
	return b.Bytes(), nil
}

// recordHooks are the hooks with what was written into them.
func (r *rendered) recordHooks() ([]*hook, error) {
	var out []*hook
	for i, h := range r.Hooks {
		text, err := yamlOf(r.hooks[i])
		if err != nil {
			return nil, err
		}
		h.Manifest = string(text)
		out = append(out, &hook{Hook: h})
	}
	return out, nil
}

// definitions reads the objects of a chart's crds folders.
func definitions(crds []chart.File) ([]kube.Object, error) {
	var all []kube.Object
	for _, f := range crds {
		objects, err := manifest.ParseMade(f.Name, f.Data)
		if err != nil {
			return nil, err
		}
		made, err := clusterObjects("", "", objects, false)
		if err != nil {
			return nil, err
		}
		all = append(all, made...)
	}
	return all, nil
}
