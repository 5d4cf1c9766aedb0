package migrate

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config/ynode"
)

// Steps is the history of the format, oldest first.
func Steps() []Row {
	type steps = []func(*Pass, *yaml.Node)
	return []Row{
		{From: "v1alpha1", Pipeline: steps{tagPolicyName, manifestPaths, dockerIntoOwnField}},
		{From: "v1alpha2", Pipeline: steps{valuesFilesList, bucketIntoBuildContext}},
		{From: "v1alpha3", Pipeline: steps{shorterNames, skipPushIntoPush}},
		{From: "v1alpha4"},
		{From: "v1alpha5", Pipeline: steps{noAzureBuild}},
		{From: "v1beta1"},
		{From: "v1beta2"},
		{From: "v1beta3"},
		{From: "v1beta4", Pipeline: steps{classicBuilder}},
		{From: "v1beta5"},
		{From: "v1beta6", Pipeline: steps{kanikoIntoCluster}},
		{From: "v1beta7"},
		{From: "v1beta8", Pipeline: steps{pluginsIntoBuilders}},
		{From: "v1beta9", Pipeline: steps{syncMapIntoRules}},
		{From: "v1beta10"},
		{From: "v1beta11"},
		{From: "v1beta12"},
		{From: "v1beta13", Pipeline: steps{oneJib}},
		{From: "v1beta14"},
		{From: "v1beta15"},
		{From: "v1beta16"},
		{From: "v1beta17"},
		{From: "v1"},
		{From: "v2alpha1", Pipeline: steps{initImageOutOfContext}},
		{From: "v2alpha2", Pipeline: steps{kustomizePaths}},
		{From: "v2alpha3"},
		{From: "v2alpha4"},
		{From: "v2beta1"},
		{From: "v2beta2"},
		{From: "v2beta3", Pipeline: steps{valuesIntoOverrides}},
		{From: "v2beta4", Pipeline: steps{pullSecretPath, buildpacksPlural}},
		{From: "v2beta5"},
		{From: "v2beta6"},
		{From: "v2beta7"},
		{From: "v2beta8", Pipeline: steps{syncAutoBool}},
		{From: "v2beta9"},
		{From: "v2beta10"},
		{From: "v2beta11"},
		{From: "v2beta12", Pipeline: steps{remoteChart}},
		{From: "v2beta13"},
		{From: "v2beta14"},
		{From: "v2beta15"},
		{From: "v2beta16", Pipeline: steps{noSecretDestination}},
		{From: "v2beta17"},
		{From: "v2beta18"},
		{From: "v2beta19"},
		{From: "v2beta20"},
		{From: "v2beta21"},
		{From: "v2beta22", Pipeline: steps{secretsList}},
		{From: "v2beta23"},
		{From: "v2beta24"},
		{From: "v2beta25"},
		{From: "v2beta26"},
		{From: "v2beta27", Pipeline: steps{koPlatforms}},
		{From: "v2beta28"},
		{From: "v2beta29", Pipeline: steps{kubectlManifests, kustomizeIntoManifests, noKptDeploy, helmIntoManifests}, Document: movePatches},
		{From: "v3alpha1"},
		{From: "v3", Pipeline: steps{remoteManifests}},
		{From: "v4beta1"},
		{From: "v4beta2"},
		{From: "v4beta3"},
		{From: "v4beta4"},
		{From: "v4beta5"},
		{From: "v4beta6"},
		{From: "v4beta7", Pipeline: steps{kptForce}},
		{From: "v4beta8"},
		{From: "v4beta9"},
		{From: "v4beta10"},
		{From: "v4beta11"},
		{From: "v4beta12"},
		{From: "v4beta13"},
	}
}

// tagPolicyName turns `tagPolicy: sha256` into `tagPolicy: {sha256: {}}`.
func tagPolicyName(_ *Pass, pipeline *yaml.Node) {
	build := ynode.Get(pipeline, "build")
	policy := ynode.Get(build, "tagPolicy")
	if policy == nil || policy.Kind != yaml.ScalarNode {
		return
	}
	object := ynode.Mapping(policy)
	if policy.Value == "sha256" || policy.Value == "gitCommit" {
		ynode.Set(object, policy.Value, ynode.Mapping(policy))
	}
	ynode.Set(build, "tagPolicy", object)
}

// manifestPaths drops the parameters of kubectl manifests and keeps their paths.
func manifestPaths(p *Pass, pipeline *yaml.Node) {
	manifests := ynode.Path(pipeline, "deploy", "kubectl", "manifests")
	if manifests == nil {
		return
	}
	var paths []*yaml.Node
	for _, m := range ynode.Items(manifests) {
		if params := ynode.Get(m, "parameters"); !ynode.IsNull(params) {
			p.warn(params, "deploy.kubectl.manifests", "use kustomize or helm for parameters", "parameters of manifests are ignored")
		}
		paths = append(paths, ynode.Items(ynode.Get(m, "paths"))...)
	}
	manifests.Content = paths
}

// dockerIntoOwnField moves dockerfilePath and buildArgs of an artifact below docker.
func dockerIntoOwnField(_ *Pass, pipeline *yaml.Node) {
	for _, a := range artifacts(pipeline) {
		if file := ynode.Get(a, "dockerfilePath"); !ynode.IsNull(file) && file.Value != "" {
			ynode.Move(a, "dockerfilePath", ynode.Child(a, "docker", file), "dockerfilePath")
		}
		if args := ynode.Get(a, "buildArgs"); args != nil && len(args.Content) > 0 {
			ynode.Move(a, "buildArgs", ynode.Child(a, "docker", args), "buildArgs")
		}
	}
}

// valuesFilesList makes helm's valuesFilePath a list.
func valuesFilesList(_ *Pass, pipeline *yaml.Node) {
	for _, r := range releases(pipeline) {
		listOfOne(r, "valuesFilePath", "valuesFiles")
	}
}

// listOfOne renames a field and makes its value a list; what is not set is dropped.
func listOfOne(n *yaml.Node, from, to string) {
	value := ynode.Get(n, from)
	if ynode.IsNull(value) || value.Kind == yaml.ScalarNode && value.Value == "" {
		ynode.Take(n, from)
		return
	}
	ynode.Rename(n, from, to)
	ynode.Set(n, to, ynode.Sequence(value, value))
}

// bucketIntoBuildContext moves kaniko.gcsBucket to kaniko.buildContext.gcsBucket.
func bucketIntoBuildContext(_ *Pass, pipeline *yaml.Node) {
	kaniko := ynode.Path(pipeline, "build", "kaniko")
	if bucket := ynode.Get(kaniko, "gcsBucket"); bucket != nil {
		ynode.Move(kaniko, "gcsBucket", ynode.Child(kaniko, "buildContext", bucket), "gcsBucket")
	}
}

// shorterNames drops prefixes and suffixes that said nothing.
func shorterNames(_ *Pass, pipeline *yaml.Node) {
	for _, a := range artifacts(pipeline) {
		ynode.Rename(a, "imageName", "image")
		ynode.Rename(a, "workspace", "context")
		ynode.Rename(ynode.Get(a, "docker"), "dockerfilePath", "dockerfile")
	}
	ynode.Rename(ynode.Path(pipeline, "deploy", "kustomize"), "kustomizePath", "path")
}

// skipPushIntoPush turns local.skipPush into its opposite, local.push.
func skipPushIntoPush(_ *Pass, pipeline *yaml.Node) {
	local := ynode.Path(pipeline, "build", "local")
	var skip bool
	if n := ynode.Get(local, "skipPush"); !ynode.IsNull(n) && n.Decode(&skip) == nil {
		ynode.Rename(local, "skipPush", "push")
		ynode.Set(local, "push", ynode.Bool(!skip, n))
	}
}

// classicBuilder writes down that a local build without a word about it did not use BuildKit.
func classicBuilder(_ *Pass, pipeline *yaml.Node) {
	local := ynode.Path(pipeline, "build", "local")
	if local != nil && local.Kind == yaml.MappingNode && ynode.IsNull(ynode.Get(local, "useBuildkit")) {
		ynode.Set(local, "useBuildkit", ynode.Bool(false, local))
	}
}

// noAzureBuild refuses the one builder that was ever taken away.
func noAzureBuild(p *Pass, pipeline *yaml.Node) {
	if acr := ynode.Key(ynode.Get(pipeline, "build"), "acr"); acr != nil && !ynode.IsNull(ynode.Path(pipeline, "build", "acr")) {
		p.fail(acr, "build.acr", "remove it and choose local, googleCloudBuild or cluster", "build.acr is not supported since skaffold/v1beta1")
	}
}

// kanikoIntoCluster splits build.kaniko: what concerns the pod goes to build.cluster, what concerns
// the build to the artifacts.
func kanikoIntoCluster(p *Pass, pipeline *yaml.Node) {
	build := ynode.Get(pipeline, "build")
	kaniko := ynode.Take(build, "kaniko")
	if ynode.IsNull(kaniko) {
		return
	}
	for i, a := range artifacts(pipeline) {
		for _, other := range []string{"docker", "bazel", "jibMaven", "jibGradle"} {
			if key := ynode.Key(a, other); key != nil && !ynode.IsNull(ynode.Get(a, other)) {
				path := fmt.Sprintf("build.artifacts[%d].%s", i, other)
				p.fail(key, path, "move its settings to kaniko: of the artifact, as skaffold/v1beta7 has it, and change apiVersion", "build.kaniko builds every artifact, so %s cannot be set", path)
			}
		}
		ynode.Set(a, "kaniko", p.fields(kaniko, "KanikoArtifact"))
	}
	ynode.Set(build, "cluster", p.fields(kaniko, "ClusterDetails"))
}

// pluginsIntoBuilders replaces builder plugins and execution environments by the fields they stood for.
func pluginsIntoBuilders(p *Pass, pipeline *yaml.Node) {
	take := func(n *yaml.Node, key string, types map[string]string) {
		plugin := ynode.Take(n, key)
		name, properties := ynode.Get(plugin, "name"), ynode.Get(plugin, "properties")
		if name == nil || types[name.Value] == "" || ynode.IsNull(properties) {
			return
		}
		ynode.Set(n, name.Value, p.fields(properties, types[name.Value]))
	}
	for _, a := range artifacts(pipeline) {
		take(a, "plugin", map[string]string{"bazel": "BazelArtifact", "docker": "DockerArtifact"})
	}
	if build := ynode.Get(pipeline, "build"); build != nil {
		take(build, "executionEnvironment", map[string]string{"googleCloudBuild": "GoogleCloudBuild", "local": "LocalBuild"})
	}
}

// oneJib joins jibMaven and jibGradle.
func oneJib(_ *Pass, pipeline *yaml.Node) {
	for _, a := range artifacts(pipeline) {
		maven, gradle := ynode.Take(a, "jibMaven"), ynode.Take(a, "jibGradle")
		switch {
		case !ynode.IsNull(maven):
			ynode.Rename(maven, "module", "project")
			if profile := ynode.Take(maven, "profile"); !ynode.IsNull(profile) && profile.Value != "" {
				args := ynode.Get(maven, "args")
				if ynode.IsNull(args) {
					args = ynode.Sequence(profile)
					ynode.Set(maven, "args", args)
				}
				args.Content = append(args.Content, ynode.String("--activate-profiles", profile), profile)
			}
			ynode.Set(maven, "type", ynode.String("maven", maven))
			ynode.Set(a, "jib", maven)
		case !ynode.IsNull(gradle):
			ynode.Set(gradle, "type", ynode.String("gradle", gradle))
			ynode.Set(a, "jib", gradle)
		}
	}
}

// initImageOutOfContext moves kaniko.buildContext.localDir.initImage to kaniko.initImage.
func initImageOutOfContext(_ *Pass, pipeline *yaml.Node) {
	for _, a := range artifacts(pipeline) {
		kaniko := ynode.Get(a, "kaniko")
		if image := ynode.Path(ynode.Take(kaniko, "buildContext"), "localDir", "initImage"); image != nil {
			ynode.Set(kaniko, "initImage", image)
		}
	}
}

// kustomizePaths makes kustomize's path a list.
func kustomizePaths(_ *Pass, pipeline *yaml.Node) {
	kustomize := ynode.Path(pipeline, "deploy", "kustomize")
	listOfOne(kustomize, "path", "paths")
}

// valuesIntoOverrides renames a helm release's values to artifactOverrides.
func valuesIntoOverrides(_ *Pass, pipeline *yaml.Node) {
	for _, r := range releases(pipeline) {
		ynode.Rename(r, "values", "artifactOverrides")
	}
}

func pullSecretPath(_ *Pass, pipeline *yaml.Node) {
	ynode.Rename(ynode.Path(pipeline, "build", "cluster"), "pullSecret", "pullSecretPath")
}

func buildpacksPlural(_ *Pass, pipeline *yaml.Node) {
	for _, a := range artifacts(pipeline) {
		ynode.Rename(a, "buildpack", "buildpacks")
	}
}

// syncAutoBool turns `auto: {}` into `auto: true`.
func syncAutoBool(_ *Pass, pipeline *yaml.Node) {
	for _, a := range artifacts(pipeline) {
		sync := ynode.Get(a, "sync")
		if auto := ynode.Get(sync, "auto"); auto != nil && auto.Kind == yaml.MappingNode {
			ynode.Set(sync, "auto", ynode.Bool(true, auto))
		}
	}
}

// remoteChart gives charts from repositories a field of their own.
func remoteChart(_ *Pass, pipeline *yaml.Node) {
	for _, r := range releases(pipeline) {
		var remote bool
		if n := ynode.Take(r, "remote"); n != nil && n.Decode(&remote) == nil && remote {
			ynode.Rename(r, "chartPath", "remoteChart")
		}
	}
}

func noSecretDestination(p *Pass, pipeline *yaml.Node) {
	for _, a := range artifacts(pipeline) {
		if dst := ynode.Take(ynode.Path(a, "docker", "secret"), "dst"); !ynode.IsNull(dst) && dst.Value != "" {
			p.warn(dst, "build.artifacts.docker.secret.dst", "name the target in the Dockerfile: RUN --mount=type=secret,target=...", "the destination of a secret is ignored")
		}
	}
}

// secretsList makes docker.secret a list.
func secretsList(_ *Pass, pipeline *yaml.Node) {
	for _, a := range artifacts(pipeline) {
		listOfOne(ynode.Get(a, "docker"), "secret", "secrets")
	}
}

// koPlatforms moves a ko artifact's platforms to the artifact.
func koPlatforms(_ *Pass, pipeline *yaml.Node) {
	for _, a := range artifacts(pipeline) {
		if ko := ynode.Get(a, "ko"); len(ynode.Items(ynode.Get(ko, "platforms"))) > 0 {
			ynode.Move(ko, "platforms", a, "platforms")
		}
	}
}

// remoteManifests moves manifests that are read from a cluster from the deployer to the renderers.
func remoteManifests(_ *Pass, pipeline *yaml.Node) {
	deploy := ynode.Get(pipeline, "deploy")
	kubeContext := ynode.Get(deploy, "kubeContext")
	remote := ynode.Take(ynode.Get(deploy, "kubectl"), "remoteManifests")
	if len(ynode.Items(remote)) == 0 {
		return
	}
	manifests := ynode.Before(pipeline, "manifests", "deploy", remote)
	list := ynode.Get(manifests, "remoteManifests")
	if list == nil {
		list = ynode.Sequence(remote)
		ynode.Set(manifests, "remoteManifests", list)
	}
	for _, m := range remote.Content {
		item := ynode.Mapping(m)
		ynode.Set(item, "manifest", m)
		if !ynode.IsNull(kubeContext) {
			ynode.Set(item, "kubeContext", ynode.Clone(kubeContext))
		}
		list.Content = append(list.Content, item)
	}
}

// kptForce mends a field that was long published under the name "false".
func kptForce(_ *Pass, pipeline *yaml.Node) {
	ynode.Rename(ynode.Path(pipeline, "deploy", "kpt"), "false", "force")
}
