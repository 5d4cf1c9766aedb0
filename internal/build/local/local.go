// Package local holds what the settings of `build.local` decide, and what its builders in a Docker Engine share.
package local

import (
	"fmt"
	"strings"
)

// Way is how the image of a Dockerfile is built.
type Way int

// The ways.
const (
	BuildKit  Way = iota // by BuildKit, through its client
	Classic              // by the Docker Engine's own builder, through its API
	DockerCLI            // by the docker command
)

func (w Way) String() string {
	return [...]string{BuildKit: "BuildKit", Classic: "the Docker Engine's own builder", DockerCLI: "the docker command"}[w]
}

// Settings are what the way depends on.
type Settings struct {
	UseDockerCLI   bool     // build.local.useDockerCLI
	UseBuildkit    *bool    // build.local.useBuildkit; nil: not said
	DockerBuildkit string   // the environment variable DOCKER_BUILDKIT
	Flags          []string // docker.cliFlags
	UnknownFlags   []string // names of those that BuildKit's client cannot serve
	Squash         bool     // docker.squash
}

// Choose decides the way, and says why when it is not BuildKit. The first that fits counts:
//
//	useDockerCLI: true                                      the docker command
//	cliFlags that BuildKit's client does not know           the docker command
//	useBuildkit: false, or not said and DOCKER_BUILDKIT=0   the Engine's builder; the docker command when there are cliFlags
//	squash: true, and useBuildkit not said                  the Engine's builder, as BuildKit has no squash
//	else                                                    BuildKit
func Choose(s Settings) (Way, string) {
	switch {
	case s.UseDockerCLI:
		return DockerCLI, "build.local.useDockerCLI is true"
	case len(s.UnknownFlags) > 0:
		return DockerCLI, fmt.Sprintf("only it knows %s of docker.cliFlags", strings.Join(s.UnknownFlags, ", "))
	case s.UseBuildkit == nil && s.Squash && !s.refused():
		return Classic, "docker.squash is true, and BuildKit has no squash"
	case !s.refused():
		return BuildKit, ""
	case len(s.Flags) > 0:
		return DockerCLI, s.refusal() + " and there are docker.cliFlags"
	default:
		return Classic, s.refusal()
	}
}

// refused says whether the user wants no BuildKit.
func (s Settings) refused() bool {
	if s.UseBuildkit != nil {
		return !*s.UseBuildkit
	}
	return s.DockerBuildkit == "0" || strings.EqualFold(s.DockerBuildkit, "false")
}

func (s Settings) refusal() string {
	if s.UseBuildkit != nil {
		return "build.local.useBuildkit is false"
	}
	return "DOCKER_BUILDKIT is " + s.DockerBuildkit
}
