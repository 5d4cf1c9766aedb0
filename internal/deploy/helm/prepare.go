package helm

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/render/helm"
	"github.com/davit-dev/davit/internal/render/helm/chart"
	"github.com/davit-dev/davit/internal/render/helm/engine"
)

// Prepare reads the records of the releases and renders their charts. It changes nothing. transform writes images and labels into objects that are rendered
// later; into those that are rendered now, the caller does.
func (d *Deployer) Prepare(ctx context.Context, releases []Release, transform func(ctx context.Context, objects []manifest.Object) error) (*Work, error) {
	w := &Work{Deployer: d, transform: transform}
	plain := make([]helm.Release, len(releases))
	for i, r := range releases {
		plain[i] = r.Release
		w.items = append(w.items, &item{Release: r, done: make(chan struct{})})
	}
	levels, err := helm.Order(plain)
	if err != nil {
		return nil, err
	}
	for _, i := range slices.Concat(levels...) {
		w.inOrder = append(w.inOrder, w.items[i])
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		w.capabilities, err = d.findCapabilities(groupCtx)
		return err
	})
	group.Go(func() error { return w.readRecords(groupCtx) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	errs := make([]error, len(w.items))
	var renders errgroup.Group
	renders.SetLimit(max(2, runtime.NumCPU()))
	for i, it := range w.items {
		renders.Go(func() error {
			errs[i] = w.prepare(ctx, it)
			return nil
		})
	}
	_ = renders.Wait() // the errors are in errs, all of them
	return w, errors.Join(errs...)
}

// findCapabilities asks the cluster what charts may ask for.
func (d *Deployer) findCapabilities(ctx context.Context) (*engine.Capabilities, error) {
	c := engine.DefaultCapabilities()
	version, err := d.kube.Version(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking the cluster for its version: %w", err)
	}
	if c.KubeVersion, err = engine.ParseKubeVersion(version); err != nil {
		return nil, err
	}
	if c.APIVersions, err = d.kube.APIVersions(ctx); err != nil {
		return nil, fmt.Errorf("asking the cluster what it serves: %w", err)
	}
	return c, nil
}

// readRecords asks once for each namespace.
func (w *Work) readRecords(ctx context.Context) error {
	names := map[string][]string{}
	for _, it := range w.items {
		names[it.Namespace] = append(names[it.Namespace], it.Name)
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for namespace, here := range names {
		group.Go(func() error {
			found, err := w.store.latest(groupCtx, namespace, here)
			if err != nil {
				return err
			}
			for _, it := range w.items {
				if it.Namespace == namespace {
					it.know(found[it.Name])
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// know takes in the records of the release, the oldest first.
func (it *item) know(records []*record) {
	it.last, it.deployed, it.failed, it.former = nil, nil, nil, nil
	for _, r := range records {
		switch r.Info.Status {
		case statusDeployed:
			if it.deployed != nil {
				it.former = append(it.former, it.deployed)
			}
			it.deployed, it.failed = r, nil
		case statusUninstalled, statusSuperseded:
		default:
			it.failed = append(it.failed, r)
		}
		it.last = r
	}
}

// installed says whether an upgrade is due rather than an installation.
func (it *item) installed() bool { return it.last != nil && it.last.Info.Status != statusUninstalled }

// base is the revision that an upgrade starts from; nil for an installation.
func (it *item) base() *record {
	if !it.installed() || it.deployed != nil {
		return it.deployed
	}
	return it.last
}

// prepare decides what can be decided before images are known, and renders.
func (w *Work) prepare(ctx context.Context, it *item) (err error) {
	it.Flags = it.Install
	if it.installed() {
		it.Flags = it.Upgrade
	}
	if it.settings, it.foreign, err = it.Deployment(); err != nil {
		return fmt.Errorf("release %s: %w", it.Name, err)
	}
	if it.foreign == "" {
		it.foreign = foreignDepBuild(it.DepBuild)
	}
	it.settings.Wait = it.settings.Wait || it.Wait
	it.settings.CreateNamespace = it.settings.CreateNamespace || it.CreateNamespace
	switch {
	case it.installed() && it.Keep:
		it.action = keep
		return nil
	case it.foreign != "":
		it.action = foreign
		return nil
	}
	revision := 1
	if base := it.base(); base != nil {
		revision = base.Version
	}
	it.trial, err = w.render(ctx, it, revision, revision > 1)
	return err
}

// foreignDepBuild says why flags of `helm dependency build` need the helm command.
func foreignDepBuild(flags []string) string {
	for _, f := range flags {
		name, _, _ := strings.Cut(f, "=")
		if !slices.Contains([]string{"--skip-refresh", "--debug"}, name) {
			return "davit brings dependencies of charts itself, and knows no flag " + f + " for that"
		}
	}
	return ""
}

// render renders a release as it would be in a revision.
func (w *Work) render(ctx context.Context, it *item, revision int, isUpgrade bool) (*rendered, error) {
	o := w.options.Render
	o.Revision, o.Upgrade, o.Lookup = revision, isUpgrade, w.lookup
	if base := it.base(); base != nil {
		c, err := base.chart()
		if err != nil {
			return nil, err
		}
		o.Previous = &helm.Previous{Chart: c, Values: base.Config, Revision: base.Version}
	}
	o.Capabilities = w.capabilities
	r, err := helm.Render(ctx, it.Release.Release, o, withoutInfo(w.sink))
	if err == nil && !it.installed() && !it.settings.SkipCRDs && len(r.CRDs) > 0 {
		// Its own definitions are there before its templates are: they may ask for them.
		if o.Capabilities, err = withCRDs(w.capabilities, r.CRDs); err == nil {
			r, err = helm.Render(ctx, it.Release.Release, o, event.SinkFunc(func(event.Event) {}))
		}
	}
	if err != nil {
		return nil, err
	}
	out := &rendered{Rendered: r, objects: r.Objects}
	for _, h := range r.Hooks {
		objects, err := r.Parse(h.Path, h.Manifest)
		if err != nil {
			return nil, fmt.Errorf("release %s: %w", it.Name, err)
		}
		if len(objects) != 1 {
			return nil, fmt.Errorf("release %s: %s: hook %s is %d objects, and must be one", it.Name, h.Path, h.Name, len(objects))
		}
		out.hooks = append(out.hooks, objects[0])
	}
	return out, nil
}

// withoutInfo leaves out the helm command that would render the same: here it is deployed.
func withoutInfo(sink event.Sink) event.Sink {
	return event.SinkFunc(func(e event.Event) {
		if _, info := e.(event.Info); !info {
			sink.Emit(e)
		}
	})
}

func withCRDs(c *engine.Capabilities, crds []chart.File) (*engine.Capabilities, error) {
	more := *c
	more.APIVersions = slices.Clone(c.APIVersions)
	objects, err := definitions(crds)
	if err != nil {
		return nil, err
	}
	for _, r := range kube.Defined(objects) {
		version := r.Group + "/" + r.Version
		more.APIVersions = append(more.APIVersions, version, version+"/"+r.Kind)
	}
	return &more, nil
}

// lookup answers charts out of the cluster.
func (w *Work) lookup(ctx context.Context, apiVersion, kind, namespace, name string) (map[string]any, error) {
	gvk := schema.FromAPIVersionAndKind(apiVersion, kind)
	var unknown *kube.UnknownKindError
	if name != "" {
		u, err := w.kube.Get(ctx, gvk, namespace, name)
		if errors.As(err, &unknown) || err == nil && u == nil {
			return map[string]any{}, nil
		}
		if err != nil {
			return nil, err
		}
		return u.Object, nil
	}
	found, err := w.kube.Find(ctx, gvk, namespace, "")
	if errors.As(err, &unknown) {
		return map[string]any{}, nil
	}
	if err != nil {
		return nil, err
	}
	items := make([]any, len(found))
	for i, o := range found {
		items[i] = o.Object
	}
	return map[string]any{"apiVersion": apiVersion, "kind": kind + "List", "items": items}, nil
}
