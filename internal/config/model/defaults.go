package model

import "path/filepath"

// Facts are what defaults depend on outside of the file.
type Facts struct {
	// Namespace of the current kube context; asked for only by cluster builds.
	Namespace func() string
	// Home is the user's home folder, for paths that start with ~.
	Home string
	// NewID makes a random name part, for secrets that are made per run.
	NewID func() string
}

// DefaultManifests is where a config without any word about it has its manifests.
const DefaultManifests = "k8s/*.yaml"

const (
	kanikoImage       = "gcr.io/kaniko-project/executor:latest"
	buildpacksBuilder = "gcr.io/buildpacks/builder:v1"
)

// SetDefaults fills in what the file leaves out.
func (c *Config) SetDefaults(facts Facts) {
	b := &c.Build
	if b.Environment == nil {
		b.Environment = &LocalBuild{}
	}
	if b.TagPolicy.Tagger == nil {
		b.TagPolicy.Tagger = &GitCommit{}
	}
	fill(&c.Deploy.Logs.Prefix, "container")
	if h := c.Deploy.Helm; h != nil && h.Concurrency == nil {
		h.Concurrency = new(1)
	}
	_, inCluster := b.Environment.(*ClusterBuild)
	for _, a := range b.Artifacts {
		if a != nil {
			a.setDefaults(inCluster)
		}
	}
	switch env := b.Environment.(type) {
	case *LocalBuild:
		if len(b.Artifacts) > 0 && env.Concurrency == nil {
			env.Concurrency = new(1)
		}
	case *GoogleCloudBuild:
		env.setDefaults()
	case *ClusterBuild:
		env.setDefaults(facts)
	}
	for _, p := range c.PortForward {
		if p != nil {
			p.setDefaults()
		}
	}
	for _, t := range c.Test {
		if t != nil {
			fill(&t.Context, ".")
		}
	}
}

func (a *Artifact) setDefaults(inCluster bool) {
	fill(&a.Context, ".")
	a.setSyncDefault()
	if a.Builder == nil {
		a.Builder = &Docker{}
		if inCluster {
			a.Builder = &Kaniko{}
		}
	}
	switch b := a.Builder.(type) {
	case *Docker:
		fill(&b.Dockerfile, "Dockerfile")
	case *Kaniko:
		b.setDefaults()
	case *Custom:
		if b.Dependencies == nil {
			b.Dependencies = &CustomDependencies{Paths: []string{"."}}
		}
	case *Buildpacks:
		fill(&b.ProjectDescriptor, "project.toml")
		if b.Dependencies == nil {
			b.Dependencies = &BuildpacksDependencies{Paths: []string{"."}}
		}
		if b.Builder == "" && len(b.Buildpacks) == 0 {
			b.Builder, b.TrustBuilder = buildpacksBuilder, true
		}
	}
	for _, d := range a.Requires {
		if d != nil {
			fill(&d.Alias, d.Image)
		}
	}
}

func (a *Artifact) setSyncDefault() {
	_, pack := a.Builder.(*Buildpacks)
	_, jib := a.Builder.(*Jib)
	switch {
	case a.Sync == nil && pack:
		a.Sync = &Sync{Mode: SyncAuto(true)}
	case a.Sync == nil || a.Sync.Mode != nil:
	case pack || jib:
		a.Sync.Mode = SyncAuto(true)
	default:
		a.Sync.Mode = SyncInfer{"**/*"}
	}
}

func (k *Kaniko) setDefaults() {
	fill(&k.Image, kanikoImage)
	fill(&k.Dockerfile, "Dockerfile")
	fill(&k.InitImage, "gcr.io/k8s-skaffold/skaffold-helpers/busybox")
	fill(&k.DigestFile, "/dev/termination-log")
	fill(&k.CopyTimeout, "5m")
	if k.CopyMaxRetries == nil {
		k.CopyMaxRetries = new(3)
	}
	if k.BuildContextCompressionLevel == nil {
		k.BuildContextCompressionLevel = new(1)
	}
	if k.Cache != nil && k.Cache.CacheRunLayers == nil {
		k.Cache.CacheRunLayers = new(true)
	}
}

func (g *GoogleCloudBuild) setDefaults() {
	fill(&g.DockerImage, "gcr.io/cloud-builders/docker")
	fill(&g.MavenImage, "gcr.io/cloud-builders/mvn")
	fill(&g.GradleImage, "gcr.io/cloud-builders/gradle")
	fill(&g.KanikoImage, kanikoImage)
	fill(&g.PackImage, "gcr.io/k8s-skaffold/pack")
	fill(&g.KoImage, "gcr.io/k8s-skaffold/skaffold")
}

func (c *ClusterBuild) setDefaults(facts Facts) {
	if c.Namespace == "" && facts.Namespace != nil {
		c.Namespace = facts.Namespace()
	}
	fill(&c.Namespace, "default")
	fill(&c.Timeout, "20m")
	fill(&c.PullSecretMountPath, "/secret")
	random := func(wanted bool) string {
		if wanted && facts.NewID != nil {
			return facts.NewID()
		}
		return ""
	}
	if c.PullSecretPath != "" {
		c.PullSecretPath = expandHome(c.PullSecretPath, facts.Home)
		fill(&c.PullSecretName, "kaniko-secret"+random(c.RandomPullSecret))
	}
	if d := c.DockerConfig; d != nil {
		fill(&d.SecretName, "docker-cfg"+random(c.RandomDockerConfigSecret))
		d.Path = expandHome(d.Path, facts.Home)
	}
}

func (p *PortForward) setDefaults() {
	if p.LocalPort == 0 && p.Port.IsInt() {
		p.LocalPort = p.Port.Int
	}
	fill(&p.Address, "127.0.0.1")
}

func expandHome(path, home string) string {
	if path == "~" || len(path) > 1 && path[0] == '~' && (path[1] == '/' || path[1] == '\\') {
		return filepath.Join(home, path[1:])
	}
	return path
}

func fill(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// SetDeployDefaults adds the renderer and deployer that a single config without any gets.
func (c *Config) SetDeployDefaults() {
	m, d := &c.Manifests, &c.Deploy
	switch {
	case len(m.Kpt) > 0:
	case len(m.RawYAML) > 0:
		if d.Kubectl == nil && d.CloudRun == nil {
			d.Kubectl = &KubectlDeploy{}
		}
	case m.Kustomize == nil && m.Helm == nil && d.Helm == nil && d.Docker == nil && d.CloudRun == nil:
		m.RawYAML = []string{DefaultManifests}
	}
	if d.Docker == nil && d.Helm == nil && d.Kpt == nil && d.Kubectl == nil && d.CloudRun == nil {
		d.Kubectl = &KubectlDeploy{}
	}
}
