// Package chart reads Helm charts and works out their values: which subcharts take part, and what each of them sees.
//
// It follows Helm's behaviour without linking Helm: every package of Helm's own library brings client-go's generated API scheme and a
// compiler of JSON schemas along, which cost each start of the program more than all the rest of it (docs/helm.md has the figures).
package chart

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/yaml"
)

// File is a file of a chart, named from the chart's root with slashes.
type File struct {
	Name string `json:"name"`
	Data []byte `json:"data"`
}

// Chart is a chart with its subcharts. Its JSON form is the one that Helm keeps in a release.
type Chart struct {
	Metadata  *Metadata      `json:"metadata"`
	Lock      *Lock          `json:"lock"`
	Templates []File         `json:"templates"`
	Values    map[string]any `json:"values"`
	Schema    []byte         `json:"schema"`
	Files     []File         `json:"files"` // all others, CRDs included

	parent *Chart
	subs   []*Chart
}

// Metadata is Chart.yaml. Templates see it as .Chart, by the names of the Go fields.
type Metadata struct {
	Name         string            `json:"name,omitempty"`
	Home         string            `json:"home,omitempty"`
	Sources      []string          `json:"sources,omitempty"`
	Version      string            `json:"version,omitempty"`
	Description  string            `json:"description,omitempty"`
	Keywords     []string          `json:"keywords,omitempty"`
	Maintainers  []*Maintainer     `json:"maintainers,omitempty"`
	Icon         string            `json:"icon,omitempty"`
	APIVersion   string            `json:"apiVersion,omitempty"`
	Condition    string            `json:"condition,omitempty"`
	Tags         string            `json:"tags,omitempty"`
	AppVersion   string            `json:"appVersion,omitempty"`
	Deprecated   bool              `json:"deprecated,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	KubeVersion  string            `json:"kubeVersion,omitempty"`
	Dependencies []*Dependency     `json:"dependencies,omitempty"`
	Type         string            `json:"type,omitempty"`
}

// Maintainer is one of a chart's people.
type Maintainer struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
	URL   string `json:"url,omitempty"`
}

// Dependency is a chart that another one wants.
type Dependency struct {
	Name         string   `json:"name" yaml:"name"`
	Version      string   `json:"version,omitempty" yaml:"version,omitempty"` // a range
	Repository   string   `json:"repository" yaml:"repository"`
	Condition    string   `json:"condition,omitempty" yaml:"condition,omitempty"`
	Tags         []string `json:"tags,omitempty" yaml:"tags,omitempty"`
	Enabled      bool     `json:"enabled,omitempty" yaml:"enabled,omitempty"`
	ImportValues []any    `json:"import-values,omitempty" yaml:"import-values,omitempty"`
	Alias        string   `json:"alias,omitempty" yaml:"alias,omitempty"`
}

// Lock is Chart.lock: the versions that the ranges of the dependencies came to.
type Lock struct {
	Generated    string        `json:"generated"`
	Digest       string        `json:"digest"`
	Dependencies []*Dependency `json:"dependencies"`
}

// Name is the chart's name, or its alias where it is a subchart.
func (c *Chart) Name() string { return c.Metadata.Name }

// Subcharts are the charts below this one.
func (c *Chart) Subcharts() []*Chart { return c.subs }

// IsRoot says that the chart is not a subchart.
func (c *Chart) IsRoot() bool { return c.parent == nil }

// IsLibrary says that the chart has nothing to install by itself.
func (c *Chart) IsLibrary() bool { return c.Metadata.Type == "library" }

// FullPath is "parent/charts/child", by which templates are known.
func (c *Chart) FullPath() string {
	if c.parent == nil {
		return c.Name()
	}
	return path.Join(c.parent.FullPath(), "charts", c.Name())
}

// CRDs are the files of the chart's crds folders, in the order in which they are installed: its own first.
func (c *Chart) CRDs() []File {
	var crds []File
	for _, f := range c.Files {
		if strings.HasPrefix(f.Name, "crds/") && isManifest(f.Name) {
			crds = append(crds, File{Name: path.Join(c.FullPath(), f.Name), Data: f.Data})
		}
	}
	for _, sub := range c.subs {
		crds = append(crds, sub.CRDs()...)
	}
	return crds
}

func isManifest(name string) bool {
	switch path.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

func (c *Chart) setSubs(subs []*Chart) {
	c.subs = subs
	for _, s := range subs {
		s.parent = c
	}
}

// build makes a chart of its files.
func build(files []File) (*Chart, error) {
	c := &Chart{}
	for _, f := range files {
		if f.Name == "Chart.yaml" {
			c.Metadata = &Metadata{}
			if err := yaml.Unmarshal(f.Data, c.Metadata); err != nil {
				return nil, fmt.Errorf("file Chart.yaml: %w", err)
			}
		}
	}
	if c.Metadata == nil {
		return nil, errors.New("file Chart.yaml is missing")
	}
	if c.Metadata.APIVersion == "" {
		c.Metadata.APIVersion = "v1"
	}
	below := map[string][]File{}
	var names []string
	for _, f := range files {
		name, inCharts := strings.CutPrefix(f.Name, "charts/")
		if !inCharts || path.Ext(name) == ".prov" {
			if err := c.add(f); err != nil {
				return nil, fmt.Errorf("%s: %w", f.Name, err)
			}
			continue
		}
		sub, _, _ := strings.Cut(name, "/")
		if _, known := below[sub]; !known {
			names = append(names, sub)
		}
		below[sub] = append(below[sub], File{Name: name, Data: f.Data})
	}
	if err := c.Metadata.check(); err != nil {
		return nil, fmt.Errorf("file Chart.yaml: %w", err)
	}
	var subs []*Chart
	for _, name := range names {
		sub, err := buildSub(name, below[name])
		if err != nil {
			return nil, fmt.Errorf("charts/%s: %w", name, err)
		}
		if sub != nil {
			subs = append(subs, sub)
		}
	}
	c.setSubs(subs)
	return c, nil
}

func buildSub(name string, files []File) (*Chart, error) {
	if strings.IndexAny(name, "_.") == 0 {
		return nil, nil // private: not a chart
	}
	if path.Ext(name) == ".tgz" && files[0].Name == name {
		return FromArchive(files[0].Data)
	}
	var own []File
	for _, f := range files {
		if inside, ok := strings.CutPrefix(f.Name, name+"/"); ok {
			own = append(own, File{Name: inside, Data: f.Data})
		}
	}
	return build(own)
}

// add puts a file where it belongs.
func (c *Chart) add(f File) (err error) {
	switch {
	case f.Name == "Chart.yaml":
	case f.Name == "Chart.lock":
		c.Lock = &Lock{}
		return yaml.Unmarshal(f.Data, c.Lock)
	case f.Name == "values.yaml":
		c.Values, err = ParseValues(f.Data)
		return err
	case f.Name == "values.schema.json":
		c.Schema = f.Data
	case f.Name == "requirements.yaml": // of charts of apiVersion v1
		if err := yaml.Unmarshal(f.Data, c.Metadata); err != nil {
			return err
		}
		c.addOld(f)
	case f.Name == "requirements.lock":
		c.Lock = &Lock{}
		if err := yaml.Unmarshal(f.Data, c.Lock); err != nil {
			return err
		}
		c.addOld(f)
	case strings.HasPrefix(f.Name, "templates/"):
		c.Templates = append(c.Templates, f)
	default:
		c.Files = append(c.Files, f)
	}
	return nil
}

func (c *Chart) addOld(f File) {
	if c.Metadata.APIVersion == "v1" {
		c.Files = append(c.Files, f)
	}
}

func (m *Metadata) check() error {
	switch {
	case m.APIVersion != "v1" && m.APIVersion != "v2":
		return fmt.Errorf("apiVersion must be v1 or v2, not %q", m.APIVersion)
	case m.Name == "":
		return errors.New("name is missing")
	case m.Name == "." || m.Name == ".." || strings.ContainsAny(m.Name, `/\`):
		return fmt.Errorf("%q cannot be a chart's name", m.Name)
	case m.Version == "":
		return errors.New("version is missing")
	case m.Type != "" && m.Type != "application" && m.Type != "library":
		return fmt.Errorf("type must be application or library, not %q", m.Type)
	}
	known := map[string]bool{}
	for _, d := range m.Dependencies {
		if d == nil {
			return errors.New("dependencies: an entry is empty")
		}
		name := d.Name
		if d.Alias != "" {
			name = d.Alias
		}
		if known[name] {
			return fmt.Errorf("dependencies: %s is there twice: give one of them an alias", name)
		}
		known[name] = true
	}
	return nil
}
