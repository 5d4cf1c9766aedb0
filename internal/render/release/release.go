// Package release evaluates the Helm releases of a config: templates expanded, paths made absolute, values as they were written.
package release

import (
	"cmp"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/config/template"
	"github.com/davit-dev/davit/internal/render/helm"
)

// Context is what releases are evaluated in.
type Context struct {
	Config    *config.Config
	Templates *template.Expander
	Images    map[string]string // variables of built images, of [template.Images]; nil before the build
	Home      string            // what ~ stands for
	// Namespace is that of the command line, which wins over the releases' own; Default is for releases that have none.
	Namespace, Default string
	// Overrides are values set for all releases: --set of render.
	Overrides map[string]string
}

// All evaluates the releases of manifests.helm, whose path is "manifests", "helm". flags says which of the flags are meant: those of
// `helm template` when it renders.
func All(x Context, releases []model.HelmRelease, global, flags []string, path ...any) ([]helm.Release, error) {
	out := make([]helm.Release, len(releases))
	for i, r := range releases {
		var err error
		if out[i], err = x.evaluate(r, append(slices.Clone(path), "releases", i)); err != nil {
			return nil, err
		}
		out[i].Global, out[i].Flags = global, flags
		// The helm command writes dependencies beside the chart, so that a release after the one that brought them can do without.
		if slices.ContainsFunc(out[:i], func(r helm.Release) bool { return !r.Remote && !r.SkipDependencies && r.Chart == out[i].Chart }) {
			out[i].SkipDependencies = false
		}
	}
	return out, nil
}

func (x Context) evaluate(m model.HelmRelease, path []any) (r helm.Release, err error) {
	expand := func(text string, more map[string]string, field ...any) string {
		if err != nil {
			return ""
		}
		var out string
		out, err = x.Templates.Field(x.Config, text, more, append(slices.Clone(path), field...)...)
		return out
	}
	r = helm.Release{
		Name: expand(m.Name, nil, "name"), Repo: expand(m.Repo, nil, "repo"), Overrides: m.Overrides,
		SkipDependencies: m.SkipBuildDependencies, SkipTests: m.SkipTests, Secrets: m.UseHelmSecrets,
	}
	r.Namespace = cmp.Or(x.Namespace, expand(m.Namespace, nil, "namespace"), x.Default)
	if r.Chart, r.Remote = m.RemoteChart, true; m.RemoteChart == "" {
		r.Chart, r.Remote = x.file(expand(m.ChartPath, nil, "chartPath")), false
	}
	if m.Packaged == nil {
		r.Version = expand(m.Version, nil, "version")
	}
	for i, name := range m.DependsOn {
		r.DependsOn = append(r.DependsOn, expand(name, nil, "dependsOn", i))
	}
	quoted := x.Config.Quoted(append(slices.Clone(path), "setValues")...)
	for _, key := range slices.Sorted(maps.Keys(m.SetValues)) {
		value := m.SetValues[key]
		// What is not a template of ours is one of the chart's, for its function tpl.
		if out, e := x.Templates.Expand(value, nil); e == nil {
			value = out
		}
		r.Set = append(r.Set, helm.Set{Key: key, Value: value, Literal: quoted[key] && typed.MatchString(value)})
	}
	for _, key := range slices.Sorted(maps.Keys(m.SetValueTemplates)) {
		// Charts of old configs put an @ between tag and digest, and there may be no digest.
		value := strings.TrimSuffix(expand(m.SetValueTemplates[key], x.Images, "setValueTemplates", key), "@")
		r.Set = append(r.Set, helm.Set{Key: expand(key, x.Images, "setValueTemplates"), Value: value})
	}
	for _, key := range slices.Sorted(maps.Keys(x.Overrides)) {
		r.Set = append(r.Set, helm.Set{Key: key, Value: x.Overrides[key]})
	}
	for _, key := range slices.Sorted(maps.Keys(m.SetFiles)) {
		r.SetFiles = append(r.SetFiles, helm.Set{Key: key, Value: x.file(m.SetFiles[key])})
	}
	for i, file := range m.ValuesFiles {
		r.ValuesFiles = append(r.ValuesFiles, x.file(expand(file, x.Images, "valuesFiles", i)))
	}
	return r, err
}

// typed is what --set would take for something else than text.
var typed = regexp.MustCompile(`^(true|false|0|-?[1-9][0-9]*)$`)

// file makes a path absolute; addresses stay.
func (x Context) file(path string) string {
	if strings.Contains(path, "://") {
		return path
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return filepath.Join(x.Home, rest)
	}
	if path = filepath.FromSlash(path); filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(x.Config.Dir, path)
}
