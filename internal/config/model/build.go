package model

// Build says what is built, how it is tagged and where it is built.
type Build struct {
	Hooks              BuildHooks  `yaml:"hooks,omitempty"`
	Artifacts          []*Artifact `yaml:"artifacts,omitempty"`
	InsecureRegistries []string    `yaml:"insecureRegistries,omitempty"`
	TagPolicy          TagPolicy   `yaml:"tagPolicy,omitempty"`
	Platforms          []string    `yaml:"platforms,omitempty"`
	Environment        Environment `yaml:",inline" oneof:"build"`
}

// TagPolicy holds the one policy that is chosen.
type TagPolicy struct {
	Tagger Tagger `yaml:",inline" oneof:"tag"`
}

// GitCommit tags with the commit of the artifact's folder.
type GitCommit struct {
	Variant       string `yaml:"variant,omitempty"`
	Prefix        string `yaml:"prefix,omitempty"`
	IgnoreChanges bool   `yaml:"ignoreChanges,omitempty"`
}

// Sha256 tags with "latest"; the digest does the rest.
type Sha256 struct{}

// InputDigest tags with a digest of the artifact's inputs.
type InputDigest struct{}

// EnvTemplate tags with a template over the environment.
type EnvTemplate struct {
	Template string `yaml:"template,omitempty" required:"true" eval:"template"`
}

// DateTime tags with the time of the build.
type DateTime struct {
	Format   string `yaml:"format,omitempty"`
	Timezone string `yaml:"timezone,omitempty"`
}

// CustomTemplate tags with a template over named other policies.
type CustomTemplate struct {
	Template   string            `yaml:"template,omitempty" required:"true"`
	Components []TaggerComponent `yaml:"components,omitempty"`
}

// TaggerComponent is a policy that a CustomTemplate names.
type TaggerComponent struct {
	Name   string `yaml:"name,omitempty"`
	Tagger Tagger `yaml:",inline" oneof:"tag"`
}

// LocalBuild builds on this machine.
type LocalBuild struct {
	// Push is nil where the file leaves it to whether the cluster is local.
	Push             *bool `yaml:"push,omitempty"`
	TryImportMissing bool  `yaml:"tryImportMissing,omitempty"`
	UseDockerCLI     bool  `yaml:"useDockerCLI,omitempty"`
	// UseBuildkit is nil where the file leaves it to the Docker Engine.
	UseBuildkit *bool `yaml:"useBuildkit,omitempty"`
	// Concurrency counts builds at a time; 0 means no limit.
	Concurrency *int `yaml:"concurrency,omitempty"`
}

// GoogleCloudBuild builds in Google Cloud Build.
type GoogleCloudBuild struct {
	ProjectID                   string                       `yaml:"projectId,omitempty"`
	DiskSizeGb                  int64                        `yaml:"diskSizeGb,omitempty"`
	MachineType                 string                       `yaml:"machineType,omitempty"`
	Timeout                     string                       `yaml:"timeout,omitempty"`
	Logging                     string                       `yaml:"logging,omitempty"`
	LogStreamingOption          string                       `yaml:"logStreamingOption,omitempty"`
	DockerImage                 string                       `yaml:"dockerImage,omitempty"`
	KanikoImage                 string                       `yaml:"kanikoImage,omitempty"`
	MavenImage                  string                       `yaml:"mavenImage,omitempty"`
	GradleImage                 string                       `yaml:"gradleImage,omitempty"`
	PackImage                   string                       `yaml:"packImage,omitempty"`
	KoImage                     string                       `yaml:"koImage,omitempty"`
	Bucket                      string                       `yaml:"bucket,omitempty"`
	Concurrency                 int                          `yaml:"concurrency,omitempty"`
	WorkerPool                  string                       `yaml:"workerPool,omitempty"`
	Region                      string                       `yaml:"region,omitempty"`
	PlatformEmulatorInstallStep *PlatformEmulatorInstallStep `yaml:"platformEmulatorInstallStep,omitempty"`
	ServiceAccount              string                       `yaml:"serviceAccount,omitempty"`
}

// PlatformEmulatorInstallStep prepares Cloud Build for other platforms.
type PlatformEmulatorInstallStep struct {
	Image      string   `yaml:"image" required:"true"`
	Args       []string `yaml:"args,omitempty"`
	Entrypoint string   `yaml:"entrypoint,omitempty"`
}

// ClusterBuild builds in pods of the cluster.
type ClusterBuild struct {
	HTTPProxy                string                `yaml:"HTTP_PROXY,omitempty"`
	HTTPSProxy               string                `yaml:"HTTPS_PROXY,omitempty"`
	PullSecretPath           string                `yaml:"pullSecretPath,omitempty"`
	PullSecretName           string                `yaml:"pullSecretName,omitempty"`
	PullSecretMountPath      string                `yaml:"pullSecretMountPath,omitempty"`
	Namespace                string                `yaml:"namespace,omitempty"`
	Timeout                  string                `yaml:"timeout,omitempty"`
	DockerConfig             *DockerConfig         `yaml:"dockerConfig,omitempty"`
	ServiceAccount           string                `yaml:"serviceAccount,omitempty"`
	Tolerations              []Toleration          `yaml:"tolerations,omitempty"`
	NodeSelector             map[string]string     `yaml:"nodeSelector,omitempty"`
	Annotations              map[string]string     `yaml:"annotations,omitempty"`
	Labels                   map[string]string     `yaml:"labels,omitempty"`
	RunAsUser                *int64                `yaml:"runAsUser,omitempty"`
	Resources                *ResourceRequirements `yaml:"resources,omitempty"`
	Concurrency              int                   `yaml:"concurrency,omitempty"`
	Volumes                  []map[string]any      `yaml:"volumes,omitempty"`
	RandomPullSecret         bool                  `yaml:"randomPullSecret,omitempty"`
	RandomDockerConfigSecret bool                  `yaml:"randomDockerConfigSecret,omitempty"`
}

// Toleration is a pod's toleration as Kubernetes writes it.
type Toleration struct {
	Key               string `yaml:"key"`
	Operator          string `yaml:"operator"`
	Value             string `yaml:"value"`
	Effect            string `yaml:"effect"`
	TolerationSeconds *int64 `yaml:"tolerationSeconds,omitempty"`
}

// DockerConfig is the registry login that cluster builds get.
type DockerConfig struct {
	Path       string `yaml:"path,omitempty"`
	SecretName string `yaml:"secretName,omitempty"`
}

// ResourceRequirements are a pod's requests and limits.
type ResourceRequirements struct {
	Requests *Resources `yaml:"requests,omitempty"`
	Limits   *Resources `yaml:"limits,omitempty"`
}

// Resources are quantities as Kubernetes writes them.
type Resources struct {
	CPU              string `yaml:"cpu,omitempty"`
	Memory           string `yaml:"memory,omitempty"`
	EphemeralStorage string `yaml:"ephemeralStorage,omitempty"`
	ResourceStorage  string `yaml:"resourceStorage,omitempty"`
}

// Artifact is one image to build.
type Artifact struct {
	Image       string                `yaml:"image,omitempty" required:"true"`
	Context     string                `yaml:"context,omitempty" eval:"path"`
	Sync        *Sync                 `yaml:"sync,omitempty"`
	Builder     Builder               `yaml:",inline" oneof:"artifact"`
	Requires    []*ArtifactDependency `yaml:"requires,omitempty"`
	Hooks       BuildHooks            `yaml:"hooks,omitempty"`
	Platforms   []string              `yaml:"platforms,omitempty"`
	RuntimeType string                `yaml:"runtimeType,omitempty"`
}

// ArtifactDependency is an image that must be built first.
type ArtifactDependency struct {
	Image string `yaml:"image" required:"true"`
	// Alias is the build argument (or variable) that carries the built image.
	Alias string `yaml:"alias,omitempty"`
}

// Docker builds a Dockerfile.
type Docker struct {
	Dockerfile string             `yaml:"dockerfile,omitempty"`
	Target     string             `yaml:"target,omitempty"`
	BuildArgs  map[string]*string `yaml:"buildArgs,omitempty" eval:"template"`
	Network    string             `yaml:"network,omitempty"`
	AddHost    []string           `yaml:"addHost,omitempty"`
	CacheFrom  []string           `yaml:"cacheFrom,omitempty"`
	CliFlags   []string           `yaml:"cliFlags,omitempty"`
	PullParent bool               `yaml:"pullParent,omitempty"`
	NoCache    bool               `yaml:"noCache,omitempty"`
	Squash     bool               `yaml:"squash,omitempty"`
	Secrets    []*DockerSecret    `yaml:"secrets,omitempty"`
	SSH        string             `yaml:"ssh,omitempty"`
}

// DockerSecret is a secret that RUN steps may mount.
type DockerSecret struct {
	ID  string `yaml:"id,omitempty" required:"true"`
	Src string `yaml:"src,omitempty" exclusive:"secretSource"`
	Env string `yaml:"env,omitempty" exclusive:"secretSource"`
}

// Bazel builds a bazel target.
type Bazel struct {
	Target    string                 `yaml:"target,omitempty" required:"true"`
	Args      []string               `yaml:"args,omitempty"`
	Platforms []BazelPlatformMapping `yaml:"platforms,omitempty"`
}

// BazelPlatformMapping gives bazel's name of a platform.
type BazelPlatformMapping struct {
	Platform string `yaml:"platform" required:"true"`
	Target   string `yaml:"target" required:"true"`
}

// Ko builds a Go main package.
type Ko struct {
	FromImage    string            `yaml:"fromImage,omitempty"`
	Dependencies *KoDependencies   `yaml:"dependencies,omitempty"`
	Dir          string            `yaml:"dir,omitempty"`
	Env          []string          `yaml:"env,omitempty" eval:"template"`
	Flags        []string          `yaml:"flags,omitempty" eval:"template"`
	Labels       map[string]string `yaml:"labels,omitempty" eval:"template"`
	Ldflags      []string          `yaml:"ldflags,omitempty" eval:"template"`
	Main         string            `yaml:"main,omitempty"`
}

// KoDependencies are the files a ko artifact depends on.
type KoDependencies struct {
	Paths  []string `yaml:"paths,omitempty"`
	Ignore []string `yaml:"ignore,omitempty"`
}

// Jib builds a Maven or Gradle project.
type Jib struct {
	Project   string   `yaml:"project,omitempty"`
	Args      []string `yaml:"args,omitempty"`
	Type      string   `yaml:"type,omitempty"`
	FromImage string   `yaml:"fromImage,omitempty"`
}

// Buildpacks builds with Cloud Native Buildpacks.
type Buildpacks struct {
	Builder           string                  `yaml:"builder,omitempty"`
	RunImage          string                  `yaml:"runImage,omitempty"`
	Env               []string                `yaml:"env,omitempty"`
	Buildpacks        []string                `yaml:"buildpacks,omitempty"`
	TrustBuilder      bool                    `yaml:"trustBuilder,omitempty"`
	ClearCache        bool                    `yaml:"clearCache,omitempty"`
	ProjectDescriptor string                  `yaml:"projectDescriptor,omitempty"`
	Dependencies      *BuildpacksDependencies `yaml:"dependencies,omitempty"`
	Volumes           []*BuildpacksVolume     `yaml:"volumes,omitempty"`
	BuildArgs         []string                `yaml:"buildArgs,omitempty"`
}

// BuildpacksDependencies are the files a buildpacks artifact depends on.
type BuildpacksDependencies struct {
	Paths  []string `yaml:"paths,omitempty"`
	Ignore []string `yaml:"ignore,omitempty"`
}

// BuildpacksVolume is a folder mounted into the build.
type BuildpacksVolume struct {
	Host    string `yaml:"host" required:"true" eval:"path"`
	Target  string `yaml:"target" required:"true"`
	Options string `yaml:"options,omitempty"`
}

// Custom builds with a command of the user's.
type Custom struct {
	BuildCommand string              `yaml:"buildCommand,omitempty"`
	Dependencies *CustomDependencies `yaml:"dependencies,omitempty"`
}

// CustomDependencies are the files a custom artifact depends on: what a Dockerfile reads, what a
// command prints, or paths.
type CustomDependencies struct {
	Dockerfile *DockerfileDependency `yaml:"dockerfile,omitempty" exclusive:"dependency"`
	Command    string                `yaml:"command,omitempty" exclusive:"dependency"`
	Paths      []string              `yaml:"paths,omitempty" exclusive:"dependency"`
	Ignore     []string              `yaml:"ignore,omitempty"`
}

// DockerfileDependency points at a Dockerfile whose inputs count.
type DockerfileDependency struct {
	Path      string             `yaml:"path,omitempty"`
	BuildArgs map[string]*string `yaml:"buildArgs,omitempty"`
}

// Kaniko builds a Dockerfile in a pod of the cluster.
type Kaniko struct {
	Cleanup                      bool               `yaml:"cleanup,omitempty"`
	Insecure                     bool               `yaml:"insecure,omitempty"`
	InsecurePull                 bool               `yaml:"insecurePull,omitempty"`
	Force                        bool               `yaml:"force,omitempty"`
	LogTimestamp                 bool               `yaml:"logTimestamp,omitempty"`
	Reproducible                 bool               `yaml:"reproducible,omitempty"`
	SingleSnapshot               bool               `yaml:"singleSnapshot,omitempty"`
	SkipTLS                      bool               `yaml:"skipTLS,omitempty"`
	SkipTLSVerifyPull            bool               `yaml:"skipTLSVerifyPull,omitempty"`
	SkipUnusedStages             bool               `yaml:"skipUnusedStages,omitempty"`
	UseNewRun                    bool               `yaml:"useNewRun,omitempty"`
	WhitelistVarRun              bool               `yaml:"whitelistVarRun,omitempty"`
	Dockerfile                   string             `yaml:"dockerfile,omitempty"`
	Target                       string             `yaml:"target,omitempty"`
	InitImage                    string             `yaml:"initImage,omitempty"`
	Image                        string             `yaml:"image,omitempty"`
	ImagePullSecret              string             `yaml:"imagePullSecret,omitempty"`
	Destination                  []string           `yaml:"destination,omitempty"`
	DigestFile                   string             `yaml:"digestFile,omitempty"`
	ImageFSExtractRetry          string             `yaml:"imageFSExtractRetry,omitempty"`
	ImageNameWithDigestFile      string             `yaml:"imageNameWithDigestFile,omitempty"`
	LogFormat                    string             `yaml:"logFormat,omitempty"`
	OCILayoutPath                string             `yaml:"ociLayoutPath,omitempty"`
	RegistryMirror               string             `yaml:"registryMirror,omitempty"`
	SnapshotMode                 string             `yaml:"snapshotMode,omitempty"`
	PushRetry                    string             `yaml:"pushRetry,omitempty"`
	TarPath                      string             `yaml:"tarPath,omitempty"`
	Verbosity                    string             `yaml:"verbosity,omitempty"`
	InsecureRegistry             []string           `yaml:"insecureRegistry,omitempty"`
	SkipTLSVerifyRegistry        []string           `yaml:"skipTLSVerifyRegistry,omitempty"`
	Env                          []KanikoEnv        `yaml:"env,omitempty"`
	Cache                        *KanikoCache       `yaml:"cache,omitempty"`
	RegistryCertificate          map[string]*string `yaml:"registryCertificate,omitempty"`
	Label                        map[string]*string `yaml:"label,omitempty"`
	BuildArgs                    map[string]*string `yaml:"buildArgs,omitempty"`
	VolumeMounts                 []map[string]any   `yaml:"volumeMounts,omitempty"`
	ContextSubPath               string             `yaml:"contextSubPath,omitempty" eval:"path"`
	IgnorePaths                  []string           `yaml:"ignorePaths,omitempty"`
	CopyMaxRetries               *int               `yaml:"copyMaxRetries,omitempty"`
	CopyTimeout                  string             `yaml:"copyTimeout,omitempty"`
	BuildContextCompressionLevel *int               `yaml:"buildContextCompressionLevel,omitempty"`
}

// KanikoEnv is a variable of the pod that builds.
type KanikoEnv struct {
	Name      string         `yaml:"name"`
	Value     string         `yaml:"value"`
	ValueFrom map[string]any `yaml:"valueFrom,omitempty"`
}

// KanikoCache says where kaniko keeps layers.
type KanikoCache struct {
	Repo            string `yaml:"repo,omitempty"`
	HostPath        string `yaml:"hostPath,omitempty"`
	TTL             string `yaml:"ttl,omitempty"`
	CacheCopyLayers bool   `yaml:"cacheCopyLayers,omitempty"`
	CacheRunLayers  *bool  `yaml:"cacheRunLayers,omitempty"`
}

// Sync copies changed files into running containers; davit reads it and leaves it to the dev loop.
type Sync struct {
	Mode  SyncMode  `yaml:",inline" oneof:"sync"`
	Hooks SyncHooks `yaml:"hooks,omitempty"`
}

// SyncManual lists what goes where.
type SyncManual []*SyncRule

// SyncInfer lists files whose destination follows from the Dockerfile.
type SyncInfer []string

// SyncAuto leaves it to the builder.
type SyncAuto bool

// SyncRule copies what matches Src, less Strip, below Dest.
type SyncRule struct {
	Src   string `yaml:"src,omitempty" required:"true"`
	Dest  string `yaml:"dest,omitempty" required:"true"`
	Strip string `yaml:"strip,omitempty"`
}
