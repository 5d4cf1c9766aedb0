package model

// Manifests says where manifests come from and what is done to them.
type Manifests struct {
	RawYAML         []string         `yaml:"rawYaml,omitempty" eval:"path"`
	RemoteManifests []RemoteManifest `yaml:"remoteManifests,omitempty"`
	Kustomize       *Kustomize       `yaml:"kustomize,omitempty"`
	Helm            *Helm            `yaml:"helm,omitempty"`
	Kpt             []string         `yaml:"kpt,omitempty" eval:"path"`
	Hooks           RenderHooks      `yaml:"hooks,omitempty"`
	Transform       *[]KptFunction   `yaml:"transform,omitempty"`
	Validate        *[]KptFunction   `yaml:"validate,omitempty"`
	Output          string           `yaml:"output,omitempty"`
}

// RemoteManifest is an object read from a cluster.
type RemoteManifest struct {
	Manifest    string `yaml:"manifest,omitempty"`
	KubeContext string `yaml:"kubeContext,omitempty"`
}

// Kustomize renders kustomizations.
type Kustomize struct {
	Paths     []string `yaml:"paths,omitempty" eval:"path,template"`
	BuildArgs []string `yaml:"buildArgs,omitempty"`
}

// Helm renders charts.
type Helm struct {
	Flags    HelmFlags     `yaml:"flags,omitempty"`
	Releases []HelmRelease `yaml:"releases,omitempty" required:"true"`
}

// KptFunction transforms or validates manifests.
type KptFunction struct {
	Name      string   `yaml:"name" required:"true"`
	ConfigMap []string `yaml:"configMap,omitempty"`
}

// Deploy says how manifests reach the cluster. Several deployers may be named.
type Deploy struct {
	Docker                        *DockerDeploy  `yaml:"docker,omitempty"`
	Helm                          *HelmDeploy    `yaml:"helm,omitempty"`
	Kpt                           *KptDeploy     `yaml:"kpt,omitempty"`
	Kubectl                       *KubectlDeploy `yaml:"kubectl,omitempty"`
	CloudRun                      *CloudRun      `yaml:"cloudrun,omitempty"`
	StatusCheck                   *bool          `yaml:"statusCheck,omitempty"`
	StatusCheckDeadlineSeconds    int            `yaml:"statusCheckDeadlineSeconds,omitempty"`
	TolerateFailuresUntilDeadline bool           `yaml:"tolerateFailuresUntilDeadline,omitempty"`
	KubeContext                   string         `yaml:"kubeContext,omitempty"`
	Logs                          Logs           `yaml:"logs,omitempty"`
}

// DockerDeploy runs images in the local Docker Engine.
type DockerDeploy struct {
	UseCompose bool     `yaml:"useCompose,omitempty"`
	Images     []string `yaml:"images" required:"true"`
}

// CloudRun deploys services to Google Cloud Run.
type CloudRun struct {
	ProjectID string        `yaml:"projectid,omitempty"`
	Region    string        `yaml:"region,omitempty"`
	Hooks     CloudRunHooks `yaml:"hooks,omitempty"`
}

// KubectlDeploy applies manifests.
type KubectlDeploy struct {
	Flags            KubectlFlags `yaml:"flags,omitempty"`
	RemoteManifests  []string     `yaml:"remoteManifests,omitempty"`
	DefaultNamespace *string      `yaml:"defaultNamespace,omitempty" eval:"template"`
	Hooks            DeployHooks  `yaml:"hooks,omitempty"`
}

// KubectlFlags are flags as kubectl takes them.
type KubectlFlags struct {
	Global            []string `yaml:"global,omitempty"`
	Apply             []string `yaml:"apply,omitempty"`
	Delete            []string `yaml:"delete,omitempty"`
	DisableValidation bool     `yaml:"disableValidation,omitempty"`
}

// KptDeploy applies with kpt's inventory.
type KptDeploy struct {
	Dir              string   `yaml:"dir,omitempty"`
	ApplyFlags       []string `yaml:"applyFlags,omitempty"`
	Flags            []string `yaml:"flags,omitempty"`
	Name             string   `yaml:"name,omitempty"`
	InventoryID      string   `yaml:"inventoryID,omitempty"`
	Namespace        string   `yaml:"namespace,omitempty"`
	Force            bool     `yaml:"force,omitempty"`
	DefaultNamespace *string  `yaml:"defaultNamespace,omitempty"`
}

// HelmDeploy installs releases.
type HelmDeploy struct {
	Concurrency *int          `yaml:"concurrency,omitempty"`
	Releases    []HelmRelease `yaml:"releases,omitempty"`
	Flags       HelmFlags     `yaml:"flags,omitempty"`
	Hooks       DeployHooks   `yaml:"hooks,omitempty"`
}

// HelmFlags are flags as helm takes them.
type HelmFlags struct {
	Global   []string `yaml:"global,omitempty"`
	Install  []string `yaml:"install,omitempty"`
	Upgrade  []string `yaml:"upgrade,omitempty"`
	DepBuild []string `yaml:"depBuild,omitempty"`
	Template []string `yaml:"template,omitempty"`
}

// HelmRelease is one release of a chart.
type HelmRelease struct {
	Name                  string            `yaml:"name,omitempty" required:"true" eval:"template"`
	ChartPath             string            `yaml:"chartPath,omitempty" exclusive:"chartSource" eval:"path,template"`
	RemoteChart           string            `yaml:"remoteChart,omitempty" exclusive:"chartSource"`
	ValuesFiles           []string          `yaml:"valuesFiles,omitempty" eval:"path,template"`
	Namespace             string            `yaml:"namespace,omitempty" eval:"template"`
	Version               string            `yaml:"version,omitempty" eval:"template"`
	SetValues             FlatMap           `yaml:"setValues,omitempty" eval:"template"`
	SetValueTemplates     FlatMap           `yaml:"setValueTemplates,omitempty" eval:"template"`
	SetFiles              map[string]string `yaml:"setFiles,omitempty" eval:"path"`
	CreateNamespace       *bool             `yaml:"createNamespace,omitempty"`
	Wait                  bool              `yaml:"wait,omitempty"`
	RecreatePods          bool              `yaml:"recreatePods,omitempty"`
	SkipBuildDependencies bool              `yaml:"skipBuildDependencies,omitempty"`
	SkipTests             bool              `yaml:"skipTests,omitempty"`
	UseHelmSecrets        bool              `yaml:"useHelmSecrets,omitempty"`
	Repo                  string            `yaml:"repo,omitempty"`
	UpgradeOnChange       *bool             `yaml:"upgradeOnChange,omitempty"`
	Overrides             map[string]any    `yaml:"overrides,omitempty"`
	Packaged              *HelmPackaged     `yaml:"packaged,omitempty"`
	DependsOn             []string          `yaml:"dependsOn,omitempty"`
}

// HelmPackaged gives the versions a chart is packaged with.
type HelmPackaged struct {
	Version    string `yaml:"version,omitempty"`
	AppVersion string `yaml:"appVersion,omitempty"`
}

// Logs says how container logs are shown.
type Logs struct {
	Prefix    string    `yaml:"prefix,omitempty"`
	JSONParse JSONParse `yaml:"jsonParse,omitempty"`
}

// JSONParse picks fields out of log lines that are JSON.
type JSONParse struct {
	Fields []string `yaml:"fields,omitempty"`
}
