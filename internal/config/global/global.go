// Package global reads and writes the user's own settings, ~/.skaffold/config: defaults for all
// clusters and for single kube contexts.
package global

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/ynode"
)

// Settings are the values of one kube context, or those for all.
type Settings struct {
	KubeContext          string   `yaml:"kube-context,omitempty"`
	DefaultRepo          string   `yaml:"default-repo,omitempty"`
	MultiLevelRepo       *bool    `yaml:"multi-level-repo,omitempty"`
	LocalCluster         *bool    `yaml:"local-cluster,omitempty"`
	InsecureRegistries   []string `yaml:"insecure-registries,omitempty"`
	DebugHelpersRegistry string   `yaml:"debug-helpers-registry,omitempty"`
	UpdateCheck          *bool    `yaml:"update-check,omitempty"`
	KindDisableLoad      *bool    `yaml:"kind-disable-load,omitempty"`
	K3dDisableLoad       *bool    `yaml:"k3d-disable-load,omitempty"`
	CollectMetrics       *bool    `yaml:"collect-metrics,omitempty"`
}

// kind is a setting's form.
type kind int

const (
	text kind = iota
	boolean
	list
)

// Place says whose settings are changed: those of a kube context, or of all where it is empty. With Survey, their part about Skaffold's surveys is
// meant, with SurveyID that about one of them; davit asks nothing, and keeps them for Skaffold.
type Place struct {
	KubeContext string
	Survey      bool
	SurveyID    string
}

type field struct {
	Name string
	Kind kind
}

// fields are the settings that can be set there, in the order in which they are named to people.
func (p Place) fields() []field {
	switch {
	case p.Survey && p.SurveyID != "":
		return []field{{"taken", boolean}, {"id", text}}
	case p.Survey:
		return []field{{"disable-prompt", boolean}, {"last-taken", text}, {"last-prompted", text}}
	}
	return []field{
		{"default-repo", text}, {"multi-level-repo", boolean}, {"local-cluster", boolean},
		{"insecure-registries", list}, {"debug-helpers-registry", text}, {"update-check", boolean},
		{"kind-disable-load", boolean}, {"k3d-disable-load", boolean}, {"collect-metrics", boolean},
		{"kube-context", text},
	}
}

// File is the settings file. Its tree keeps what davit does not know.
type File struct {
	Path string
	tree *yaml.Node
}

// Path gives where the file is, below a home folder.
func Path(home string) string { return filepath.Join(home, ".skaffold", "config") }

// Read reads the file; one that does not exist is empty.
func Read(path string) (*File, error) {
	f := &File{Path: path, tree: ynode.Mapping(nil)}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the settings: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("reading the settings of %s: %w", path, err)
	}
	if len(doc.Content) == 0 || ynode.IsNull(doc.Content[0]) {
		return f, nil
	}
	if doc.Content[0].Kind != yaml.MappingNode {
		return nil, &diag.Error{Position: diag.Position{File: path, Line: 1, Column: 1}, Cause: "the settings must be a mapping with global and kubeContexts", Next: "mend or remove the file"}
	}
	f.tree = doc.Content[0]
	var all struct {
		Global       *Settings   `yaml:"global"`
		KubeContexts []*Settings `yaml:"kubeContexts"`
	}
	if err := f.tree.Decode(&all); err != nil {
		return nil, fmt.Errorf("reading the settings of %s: %w", path, err)
	}
	return f, nil
}

// For gives the settings that count for a kube context: its own, the rest filled from the global
// ones; insecure registries add up. No context means the global ones.
func (f *File) For(kubeContext string) Settings {
	var s Settings
	if kubeContext != "" {
		for _, n := range ynode.Items(ynode.Get(f.tree, "kubeContexts")) {
			if matches(n, kubeContext) {
				s = decode(n)
			}
		}
		s.KubeContext = kubeContext
	}
	g := decode(ynode.Get(f.tree, "global"))
	fill(&s.DefaultRepo, g.DefaultRepo)
	fill(&s.DebugHelpersRegistry, g.DebugHelpersRegistry)
	s.InsecureRegistries = append(s.InsecureRegistries, g.InsecureRegistries...)
	fill(&s.MultiLevelRepo, g.MultiLevelRepo)
	fill(&s.LocalCluster, g.LocalCluster)
	fill(&s.UpdateCheck, g.UpdateCheck)
	fill(&s.KindDisableLoad, g.KindDisableLoad)
	fill(&s.K3dDisableLoad, g.K3dDisableLoad)
	fill(&s.CollectMetrics, g.CollectMetrics)
	return s
}

// decode cannot fail for a file that Read accepted.
func decode(n *yaml.Node) (s Settings) {
	if n != nil && n.Decode(&s) != nil {
		return Settings{}
	}
	return s
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// matches compares an entry's kube-context with a name: equal, or a regular expression found in it; "!" in front
// turns the answer round.
func matches(n *yaml.Node, kubeContext string) bool {
	name := ynode.Get(n, "kube-context")
	if name == nil {
		return kubeContext == ""
	}
	pattern, negated := strings.CutPrefix(name.Value, "!")
	hit := pattern == kubeContext
	if re, err := regexp.Compile(pattern); !hit && err == nil {
		hit = re.MatchString(kubeContext)
	}
	return hit != negated
}

// section gives the settings of a context (empty: the global ones), making them where asked to.
func (f *File) section(kubeContext string, create bool) *yaml.Node {
	if kubeContext == "" {
		if create {
			return ynode.Child(f.tree, "global", nil)
		}
		return ynode.Get(f.tree, "global")
	}
	contexts := ynode.Get(f.tree, "kubeContexts")
	for _, n := range ynode.Items(contexts) {
		if matches(n, kubeContext) {
			return n
		}
	}
	if !create {
		return nil
	}
	if ynode.IsNull(contexts) || contexts.Kind != yaml.SequenceNode {
		contexts = ynode.Sequence(nil)
		ynode.Set(f.tree, "kubeContexts", contexts)
	}
	contexts.Style = 0
	n := ynode.Mapping(nil)
	ynode.Set(n, "kube-context", ynode.String(kubeContext, nil))
	contexts.Content = append(contexts.Content, n)
	return n
}

// place gives the settings of a place, making them where asked to.
func (f *File) place(p Place, create bool) *yaml.Node {
	section := f.section(p.KubeContext, create)
	if section == nil || !p.Survey {
		return section
	}
	child := func(n *yaml.Node, name string, empty func(*yaml.Node) *yaml.Node) *yaml.Node {
		found := ynode.Get(n, name)
		if create && ynode.IsNull(found) {
			found = empty(nil)
			ynode.Set(n, name, found)
		}
		return found
	}
	mapping := func(at *yaml.Node) *yaml.Node { return ynode.Mapping(at) }
	survey := child(section, "survey", mapping)
	if survey == nil || p.SurveyID == "" {
		return survey
	}
	surveys := child(survey, "user-surveys", func(at *yaml.Node) *yaml.Node { return ynode.Sequence(at) })
	for _, n := range ynode.Items(surveys) {
		if id := ynode.Get(n, "id"); id != nil && id.Value == p.SurveyID {
			return n
		}
	}
	if !create {
		return nil
	}
	n := ynode.Mapping(nil)
	ynode.Set(n, "id", ynode.String(p.SurveyID, nil))
	surveys.Content = append(surveys.Content, n)
	return n
}

// Set changes one setting. A list gets one value more, an empty value takes the setting away.
func (f *File) Set(p Place, name, value string) error {
	k, err := p.find(name)
	if err != nil {
		return err
	}
	if value == "" {
		return f.Unset(p, name)
	}
	switch k {
	case boolean:
		b, err := strconv.ParseBool(value)
		if err != nil {
			return &diag.Error{Cause: fmt.Sprintf("%q is not a value for %s", value, name), Next: "write true or false"}
		}
		ynode.Set(f.place(p, true), name, ynode.Bool(b, nil))
	case list:
		section := f.place(p, true)
		if values := ynode.Get(section, name); values != nil && values.Kind == yaml.SequenceNode {
			values.Content = append(values.Content, ynode.String(value, nil))
		} else {
			ynode.Set(section, name, ynode.Sequence(nil, ynode.String(value, nil)))
		}
	default:
		n := &yaml.Node{}
		n.SetString(value)
		ynode.Set(f.place(p, true), name, n)
	}
	return nil
}

// Unset takes a setting away.
func (f *File) Unset(p Place, name string) error {
	if _, err := p.find(name); err != nil {
		return err
	}
	if section := f.place(p, false); section != nil {
		ynode.Take(section, name)
	}
	return nil
}

func (p Place) find(name string) (kind, error) {
	var names []string
	for _, f := range p.fields() {
		if f.Name == name {
			return f.Kind, nil
		}
		names = append(names, f.Name)
	}
	next := "settings are: " + strings.Join(names, ", ")
	if near := diag.Nearest(name, names); near != "" {
		next = fmt.Sprintf("did you mean %q?", near)
	}
	return 0, &diag.Error{Cause: fmt.Sprintf("%q is not a setting", name), Next: next}
}

// List writes the settings of a context as YAML (empty: the global ones); nil where there are none.
func (f *File) List(kubeContext string) ([]byte, error) {
	section := f.section(kubeContext, false)
	if section == nil {
		return nil, nil
	}
	return encode(section)
}

// ListAll writes the whole file as YAML; nil where it is empty.
func (f *File) ListAll() ([]byte, error) {
	if len(f.tree.Content) == 0 {
		return nil, nil
	}
	return encode(f.tree)
}

func encode(n *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err := errors.Join(e.Encode(n), e.Close())
	return b.Bytes(), err
}

// Write saves the file, whole or not at all, and makes its folder where needed.
func (f *File) Write() error {
	data, err := encode(f.tree)
	if err != nil {
		return fmt.Errorf("writing the settings: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o700); err != nil {
		return fmt.Errorf("writing the settings: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(f.Path), ".config-*")
	if err != nil {
		return fmt.Errorf("writing the settings: %w", err)
	}
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), f.Path)
	}
	if err != nil {
		return fmt.Errorf("writing the settings: %w", errors.Join(err, os.Remove(tmp.Name())))
	}
	return nil
}
