package inspect

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/load"
	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/config/ynode"
)

// Error is a change that cannot be made, with the code that Skaffold gives it.
type Error struct{ Code, Message string }

func (e *Error) Error() string { return e.Message }

// Failure is how a failed command answers.
type Failure struct {
	Code    string `json:"errorCode"`
	Message string `json:"errorMessage"`
}

// Failed describes an error in the shape that editors read.
func Failed(err error) Failure {
	if e, ok := errors.AsType[*Error](err); ok {
		return Failure{Code: e.Code, Message: e.Message}
	}
	return Failure{Code: cmp.Or(diag.CodeOf(err), "INSPECT_UNKNOWN_ERR"), Message: err.Error()}
}

// Setting is a field of a build environment and its value: "push", true. A dot leads into an object.
type Setting struct {
	Field string
	Value any
}

// AddBuildEnv writes a build environment (local, googleCloudBuild or cluster) into the files of the configs: into the
// pipeline of the root configs, or, with a profile, into that profile of every config, made where it is missing and
// activated in the configs that are required by path.
func AddBuildEnv(configs []*config.Config, kind string, settings []Setting, profile string) error {
	return edit(configs, profile == "", func(c *config.Config, doc *yaml.Node) error {
		target := doc
		if profile != "" {
			target = profileNode(doc, profile, true)
		}
		build := ynode.Child(target, "build", nil)
		if existing := ynode.Get(build, kind); existing != nil && len(existing.Content) > 0 {
			return &Error{"INSPECT_BUILD_ENV_ALREADY_EXISTS_ERR", fmt.Sprintf("%s: build environment %s exists already%s: use modify, or another profile", c.File, kind, inProfile(profile))}
		}
		base := ynode.Path(doc, "build", kind)
		if ynode.IsNull(base) {
			base = ynode.Mapping(nil)
		}
		choose(build, kind, ynode.Clone(base))
		if profile != "" {
			activate(doc, profile)
		}
		return apply(ynode.Get(build, kind), settings)
	})
}

// ModifyBuildEnv changes a build environment that is there already. Where strict is off, configs without it are left
// alone.
func ModifyBuildEnv(configs []*config.Config, kind string, settings []Setting, profile string, strict bool) error {
	if profile != "" && !slices.ContainsFunc(configs, func(c *config.Config) bool { return hasProfile(c, profile) }) {
		return &Error{"INSPECT_PROFILE_NOT_FOUND_ERR", fmt.Sprintf("no config has a profile %q: use add to make it", profile)}
	}
	return edit(configs, profile == "", func(c *config.Config, doc *yaml.Node) error {
		target := doc
		if profile != "" {
			if target = profileNode(doc, profile, false); target == nil {
				return nil
			}
		}
		environment := ynode.Path(target, "build", kind)
		switch {
		case !ynode.IsNull(environment):
			return apply(environment, settings)
		case strict:
			return &Error{"INSPECT_BUILD_ENV_INCORRECT_TYPE_ERR", fmt.Sprintf("%s: there is no build environment %s%s: use add", c.File, kind, inProfile(profile))}
		}
		return nil
	})
}

func hasProfile(c *config.Config, name string) bool {
	return slices.ContainsFunc(c.Model.Profiles, func(p model.Profile) bool { return p.Name == name })
}

// AddDependencies appends to the requirements of the configs what a JSON file lists under "dependencies".
func AddDependencies(configs []*config.Config, file []byte) error {
	var list yaml.Node
	if err := yaml.Unmarshal(file, &list); err != nil || len(list.Content) != 1 {
		return fmt.Errorf("reading the dependencies: %w", errors.Join(err, errors.New("it must be a JSON object")))
	}
	var added []*yaml.Node
	for i := 0; i+1 < len(list.Content[0].Content); i += 2 {
		if strings.EqualFold(list.Content[0].Content[i].Value, "dependencies") {
			added = ynode.Items(list.Content[0].Content[i+1])
		}
	}
	return edit(configs, false, func(_ *config.Config, doc *yaml.Node) error {
		requires := ynode.Get(doc, "requires")
		if ynode.IsNull(requires) {
			requires = ynode.Sequence(nil)
			ynode.Set(doc, "requires", requires)
		}
		for _, a := range added {
			n := ynode.Clone(a)
			plain(n)
			requires.Content = append(requires.Content, n)
		}
		return nil
	})
}

// SetJobManifestPaths gives verify tests and custom actions other job manifests, by name. It changes the models, not the
// files: what it is for is printing the result.
func SetJobManifestPaths(configs []*config.Config, paths JobManifestPathList) {
	set := func(mode *model.ExecutionMode, path string) {
		if mode.KubernetesCluster == nil {
			mode.KubernetesCluster = &model.ClusterExecution{}
		}
		mode.KubernetesCluster.JobManifestPath = path
	}
	for _, c := range configs {
		for _, v := range c.Model.Verify {
			if v == nil {
				continue
			}
			if path, ok := paths.Verify[v.Name]; ok {
				set(&v.ExecutionMode, path)
			}
		}
		for i := range c.Model.CustomActions {
			if path, ok := paths.CustomActions[c.Model.CustomActions[i].Name]; ok {
				set(&c.Model.CustomActions[i].ExecutionMode, path)
			}
		}
	}
}

// edit changes the documents that the configs are made of, file by file, and writes the files once all
// changes were made. Configs from elsewhere are left alone.
func edit(configs []*config.Config, rootsOnly bool, change func(c *config.Config, doc *yaml.Node) error) error {
	files := map[string][]byte{}
	var order []string
	for _, c := range configs {
		if rootsOnly && c.Required || c.Remote || slices.Contains(order, c.File) {
			continue
		}
		text, err := os.ReadFile(c.File)
		if err != nil {
			return fmt.Errorf("reading the configuration: %w", err)
		}
		var failed error
		text, err = load.Edit(&diag.Source{File: c.File, Text: text}, func(index int, doc *yaml.Node) {
			for _, other := range configs {
				if other.File == c.File && other.Index == index {
					failed = errors.Join(failed, change(other, doc))
				}
			}
		})
		if err = errors.Join(err, failed); err != nil {
			return err
		}
		order = append(order, c.File)
		files[c.File] = text
	}
	for _, file := range order {
		if err := os.WriteFile(file, files[file], 0o644); err != nil {
			return fmt.Errorf("writing the configuration: %w", err)
		}
	}
	return nil
}

// choose makes kind the build environment.
func choose(build *yaml.Node, kind string, settings *yaml.Node) {
	for _, other := range []string{"local", "googleCloudBuild", "cluster"} {
		if other != kind {
			ynode.Take(build, other)
		}
	}
	ynode.Set(build, kind, settings)
}

func apply(environment *yaml.Node, settings []Setting) error {
	for _, s := range settings {
		target := environment
		field := s.Field
		for {
			outer, inner, nested := strings.Cut(field, ".")
			if !nested {
				break
			}
			target, field = ynode.Child(target, outer, nil), inner
		}
		var value yaml.Node
		if err := value.Encode(s.Value); err != nil {
			return fmt.Errorf("setting %s: %w", s.Field, err)
		}
		ynode.Set(target, field, &value)
	}
	environment.Style = 0
	return nil
}

// profileNode finds a profile by name; with create, it makes one.
func profileNode(doc *yaml.Node, name string, create bool) *yaml.Node {
	profiles := ynode.Get(doc, "profiles")
	for _, p := range ynode.Items(profiles) {
		if n := ynode.Get(p, "name"); n != nil && n.Value == name {
			return p
		}
	}
	if !create {
		return nil
	}
	if ynode.IsNull(profiles) {
		profiles = ynode.Sequence(nil)
		ynode.Set(doc, "profiles", profiles)
	}
	p := ynode.Mapping(nil)
	ynode.Set(p, "name", ynode.String(name, nil))
	profiles.Content = append(profiles.Content, p)
	return p
}

// activate lets a profile reach the configs that are required from this machine.
func activate(doc *yaml.Node, profile string) {
	for _, r := range ynode.Items(ynode.Get(doc, "requires")) {
		if ynode.Get(r, "git") != nil {
			continue
		}
		active := ynode.Get(r, "activeProfiles")
		if ynode.IsNull(active) {
			active = ynode.Sequence(nil)
			ynode.Set(r, "activeProfiles", active)
		}
		var entry *yaml.Node
		for _, a := range active.Content {
			if n := ynode.Get(a, "name"); n != nil && n.Value == profile {
				entry = a
			}
		}
		if entry == nil {
			entry = ynode.Mapping(nil)
			ynode.Set(entry, "name", ynode.String(profile, nil))
			active.Content = append(active.Content, entry)
		}
		by := ynode.Get(entry, "activatedBy")
		if ynode.IsNull(by) {
			by = ynode.Sequence(nil)
			ynode.Set(entry, "activatedBy", by)
		}
		if !slices.ContainsFunc(by.Content, func(n *yaml.Node) bool { return n.Value == profile }) {
			by.Content = append(by.Content, ynode.String(profile, nil))
		}
	}
}

// plain takes the quotes and braces of JSON away.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plain(c)
	}
}

func inProfile(profile string) string {
	if profile == "" {
		return ""
	}
	return fmt.Sprintf(" in profile %q", profile)
}
