package release

import (
	"cmp"
	"slices"

	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/render/helm"
)

// Deployed evaluates releases that are deployed by Helm's own ways: charts may be packaged with versions of their own, and have no flags yet.
func Deployed(x Context, releases []model.HelmRelease, global []string, path ...any) ([]helm.Release, error) {
	out, err := All(x, releases, global, nil, path...)
	if err != nil {
		return nil, err
	}
	for i, r := range releases {
		if r.Packaged == nil {
			continue
		}
		expand := func(text, field string) string {
			var value string
			if err == nil {
				value, err = x.Templates.Field(x.Config, text, nil, append(slices.Clone(path), "releases", i, "packaged", field)...)
			}
			return value
		}
		out[i].Package = &helm.Package{Version: expand(r.Packaged.Version, "version"), AppVersion: expand(r.Packaged.AppVersion, "appVersion")}
	}
	return out, err
}

// Names evaluates only what tells releases apart: what uninstalling them asks for.
func Names(x Context, releases []model.HelmRelease, global []string, path ...any) ([]helm.Release, error) {
	out := make([]helm.Release, len(releases))
	for i, r := range releases {
		var err error
		expand := func(text string, field ...any) string {
			var value string
			if err == nil {
				value, err = x.Templates.Field(x.Config, text, nil, slices.Concat(path, []any{"releases", i}, field)...)
			}
			return value
		}
		out[i] = helm.Release{Name: expand(r.Name, "name"), Global: global, Secrets: r.UseHelmSecrets}
		out[i].Namespace = cmp.Or(x.Namespace, expand(r.Namespace, "namespace"), x.Default)
		for n, name := range r.DependsOn {
			out[i].DependsOn = append(out[i].DependsOn, expand(name, "dependsOn", n))
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
