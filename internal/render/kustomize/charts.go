package kustomize

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/render/helm"
	"github.com/davit-dev/davit/internal/render/helm/chart"
)

// inflate renders the charts of a kustomization in dir with davit's own Helm. The library would run the helm command; what it gets instead
// are resources in files that are nowhere on the disk. It gives their names.
func (f *files) inflate(dir string, k *types.Kustomization) (resources []string, err error) {
	globals := types.HelmGlobals{}
	if k.HelmGlobals != nil {
		globals = *k.HelmGlobals
	}
	if globals.ChartHome == "" {
		globals.ChartHome = types.HelmDefaultHome
	}
	if !filepath.IsAbs(globals.ChartHome) {
		globals.ChartHome = filepath.Join(dir, globals.ChartHome)
	}
	for i, c := range k.HelmCharts {
		if c.Namespace == "" {
			c.Namespace = k.Namespace
		}
		text, err := f.template(dir, globals.ChartHome, c)
		if err != nil {
			return nil, fmt.Errorf("helmCharts %s: %w", c.Name, err)
		}
		if len(text) == 0 {
			continue
		}
		name := fmt.Sprintf("helm chart %d %s", i+1, c.Name)
		f.made[filepath.Join(dir, name)] = text
		resources = append(resources, name)
	}
	return resources, nil
}

func (f *files) template(dir, home string, c types.HelmChart) ([]byte, error) {
	r := helm.Release{Name: c.ReleaseName, Namespace: c.Namespace, Version: c.Version, Repo: c.Repo, SkipTests: c.SkipTests, SkipDependencies: true}
	if r.Name == "" {
		r.Name = "release-name" // the helm command would make one up, another one each time
	}
	if r.Namespace == "" {
		r.Namespace = f.namespace
	}
	if r.Namespace == "" {
		r.Namespace = "default"
	}
	if c.NameTemplate != "" {
		return nil, errors.New("nameTemplate is not possible here: set releaseName, or name the helm command with --helm-command helm")
	}
	if c.Repo != "" && c.Version != "" {
		home = filepath.Join(home, c.Name+"-"+c.Version)
	}
	if r.Chart = filepath.Join(home, c.Name); !f.IsDir(r.Chart) {
		if c.Repo == "" {
			return nil, fmt.Errorf("there is no chart at %s, and no repo to get it from", r.Chart)
		}
		r.Chart, r.Remote = c.Name, true
	}
	values, err := f.values(dir, c, r)
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp("", "davit-kustomize-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	file := filepath.Join(tmp, "values.yaml")
	text, err := yaml.Marshal(values)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		return nil, err
	}
	r.ValuesFiles = []string{file}
	for _, more := range c.AdditionalValuesFiles {
		r.ValuesFiles = append(r.ValuesFiles, filepath.Join(dir, filepath.FromSlash(more)))
	}
	r.Flags = f.helm.flags(c)
	rendered, err := helm.Render(f.ctx, r, f.options.Helm, f.sink)
	if err != nil {
		return nil, err
	}
	objects, err := rendered.Template()
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		manifest.Annotate(o, konfig.HelmGeneratedAnnotation, "true") // so that the library leaves the namespace to the chart
	}
	var out bytes.Buffer
	err = manifest.Write(&out, objects)
	return out.Bytes(), err
}

// values are those of the values file and those that stand in the kustomization, of which valuesMerge says who wins.
func (f *files) values(dir string, c types.HelmChart, r helm.Release) (map[string]any, error) {
	inline := maps.Clone(c.ValuesInline)
	if c.ValuesMerge == "replace" {
		return inline, nil
	}
	var file map[string]any
	switch {
	case c.ValuesFile != "":
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(c.ValuesFile)))
		if err == nil {
			file, err = chart.ParseValues(data)
		}
		if err != nil {
			return nil, fmt.Errorf("valuesFile: %w", err)
		}
	case c.ValuesMerge == "merge" && r.Remote:
		return nil, errors.New("valuesMerge: merge needs a valuesFile, or the chart in the charts folder")
	case c.ValuesMerge == "merge":
		own, err := chart.Load(r.Chart)
		if err != nil {
			return nil, err
		}
		file = own.Values
	}
	if c.ValuesMerge == "merge" {
		return chart.Merge(inline, file), nil
	}
	return withoutNulls(chart.Merge(file, inline)), nil
}

// withoutNulls leaves out what is null: in a kustomization it takes a value out of the values file, and not out of the chart.
func withoutNulls(values map[string]any) map[string]any {
	out := make(map[string]any, len(values))
	for k, v := range values {
		if below, ok := v.(map[string]any); ok {
			out[k] = withoutNulls(below)
		} else if v != nil {
			out[k] = v
		}
	}
	return out
}

// flags are those of helm for a chart. What the command line says wins.
func (h helmSettings) flags(c types.HelmChart) []string {
	var flags []string
	if c.IncludeCRDs {
		flags = append(flags, "--include-crds")
	}
	if c.SkipHooks {
		flags = append(flags, "--no-hooks")
	}
	if c.Devel {
		flags = append(flags, "--devel")
	}
	version, apis := c.KubeVersion, c.ApiVersions
	if h.kubeVersion != "" {
		version = h.kubeVersion
	}
	if len(h.apiVersions) > 0 {
		apis = h.apiVersions
	}
	if version != "" {
		flags = append(flags, "--kube-version", version)
	}
	for _, api := range apis {
		flags = append(flags, "--api-versions", api)
	}
	return flags
}

// CleanedAbs knows the files that were made, too.
func (f *files) CleanedAbs(path string) (filesys.ConfirmedDir, string, error) {
	if _, made := f.made[path]; made {
		return filesys.ConfirmedDir(filepath.Dir(path)), filepath.Base(path), nil
	}
	return f.FileSystem.CleanedAbs(path)
}
