package local_test

import (
	"testing"

	"github.com/davit-dev/davit/internal/build/local"
)

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings local.Settings
		want     local.Way
		why      string
	}{
		{"nothing said", local.Settings{}, local.BuildKit, ""},
		{"BuildKit wanted", local.Settings{UseBuildkit: new(true), DockerBuildkit: "0"}, local.BuildKit, ""},
		{"flags that BuildKit knows", local.Settings{Flags: []string{"--label=a=b"}}, local.BuildKit, ""},
		{"a flag that it does not know", local.Settings{Flags: []string{"--isolation=process"}, UnknownFlags: []string{"--isolation"}}, local.DockerCLI, "only it knows --isolation of docker.cliFlags"},
		{"the command wanted", local.Settings{UseDockerCLI: true, UseBuildkit: new(false)}, local.DockerCLI, "build.local.useDockerCLI is true"},
		{"no BuildKit wanted", local.Settings{UseBuildkit: new(false), DockerBuildkit: "1"}, local.Classic, "build.local.useBuildkit is false"},
		{"no BuildKit in the environment", local.Settings{DockerBuildkit: "0"}, local.Classic, "DOCKER_BUILDKIT is 0"},
		{"no BuildKit, flags", local.Settings{UseBuildkit: new(false), Flags: []string{"--label=a=b"}}, local.DockerCLI, "build.local.useBuildkit is false and there are docker.cliFlags"},
		{"squash", local.Settings{Squash: true}, local.Classic, "docker.squash is true, and BuildKit has no squash"},
		{"squash, BuildKit wanted", local.Settings{Squash: true, UseBuildkit: new(true)}, local.BuildKit, ""},
	} {
		if got, why := local.Choose(c.settings); got != c.want || why != c.why {
			t.Errorf("%s: way %d because %q, want %d because %q", c.name, got, why, c.want, c.why)
		}
	}
}
