// Package helm renders charts as `helm template` does, without the helm command: it brings the chart and its dependencies, works out the
// values, expands the templates and puts the objects in order.
package helm

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/render/helm/chart"
	"github.com/davit-dev/davit/internal/render/helm/engine"
)

// Release is a release as the config wants it: all templates evaluated, all paths absolute.
type Release struct {
	Name      string
	Namespace string
	// Chart is a folder or an archive, absolute; or, for a remote chart, a URL, "oci://...", "repository/chart" or, with Repo, a name.
	Chart   string
	Remote  bool
	Repo    string // URL of the repository of a remote chart
	Version string // of a remote chart: a version or a range; empty: the newest

	ValuesFiles []string       // absolute, or URLs; later ones win
	Overrides   map[string]any // laid over the files
	Set         []Set          // in order
	SetFiles    []Set          // Value is an absolute path; set after Set
	Flags       []string       // of `helm template` (install, upgrade), as the config has them
	Global      []string       // flags of every helm command

	Package *Package // nil: the chart has its own versions

	SkipDependencies bool // do not bring dependencies that charts/ lacks
	SkipTests        bool
	Secrets          bool // valuesFiles are encrypted by helm-secrets
	DependsOn        []string
}

// Package gives a chart other versions, as `helm package` does; empty: its own.
type Package struct{ Version, AppVersion string }

// Previous is a release that an upgrade starts from: flags may ask for its values.
type Previous struct {
	Chart    *chart.Chart
	Values   map[string]any // as they were set
	Revision int
}

// Set is a value set by its path: "image.tag", "hosts[0].name".
type Set struct {
	Key, Value string
	// Literal values arrive as text, letter by letter. Others are read as --set reads them: true, 5 and null have their meaning, {a,b} is
	// a list. A comma outside of a list is part of the value.
	Literal bool
}

// Options is what rendering needs besides the release.
type Options struct {
	Dir      string   // absolute; what Origin and errors name files from
	CacheDir string   // absolute; for fetched charts. Empty: none are kept
	Environ  []string // of commands and of templates' plugins, "NAME=value"
	LookPath func(name string) (string, error)
	Keychain authn.Keychain // credentials for OCI registries; nil: none
	// Repositories is the file of the repositories known to the helm command; see [RepositoriesFile].
	Repositories string
	// Secrets keeps helm-secrets from running twice at a time: it decrypts into a file beside the encrypted one, and takes that away. nil: nothing
	// else runs.
	Secrets *sync.Mutex
	// Bucket copies what a gs:// address names and gives the folder it is in; nil makes such addresses an error.
	Bucket       func(ctx context.Context, address string) (dir string, err error)
	Capabilities *engine.Capabilities // nil: engine.DefaultCapabilities
	Upgrade      bool                 // render as an upgrade
	Revision     int                  // 0: 1
	Previous     *Previous            // nil: none, as `helm template` has it
	// Lookup answers lookup out of a cluster; nil finds nothing, as `helm template` has it.
	Lookup func(ctx context.Context, apiVersion, kind, namespace, name string) (map[string]any, error)
}

// Rendered is what a release consists of.
type Rendered struct {
	Release Release
	// Objects are in the order of installing. File is "release NAME: mychart/templates/x.yaml".
	Objects []manifest.Object
	Hooks   []Hook
	CRDs    []chart.File // of the crds folders
	Notes   string
	Chart   *chart.Chart
	Values  map[string]any // as set, without the chart's own

	includeCRDs, noHooks, skipTests bool
}

// Render renders one release. Warnings go to sink, and the equivalent helm command as [event.Info].
func Render(ctx context.Context, r Release, o Options, sink event.Sink) (*Rendered, error) {
	sink.Emit(event.Info{Message: "rendering, as by: " + Command(r)})
	out, err := render(ctx, r, o, sink)
	if err != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("release %s: %w", r.Name, err)
	}
	return out, err
}

func render(ctx context.Context, r Release, o Options, sink event.Sink) (*Rendered, error) {
	if err := checkName(r.Name); err != nil {
		return nil, err
	}
	f, err := parseFlags(r)
	if foreign, ok := errors.AsType[*foreignError](err); ok {
		return byCommand(ctx, r, o, foreign.Error(), sink)
	}
	if err != nil {
		return nil, err
	}
	if r.Secrets {
		return byCommand(ctx, r, o, "useHelmSecrets needs the helm command with its plugin helm-secrets", sink)
	}
	fetch := &fetcher{options: o, flags: f, sink: sink}
	c, err := fetch.chart(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := r.Package.apply(c); err != nil {
		return nil, err
	}
	values, err := r.values(ctx, f, fetch)
	if err != nil {
		return nil, err
	}
	if values, err = o.Previous.reuse(r, c, values, f, sink); err != nil {
		return nil, err
	}
	return expand(ctx, r, c, values, f, o, sink)
}

// expand renders a chart that is complete.
func expand(ctx context.Context, r Release, c *chart.Chart, values map[string]any, f flags, o Options, sink event.Sink) (*Rendered, error) {
	warn := func(text string) { sink.Emit(event.Warning{Message: "release " + r.Name + ": " + text}) }
	if c.IsLibrary() {
		return nil, fmt.Errorf("chart %s is a library: it has nothing to install", c.Name())
	}
	if c.Metadata.Deprecated {
		warn("chart " + c.Name() + " is deprecated")
	}
	capabilities, err := f.capabilities(o.Capabilities)
	if err != nil {
		return nil, err
	}
	if want := c.Metadata.KubeVersion; want != "" && !chart.InRange(want, capabilities.KubeVersion.String()) {
		return nil, fmt.Errorf("chart %s wants Kubernetes %s, and this is %s: set another with --kube-version in the flags", c.Name(), want, capabilities.KubeVersion.Version)
	}
	if err := c.Resolve(values, warn); err != nil {
		return nil, err
	}
	all, err := c.Coalesce(values, warn)
	if err != nil {
		return nil, err
	}
	if !f.skipSchema {
		if err := c.Validate(all, warn); err != nil {
			return nil, err
		}
	}
	pages, err := engine.Render(ctx, c, all, engine.Options{
		Release:      engine.Release{Name: r.Name, Namespace: r.Namespace, Upgrade: o.Upgrade || f.upgrade, Revision: max(o.Revision, 1)},
		Capabilities: capabilities, Lookup: o.Lookup, DNS: f.dns,
	})
	if err != nil {
		return nil, err
	}
	out := &Rendered{
		Release: r, CRDs: c.CRDs(), Chart: c, Values: values, Notes: takeNotes(pages, c.Name(), f.subNotes),
		includeCRDs: f.includeCRDs, noHooks: f.noHooks, skipTests: f.skipTests || r.SkipTests,
	}
	documents, hooks, err := split(pages, warn)
	if err == nil && f.postRenderer != "" {
		documents, err = f.postRender(ctx, documents, o, sink)
	}
	if err != nil {
		return nil, located(err, c)
	}
	out.Hooks = hooks
	for _, d := range documents {
		objects, err := out.Parse(d.path, d.text)
		if err != nil {
			return nil, err
		}
		out.Objects = append(out.Objects, objects...)
	}
	return out, nil
}

// Template gives the objects that `helm template` prints, in its order: the CRDs if a flag asks for them, the objects, and the hooks.
func (r *Rendered) Template() ([]manifest.Object, error) {
	var all []manifest.Object
	add := func(path, text string) error {
		objects, err := r.Parse(path, text)
		all = append(all, objects...)
		return err
	}
	if r.includeCRDs {
		for _, crd := range r.CRDs {
			if err := add(crd.Name, string(crd.Data)); err != nil {
				return nil, err
			}
		}
	}
	all = append(all, r.Objects...)
	for _, h := range r.Hooks {
		if r.noHooks || r.skipTests && h.IsTest() {
			continue
		}
		if err := add(h.Path, h.Manifest); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Parse reads what a template gave: a hook, say. path is the template's.
func (r *Rendered) Parse(path, text string) ([]manifest.Object, error) {
	return manifest.ParseMade("release "+r.Release.Name+": "+path, []byte(text+"\n")) // as helm ends each
}

// checkName holds Helm's rule for names of releases.
func checkName(name string) error {
	const most = 53
	if len(name) > most || !regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`).MatchString(name) {
		return fmt.Errorf("%q cannot be a release's name: use at most %d lower case letters, digits and dashes", name, most)
	}
	return nil
}

// display names a file as seen from dir.
func display(dir, file string) string {
	if rel, err := filepath.Rel(dir, file); err == nil && !strings.HasPrefix(rel, "..") {
		return filepath.ToSlash(rel)
	}
	return file
}
