package custom

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Variables are what a build command is told beside the user's environment.
type Variables struct {
	Name, Tag string // of the image: "gcr.io/p/app" and "v1"
	Push      bool
	Context   string // absolute folder
	Platforms []string
	SkipTests bool
	Required  map[string]string // references of the artifacts that it requires, by alias
	Docker    []string          // "NAME=value" that lead to the cluster's own Docker Engine, minikube's; often none
	Cluster   *Cluster          // for builds of `build.cluster`
}

// Cluster is what a build command is told about a build in the cluster.
type Cluster struct {
	KubeContext, Namespace, PullSecret, Timeout string
	DockerConfigSecret                          string // "" without build.cluster.dockerConfig
}

// Environ is the environment of a build command: environ ("NAME=value") and the variables of Skaffold's documentation, which win over it.
func Environ(environ []string, v Variables) []string {
	own := map[string]string{
		"IMAGE": v.Name + ":" + v.Tag, "IMAGE_REPO": v.Name, "IMAGE_TAG": v.Tag, "PUSH_IMAGE": strconv.FormatBool(v.Push),
		"BUILD_CONTEXT": v.Context, "PLATFORMS": strings.Join(v.Platforms, ","), "SKIP_TEST": strconv.FormatBool(v.SkipTests),
	}
	if c := v.Cluster; c != nil {
		maps.Copy(own, map[string]string{
			"KUBE_CONTEXT": c.KubeContext, "NAMESPACE": c.Namespace, "PULL_SECRET_NAME": c.PullSecret, "TIMEOUT": c.Timeout,
		})
		if c.DockerConfigSecret != "" {
			own["DOCKER_CONFIG_SECRET_NAME"] = c.DockerConfigSecret
		}
	}
	maps.Copy(own, v.Required)
	out := slices.Concat(environ, v.Docker)
	for _, name := range slices.Sorted(maps.Keys(own)) {
		out = append(out, name+"="+own[name])
	}
	return out
}
