// Package engine expands the templates of Helm charts: Go's templates with the functions of sprig and those that Helm adds.
package engine

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"text/template"

	"github.com/davit-dev/davit/internal/render/helm/chart"
)

// Options is what templates may ask for besides their values.
type Options struct {
	Release      Release
	Capabilities *Capabilities
	// Lookup answers the function lookup out of a cluster, with an empty map for what is not there; nil finds nothing.
	Lookup func(ctx context.Context, apiVersion, kind, namespace, name string) (map[string]any, error)
	// DNS lets getHostByName ask the network; without it, it gives an empty text.
	DNS bool
}

// Release is .Release.
type Release struct {
	Name, Namespace string
	Upgrade         bool // an upgrade rather than an install
	Revision        int
}

// Render expands all templates of a chart and its subcharts over values, which Coalesce made. The texts come under the templates' full
// paths, mychart/charts/sub/templates/a.yaml; partials are left out. The error is an *[Error] where a template is at fault.
func Render(ctx context.Context, c *chart.Chart, values map[string]any, o Options) (map[string]string, error) {
	pages := map[string]page{}
	scope(c, values, o, pages)
	set := &set{ctx: ctx, options: o, depth: map[string]int{}}
	set.funcs = set.functions()
	root := template.New("").Option("missingkey=zero").Funcs(set.funcs).Funcs(set.late(nil))
	bare, err := root.Clone()
	if err != nil {
		return nil, err
	}
	set.bare = bare
	root.Funcs(set.late(root))
	names := slices.SortedFunc(maps.Keys(pages), deepestFirst)
	for _, name := range names {
		if _, err := root.New(name).Parse(pages[name].text); err != nil {
			return nil, explain(name, err)
		}
	}
	out := make(map[string]string, len(names))
	for _, name := range names {
		if strings.HasPrefix(path.Base(name), "_") {
			continue
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		data := pages[name].data
		data["Template"] = map[string]any{"Name": name, "BasePath": pages[name].base}
		text, err := execute(root, name, data)
		if err != nil {
			return nil, explain(name, err)
		}
		out[name] = text
	}
	return out, nil
}

// execute expands one template. Go writes <no value> for what is not there; charts count on an empty text.
func execute(t *template.Template, name string, data any) (text string, err error) {
	defer func() {
		if r := recover(); r != nil { // must functions give up by panicking
			err = fmt.Errorf("template: %s: %v", name, r)
		}
	}()
	var b strings.Builder
	if err := t.ExecuteTemplate(&b, name, data); err != nil {
		return "", err
	}
	return strings.ReplaceAll(b.String(), "<no value>", ""), nil
}

// page is a template with what it sees.
type page struct {
	text, base string
	data       map[string]any
}

// scope collects the templates of a chart and of those below, each with the values of its own chart.
func scope(c *chart.Chart, values map[string]any, o Options, pages map[string]page) map[string]any {
	below := map[string]any{}
	data := map[string]any{
		"Chart": metadata(c), "Files": newFiles(c.Files), "Release": o.Release.asMap(), "Capabilities": o.Capabilities,
		"Values": values, "Subcharts": below,
	}
	for _, sub := range c.Subcharts() {
		own, ok := values[sub.Name()].(map[string]any)
		if !ok {
			own = map[string]any{}
		}
		below[sub.Name()] = scope(sub, own, o, pages)
	}
	full := c.FullPath()
	for _, t := range c.Templates {
		if !c.IsLibrary() || strings.HasPrefix(path.Base(t.Name), "_") {
			pages[path.Join(full, t.Name)] = page{text: string(t.Data), base: path.Join(full, "templates"), data: data}
		}
	}
	return data
}

func (r Release) asMap() map[string]any {
	return map[string]any{
		"Name": r.Name, "Namespace": r.Namespace, "IsUpgrade": r.Upgrade, "IsInstall": !r.Upgrade, "Revision": r.Revision, "Service": "Helm",
	}
}

// deepestFirst is the order of parsing: what a chart defines wins over what its subcharts define under the same name.
func deepestFirst(a, b string) int {
	if d := strings.Count(b, "/") - strings.Count(a, "/"); d != 0 {
		return d
	}
	return strings.Compare(b, a)
}
