package kube

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Resource is what the server serves for a kind.
type Resource struct {
	Group      string   `json:"g,omitempty"`
	Version    string   `json:"v"`
	Kind       string   `json:"k"`
	Name       string   `json:"n"` // plural, as in URLs
	Namespaced bool     `json:"ns,omitempty"`
	Status     bool     `json:"st,omitempty"` // has a status subresource
	Verbs      []string `json:"vb,omitempty"`
	Singular   string   `json:"sg,omitempty"`
	Short      []string `json:"sh,omitempty"` // "deploy"
}

// GVR names the resource for the dynamic client.
func (r Resource) GVR() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: r.Group, Version: r.Version, Resource: r.Name}
}

// GVK is the kind with its version.
func (r Resource) GVK() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: r.Group, Version: r.Version, Kind: r.Kind}
}

func (r Resource) can(verb string) bool { return slices.Contains(r.Verbs, verb) }

// UnknownKindError says that the server does not know a kind.
type UnknownKindError struct {
	GVK    schema.GroupVersionKind
	Served []string // versions of this kind that the server has
}

func (e *UnknownKindError) Error() string {
	apiVersion, kind := e.GVK.ToAPIVersionAndKind()
	if len(e.Served) > 0 {
		return fmt.Sprintf("the cluster does not serve %s in %s: it serves %s", kind, apiVersion, strings.Join(e.Served, ", "))
	}
	return fmt.Sprintf("the cluster does not know the kind %s of %s: install its CustomResourceDefinition first, or add it to the manifests",
		kind, apiVersion)
}

// discovery knows which resource serves a kind. What the server said is remembered on disk, per cluster, and asked for
// again when a kind is missing from it or a resource turns out to be gone: a cluster that gains a kind needs no time limit.
type discovery struct {
	client *Client
	file   string // empty: memory only

	mu        sync.Mutex
	resources []Resource // preferred versions first within a group
	fresh     bool       // read from the server by this process
}

func newDiscovery(c *Client, cacheDir string) *discovery {
	d := &discovery{client: c}
	if cacheDir != "" {
		id := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s", c.config.Host, c.config.CAFile, c.config.CAData))
		d.file = filepath.Join(cacheDir, "discovery", hex.EncodeToString(id[:16])+".json")
	}
	return d
}

// kind finds the resource of a kind in exactly this version.
func (d *discovery) kind(ctx context.Context, gvk schema.GroupVersionKind) (Resource, error) {
	found := func(r Resource) bool { return r.GVK() == gvk }
	r, err := d.find(ctx, found)
	if err != nil {
		return Resource{}, err
	}
	if r != nil {
		return *r, nil
	}
	unknown := &UnknownKindError{GVK: gvk}
	for _, r := range d.snapshot() {
		if r.Group == gvk.Group && r.Kind == gvk.Kind {
			unknown.Served = append(unknown.Served, schema.GroupVersion{Group: r.Group, Version: r.Version}.String())
		}
	}
	return Resource{}, unknown
}

// anyVersion finds the resource of a kind in the version that the server prefers; nil when it serves none.
func (d *discovery) anyVersion(ctx context.Context, gk schema.GroupKind) (*Resource, error) {
	return d.find(ctx, func(r Resource) bool { return r.Group == gk.Group && r.Kind == gk.Kind })
}

func (d *discovery) find(ctx context.Context, match func(Resource) bool) (*Resource, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.resources == nil {
		d.resources = readCache(d.file)
	}
	if i := slices.IndexFunc(d.resources, match); i >= 0 {
		return &d.resources[i], nil
	}
	if d.fresh {
		return nil, nil
	}
	if err := d.refresh(ctx); err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(d.resources, match); i >= 0 {
		return &d.resources[i], nil
	}
	return nil, nil
}

func (d *discovery) snapshot() []Resource {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.resources)
}

// learn takes in what is served since the server was asked.
func (d *discovery) learn(kinds []Resource) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range kinds {
		if !slices.ContainsFunc(d.resources, func(known Resource) bool { return known.GVK() == r.GVK() }) {
			d.resources = append(d.resources, r)
		}
	}
}

// forget makes the next question go to the server.
func (d *discovery) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.resources, d.fresh = []Resource{}, false
}

// refresh asks the server, in two requests where it knows aggregated discovery (KEP-3352).
func (d *discovery) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var all []Resource
	for _, path := range []string{"/api", "/apis"} {
		part, err := d.read(ctx, path)
		if err != nil {
			return fmt.Errorf("asking the cluster which kinds it serves: %w", err)
		}
		all = append(all, part...)
	}
	d.resources, d.fresh = all, true
	writeCache(d.file, all)
	return nil
}

const acceptAggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList," +
	"application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"

func (d *discovery) read(ctx context.Context, path string) ([]Resource, error) {
	var body []byte
	err := d.client.ask(ctx, func() (err error) {
		body, err = d.client.raw.Get().AbsPath(path).SetHeader("Accept", acceptAggregated).Do(ctx).Raw()
		return err
	})
	if err != nil {
		return nil, err
	}
	var kind struct{ Kind string }
	if err := json.Unmarshal(body, &kind); err != nil {
		return nil, fmt.Errorf("reading the answer of %s%s: %w", d.client.Server(), path, err)
	}
	if kind.Kind == "APIGroupDiscoveryList" {
		return parseAggregated(body)
	}
	return d.readPlain(ctx, path, body)
}

func parseAggregated(body []byte) ([]Resource, error) {
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Versions []struct {
				Version   string
				Resources []struct {
					Resource         string
					Scope            string
					Verbs            []string
					SingularResource string
					ShortNames       []string
					ResponseKind     struct{ Group, Version, Kind string }
					Subresources     []struct{ Subresource string }
				}
			}
		}
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("reading the cluster's kinds: %w", err)
	}
	var all []Resource
	for _, g := range list.Items {
		for _, v := range g.Versions {
			for _, r := range v.Resources {
				res := Resource{Group: g.Metadata.Name, Version: v.Version, Kind: r.ResponseKind.Kind, Name: r.Resource,
					Namespaced: r.Scope == "Namespaced", Verbs: r.Verbs, Singular: r.SingularResource, Short: r.ShortNames}
				for _, s := range r.Subresources {
					res.Status = res.Status || s.Subresource == "status"
				}
				all = append(all, res)
			}
		}
	}
	return all, nil
}

// readPlain serves API servers before 1.26: a request per group and version.
func (d *discovery) readPlain(ctx context.Context, path string, body []byte) ([]Resource, error) {
	var list struct {
		Versions []string
		Groups   []struct {
			Versions []struct{ GroupVersion string }
		}
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("reading the cluster's kinds: %w", err)
	}
	versions := list.Versions
	for _, g := range list.Groups {
		for _, v := range g.Versions {
			versions = append(versions, v.GroupVersion)
		}
	}
	var all []Resource
	for _, v := range versions {
		body, err := d.client.raw.Get().AbsPath(path, v).Do(ctx).Raw()
		if err != nil {
			// An aggregated API whose own server is down must not stop those that work.
			continue
		}
		part, err := parsePlain(body)
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
	}
	return all, nil
}

func parsePlain(body []byte) ([]Resource, error) {
	var list struct {
		GroupVersion string
		Resources    []struct {
			Name, Kind, SingularName string
			Namespaced               bool
			Verbs, ShortNames        []string
		}
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("reading the cluster's kinds: %w", err)
	}
	gv, err := schema.ParseGroupVersion(list.GroupVersion)
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's kinds: %w", err)
	}
	status := map[string]bool{}
	var all []Resource
	for _, r := range list.Resources {
		if name, sub, isSub := strings.Cut(r.Name, "/"); isSub {
			status[name] = status[name] || sub == "status"
			continue
		}
		all = append(all, Resource{Group: gv.Group, Version: gv.Version, Kind: r.Kind, Name: r.Name, Namespaced: r.Namespaced, Verbs: r.Verbs,
			Singular: r.SingularName, Short: r.ShortNames})
	}
	for i := range all {
		all[i].Status = status[all[i].Name]
	}
	return all, nil
}

// readCache gives nil when there is nothing that can be trusted.
func readCache(file string) []Resource {
	if file == "" {
		return nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var all []Resource
	if json.Unmarshal(raw, &all) != nil {
		return nil
	}
	return all
}

// writeCache replaces the file at once, so that a reader sees the old or the new one. A cache that cannot be written only
// costs time.
func writeCache(file string, all []Resource) {
	if file == "" || os.MkdirAll(filepath.Dir(file), 0o755) != nil {
		return
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".discovery-*")
	if err != nil {
		return
	}
	_, err = tmp.Write(raw)
	if closeErr := tmp.Close(); err != nil || closeErr != nil || os.Rename(tmp.Name(), file) != nil {
		_ = os.Remove(tmp.Name())
	}
}
