package model

// BuildHooks run on this machine around a build.
type BuildHooks struct {
	Before []HostHook `yaml:"before,omitempty"`
	After  []HostHook `yaml:"after,omitempty"`
}

// CloudRunHooks run on this machine around a Cloud Run deployment.
type CloudRunHooks struct {
	Before []HostHook `yaml:"before,omitempty"`
	After  []HostHook `yaml:"after,omitempty"`
}

// SyncHooks run around a file sync.
type SyncHooks struct {
	Before []SyncHookItem `yaml:"before,omitempty"`
	After  []SyncHookItem `yaml:"after,omitempty"`
}

// SyncHookItem is one hook of a sync.
type SyncHookItem struct {
	Hook SyncHook `yaml:",inline" oneof:"sync_hook"`
}

// DeployHooks run around a deployment.
type DeployHooks struct {
	Before []DeployHookItem `yaml:"before,omitempty"`
	After  []DeployHookItem `yaml:"after,omitempty"`
}

// DeployHookItem is one hook of a deployment.
type DeployHookItem struct {
	Hook DeployHook `yaml:",inline" oneof:"deploy_hook"`
}

// RenderHooks run around rendering.
type RenderHooks struct {
	Before []RenderHookItem     `yaml:"before,omitempty"`
	After  []PostRenderHookItem `yaml:"after,omitempty"`
}

// RenderHookItem is one hook before rendering.
type RenderHookItem struct {
	Host *HostHook `yaml:"host,omitempty"`
}

// PostRenderHookItem is one hook after rendering.
type PostRenderHookItem struct {
	Host *PostRenderHook `yaml:"host,omitempty"`
}

// HostHook is a command on this machine.
type HostHook struct {
	Command []string `yaml:"command" required:"true"`
	// OS limits the hook to these values of GOOS; empty means all.
	OS  []string `yaml:"os,omitempty"`
	Dir string   `yaml:"dir,omitempty" eval:"path"`
}

// PostRenderHook is a command that gets the rendered manifests on its input.
type PostRenderHook struct {
	Command []string `yaml:"command" required:"true"`
	OS      []string `yaml:"os,omitempty"`
	Dir     string   `yaml:"dir,omitempty" eval:"path"`
	// WithChange makes the command's output the manifests.
	WithChange bool `yaml:"withChange,omitempty"`
}

// ContainerHook is a command in the containers of an image.
type ContainerHook struct {
	Command []string `yaml:"command" required:"true"`
}

// NamedContainerHook is a command in the containers whose names match glob patterns.
type NamedContainerHook struct {
	Command       []string `yaml:"command" required:"true"`
	PodName       string   `yaml:"podName" required:"true"`
	ContainerName string   `yaml:"containerName,omitempty"`
}
