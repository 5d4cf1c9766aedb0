// Package model is the one Go form of a skaffold.yaml: the newest apiVersion, whatever version the
// file was written in.
//
// Field tags carry the YAML name, as for yaml.v3. A field tagged "oneof" holds a sealed interface;
// its cases stand in cases.go and appear in the file as fields of the surrounding object. The tag
// `eval:"path"` marks files and folders relative to the config's own folder, `eval:"template"` what is
// expanded as a Go template; both are read by package template and by path resolution.
package model

import "go.yaml.in/yaml/v3"

// Config is one document of a skaffold.yaml.
type Config struct {
	APIVersion string       `yaml:"apiVersion"`
	Kind       string       `yaml:"kind"`
	Metadata   Metadata     `yaml:"metadata,omitempty"`
	Requires   []Dependency `yaml:"requires,omitempty"`
	Pipeline   `yaml:",inline"`
	Profiles   []Profile `yaml:"profiles,omitempty"`
}

// Metadata names a config and carries what people hang on it.
type Metadata struct {
	Name        string            `yaml:"name,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

// Pipeline is what a profile can change: everything that is done.
type Pipeline struct {
	Build            Build            `yaml:"build,omitempty"`
	Test             []*TestCase      `yaml:"test,omitempty"`
	Manifests        Manifests        `yaml:"manifests,omitempty"`
	Deploy           Deploy           `yaml:"deploy,omitempty"`
	PortForward      []*PortForward   `yaml:"portForward,omitempty"`
	ResourceSelector ResourceSelector `yaml:"resourceSelector,omitempty"`
	Verify           []*VerifyCase    `yaml:"verify,omitempty"`
	CustomActions    []Action         `yaml:"customActions,omitempty"`
}

// Dependency is another config that this one needs, from the same file or elsewhere.
type Dependency struct {
	Configs        []string            `yaml:"configs,omitempty"`
	Source         Source              `yaml:",inline" oneof:"paths"`
	ActiveProfiles []ProfileDependency `yaml:"activeProfiles,omitempty"`
}

// PathSource is a file or folder on this machine, or a URL.
type PathSource string

// GitSource is a config in a git repository.
type GitSource struct {
	Repo string `yaml:"repo" required:"true"`
	Path string `yaml:"path,omitempty"`
	Ref  string `yaml:"ref,omitempty"`
	Sync *bool  `yaml:"sync,omitempty"`
}

// CloudStorageSource is a config in a Google Cloud Storage bucket.
type CloudStorageSource struct {
	Source string `yaml:"source,omitempty"`
	Path   string `yaml:"path,omitempty"`
	Sync   *bool  `yaml:"sync,omitempty"`
}

// CloudBuildRepoSource is a config in a repository connected to Google Cloud Build.
type CloudBuildRepoSource struct {
	ProjectID  string `yaml:"projectID" required:"true"`
	Region     string `yaml:"region" required:"true"`
	Connection string `yaml:"connection" required:"true"`
	Repo       string `yaml:"repo" required:"true"`
	Path       string `yaml:"path,omitempty"`
	Ref        string `yaml:"ref,omitempty"`
	Sync       *bool  `yaml:"sync,omitempty"`
}

// ProfileDependency activates a profile of a required config.
type ProfileDependency struct {
	Name        string   `yaml:"name" required:"true"`
	ActivatedBy []string `yaml:"activatedBy,omitempty"`
}

// PortForward is a port of a resource made reachable on this machine.
type PortForward struct {
	Type      string      `yaml:"resourceType,omitempty"`
	Name      string      `yaml:"resourceName,omitempty" eval:"template"`
	Namespace string      `yaml:"namespace,omitempty" eval:"template"`
	Port      IntOrString `yaml:"port,omitempty"`
	Address   string      `yaml:"address,omitempty"`
	LocalPort int         `yaml:"localPort,omitempty"`
}

// ResourceSelector says in which kinds images and labels are set.
type ResourceSelector struct {
	Allow []ResourceFilter `yaml:"allow,omitempty"`
	Deny  []ResourceFilter `yaml:"deny,omitempty"`
}

// ResourceFilter names a kind and where in it images, labels and pod specs are.
type ResourceFilter struct {
	GroupKind string   `yaml:"groupKind" required:"true"`
	Image     []string `yaml:"image,omitempty"`
	Labels    []string `yaml:"labels,omitempty"`
	PodSpec   []string `yaml:"podSpec,omitempty"`
}

// Profile is a named change to a pipeline.
type Profile struct {
	Name                   string       `yaml:"name,omitempty" required:"true"`
	Activation             []Activation `yaml:"activation,omitempty"`
	RequiresAllActivations bool         `yaml:"requiresAllActivations,omitempty"`
	Patches                []Patch      `yaml:"patches,omitempty"`
	Pipeline               `yaml:",inline"`
}

// Patch is one JSON patch operation (RFC 6902, with the reference's additions).
type Patch struct {
	Op    string     `yaml:"op,omitempty"`
	Path  string     `yaml:"path,omitempty" required:"true"`
	From  string     `yaml:"from,omitempty"`
	Value *yaml.Node `yaml:"value,omitempty"`
}

// Activation is a condition under which a profile applies by itself.
type Activation struct {
	Env         string `yaml:"env,omitempty"`
	KubeContext string `yaml:"kubeContext,omitempty"`
	Command     string `yaml:"command,omitempty"`
}

// TestCase is what is tested about one image.
type TestCase struct {
	Image              string       `yaml:"image" required:"true"`
	Context            string       `yaml:"context,omitempty" eval:"path"`
	Custom             []CustomTest `yaml:"custom,omitempty"`
	StructureTests     []string     `yaml:"structureTests,omitempty" eval:"path"`
	StructureTestsArgs []string     `yaml:"structureTestsArgs,omitempty"`
}

// CustomTest is a test that a command makes.
type CustomTest struct {
	Command        string                  `yaml:"command" required:"true"`
	TimeoutSeconds int                     `yaml:"timeoutSeconds,omitempty"`
	Dependencies   *CustomTestDependencies `yaml:"dependencies,omitempty"`
}

// CustomTestDependencies are the files a custom test depends on, listed or printed by a command.
type CustomTestDependencies struct {
	Command string   `yaml:"command,omitempty" exclusive:"dependency"`
	Paths   []string `yaml:"paths,omitempty" exclusive:"dependency"`
	Ignore  []string `yaml:"ignore,omitempty"`
}

// Action is a custom action: containers run together on request.
type Action struct {
	Name          string        `yaml:"name" required:"true"`
	FailFast      *bool         `yaml:"failFast,omitempty"`
	Timeout       *int          `yaml:"timeout,omitempty"`
	ExecutionMode ExecutionMode `yaml:"executionMode,omitempty"`
	Containers    []Container   `yaml:"containers" required:"true"`
}

// VerifyCase is a container that must end well after the deployment.
type VerifyCase struct {
	Name          string        `yaml:"name" required:"true"`
	Timeout       *int          `yaml:"timeout,omitempty"`
	Container     Container     `yaml:"container" required:"true"`
	ExecutionMode ExecutionMode `yaml:"executionMode,omitempty"`
}

// ExecutionMode says where a verify test or an action runs. Both may be given; the reference then
// takes the cluster.
type ExecutionMode struct {
	Local             *LocalExecution   `yaml:"local,omitempty"`
	KubernetesCluster *ClusterExecution `yaml:"kubernetesCluster,omitempty"`
}

// LocalExecution runs containers in the local Docker Engine.
type LocalExecution struct {
	UseLocalImages bool `yaml:"useLocalImages,omitempty"`
}

// ClusterExecution runs containers as Kubernetes jobs.
type ClusterExecution struct {
	Overrides       string `yaml:"overrides,omitempty"`
	JobManifestPath string `yaml:"jobManifestPath,omitempty"`
}

// Container is a container of a verify test or an action.
type Container struct {
	Name    string   `yaml:"name" required:"true"`
	Image   string   `yaml:"image" required:"true"`
	Command []string `yaml:"command,omitempty"`
	Args    []string `yaml:"args,omitempty"`
	Env     []EnvVar `yaml:"env,omitempty"`
}

// EnvVar is an environment variable of a container.
type EnvVar struct {
	Name  string `yaml:"name" required:"true"`
	Value string `yaml:"value"`
}
