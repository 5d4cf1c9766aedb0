// Package inspect answers the questions that editors ask about a configuration, in the JSON shapes that
// Skaffold's `inspect` commands have.
package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/model"
)

// Module is a config by name.
type Module struct {
	Name     string `json:"name"`
	Path     string `json:"path"`
	IsRemote bool   `json:"isRemote,omitempty"`
	IsRoot   bool   `json:"isRoot,omitempty"`
}

// ModuleList is the answer of Modules.
type ModuleList struct {
	Modules []Module `json:"modules"`
}

// Modules lists the configs that have a name; with all, the others too, as __config_0 and so on.
func Modules(configs []*config.Config, all bool) ModuleList {
	list := ModuleList{Modules: []Module{}}
	for _, c := range configs {
		name := c.Name
		if name == "" && all {
			name = fmt.Sprintf("__config_%d", c.Index)
		}
		if name != "" {
			list.Modules = append(list.Modules, Module{Name: name, Path: c.File, IsRemote: c.Remote, IsRoot: !c.Required})
		}
	}
	return list
}

// Profile is a profile and where it is defined.
type Profile struct {
	Name   string `json:"name"`
	Path   string `json:"path"`
	Module string `json:"module,omitempty"`
}

// ProfileList is the answer of Profiles.
type ProfileList struct {
	Profiles []Profile `json:"profiles"`
}

// Profiles lists all profiles, or those that build in an environment: local (which is also what a profile without one
// counts as), googleCloudBuild or cluster.
func Profiles(configs []*config.Config, environment string) ProfileList {
	list := ProfileList{Profiles: []Profile{}}
	for _, c := range configs {
		for _, p := range c.Model.Profiles {
			if environment == "" || environmentName(p.Build.Environment) == environment {
				list.Profiles = append(list.Profiles, Profile{Name: p.Name, Path: c.File, Module: c.Name})
			}
		}
	}
	return list
}

func environmentName(e model.Environment) string {
	if e == nil {
		return "local"
	}
	return model.Name(e)
}

// BuildEnv says where a config builds.
type BuildEnv struct {
	Type   string `json:"type"`
	Path   string `json:"path"`
	Module string `json:"module,omitempty"`
}

// BuildEnvList is the answer of BuildEnvs.
type BuildEnvList struct {
	BuildEnvs []BuildEnv `json:"build_envs"`
}

// BuildEnvs says of each config where it builds.
func BuildEnvs(configs []*config.Config) BuildEnvList {
	list := BuildEnvList{BuildEnvs: []BuildEnv{}}
	for _, c := range configs {
		list.BuildEnvs = append(list.BuildEnvs, BuildEnv{Type: environmentName(c.Model.Build.Environment), Path: c.File, Module: c.Name})
	}
	return list
}

// CustomTest is a test that a command makes. Its capitals are Skaffold's.
type CustomTest struct {
	TestType       string `json:"testType"`
	Command        string
	TimeoutSeconds int
	Dependencies   *CustomTestDependencies
}

// CustomTestDependencies are the files a custom test depends on.
type CustomTestDependencies struct {
	Command string
	Paths   []string
	Ignore  []string
}

// StructureTest is one file of structure tests.
type StructureTest struct {
	TestType          string   `json:"testType"`
	StructureTest     string   `json:"structureTest"`
	StructureTestArgs []string `json:"structureTestArgs"`
}

// TestList is the answer of Tests: *CustomTest and *StructureTest values.
type TestList struct {
	Tests []any `json:"tests"`
}

// Tests lists the tests of all configs.
func Tests(configs []*config.Config) TestList {
	list := TestList{Tests: []any{}}
	for _, c := range configs {
		for _, t := range c.Model.Test {
			if t == nil {
				continue
			}
			for _, custom := range t.Custom {
				entry := &CustomTest{TestType: "custom-test", Command: custom.Command, TimeoutSeconds: custom.TimeoutSeconds}
				if d := custom.Dependencies; d != nil {
					entry.Dependencies = &CustomTestDependencies{Command: d.Command, Paths: d.Paths, Ignore: d.Ignore}
				}
				list.Tests = append(list.Tests, entry)
			}
			for _, file := range t.StructureTests {
				list.Tests = append(list.Tests, &StructureTest{TestType: "structure-test", StructureTest: file, StructureTestArgs: t.StructureTestsArgs})
			}
		}
	}
	return list
}

// ExecutionModeList says where verify tests and custom actions run: local or kubernetesCluster.
type ExecutionModeList struct {
	Verify        map[string]string `json:"verifyExecutionModes"`
	CustomActions map[string]string `json:"customActionsExecutionModes"`
}

// ExecutionModes says where verify tests and custom actions run.
func ExecutionModes(configs []*config.Config) ExecutionModeList {
	list := ExecutionModeList{Verify: map[string]string{}, CustomActions: map[string]string{}}
	mode := func(m model.ExecutionMode) string {
		if m.KubernetesCluster != nil {
			return "kubernetesCluster"
		}
		return "local"
	}
	eachMode(configs,
		func(name string, m model.ExecutionMode) { list.Verify[name] = mode(m) },
		func(name string, m model.ExecutionMode) { list.CustomActions[name] = mode(m) })
	return list
}

// JobManifestPathList gives the job manifests of verify tests and custom actions.
type JobManifestPathList struct {
	Verify        map[string]string `json:"verifyJobManifestPaths"`
	CustomActions map[string]string `json:"customActionJobManifestPaths"`
}

// JobManifestPaths gives the job manifests of verify tests and custom actions that have one.
func JobManifestPaths(configs []*config.Config) JobManifestPathList {
	list := JobManifestPathList{Verify: map[string]string{}, CustomActions: map[string]string{}}
	into := func(paths map[string]string) func(string, model.ExecutionMode) {
		return func(name string, m model.ExecutionMode) {
			if m.KubernetesCluster != nil && m.KubernetesCluster.JobManifestPath != "" {
				paths[name] = m.KubernetesCluster.JobManifestPath
			}
		}
	}
	eachMode(configs, into(list.Verify), into(list.CustomActions))
	return list
}

func eachMode(configs []*config.Config, verify, action func(name string, m model.ExecutionMode)) {
	for _, c := range configs {
		for _, v := range c.Model.Verify {
			if v != nil {
				verify(v.Name, v.ExecutionMode)
			}
		}
		for _, a := range c.Model.CustomActions {
			action(a.Name, a.ExecutionMode)
		}
	}
}

// Resource is an object and its namespace.
type Resource struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

// NamespaceList gives, by kind, the namespaces that objects go to.
type NamespaceList struct {
	Resources map[string][]Resource `json:"resourceToInfoMap"`
}

// Namespaces says to which namespace the Deployments of a manifest go: their own, else the one of the kubectl
// deployer's flags, else its default, else default.
func Namespaces(configs []*config.Config, manifest []byte) (NamespaceList, error) {
	list := NamespaceList{Resources: map[string][]Resource{}}
	namespace := "default"
	flag := ""
	for _, c := range configs {
		k := c.Model.Deploy.Kubectl
		if k == nil {
			continue
		}
		if k.DefaultNamespace != nil && *k.DefaultNamespace != "" {
			namespace = *k.DefaultNamespace
		}
		for _, flags := range [][]string{k.Flags.Global, k.Flags.Apply} {
			if n := namespaceFlag(flags); n != "" {
				flag = n
			}
		}
	}
	if flag != "" {
		namespace = flag
	}
	decoder := yaml.NewDecoder(bytes.NewReader(manifest))
	for {
		var object struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string
			Metadata   struct{ Name, Namespace string }
		}
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return list, fmt.Errorf("reading the manifest: %w", err)
		}
		if object.APIVersion != "apps/v1" || object.Kind != "Deployment" {
			continue
		}
		r := Resource{Name: object.Metadata.Name, Namespace: object.Metadata.Namespace}
		if r.Namespace == "" {
			r.Namespace = namespace
		}
		const kind = "apps/v1, Kind=Deployment"
		list.Resources[kind] = append(list.Resources[kind], r)
	}
}

// namespaceFlag finds -n and --namespace among flags, as kubectl takes them.
func namespaceFlag(flags []string) string {
	for i, f := range flags {
		if (f == "-n" || f == "--namespace") && i+1 < len(flags) {
			return flags[i+1]
		}
		for _, prefix := range []string{"-n=", "--namespace="} {
			if value, found := strings.CutPrefix(f, prefix); found {
				return value
			}
		}
	}
	return ""
}
