package buildkit_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/buildkit"
)

func TestFlagsOfDockerBuild(t *testing.T) {
	env := func(name string) string { return map[string]string{"FROM_ENV": "set"}[name] }
	flags, unknown, err := buildkit.ParseFlags([]string{
		"--build-arg", "A=1", "--build-arg=FROM_ENV", "--build-arg", "NOT_SET", "--label", "who=davit", "-f", "docker/Dockerfile",
		"--target=web", "--network", "none", "--add-host", "there:10.0.0.1", "--cache-from=registry.example/cache", "--cache-to", "type=inline",
		"--build-context", "other=../other", "--build-context=base=docker-image://base", "--secret", "id=token,src=token.txt", "--secret=id=env,env=TOKEN",
		"--ssh", "default", "--ssh=git=key", "--no-cache", "--no-cache-filter=web", "--pull", "--shm-size", "64m", "--ulimit", "nofile=1024:2048",
		"--cgroup-parent=builds", "--platform", "linux/amd64,linux/arm64", "--progress=plain", "-q", "--rm", "--load", "--annotation", "a=b",
		"--provenance=max", "--sbom", "--squash=false",
	}, "/work", env)
	if err != nil || len(unknown) > 0 {
		t.Fatal(unknown, err)
	}
	if want := []string{"linux/amd64", "linux/arm64"}; !reflect.DeepEqual(flags.Platforms, want) {
		t.Errorf("platforms %v", flags.Platforms)
	}
	if want := []build.Attestation{{Kind: "provenance", Attrs: map[string]string{"mode": "max"}}, {Kind: "sbom", Attrs: map[string]string{}}}; !reflect.DeepEqual(flags.Attest, want) {
		t.Errorf("attestations %v", flags.Attest)
	}
	spec := flags.Apply(build.Docker{Dockerfile: "/work/Dockerfile", Target: "configured", BuildArgs: map[string]string{"A": "0", "B": "2"}})
	rest := spec.CLIFlags
	spec.CLIFlags = nil
	if want := (build.Docker{
		Dockerfile: "/work/docker/Dockerfile", Target: "configured", Network: "none",
		BuildArgs: map[string]string{"A": "1", "B": "2", "FROM_ENV": "set"}, Labels: map[string]string{"who": "davit"},
		Contexts: map[string]string{"other": "/other", "base": "docker-image://base"}, AddHosts: []string{"there:10.0.0.1"},
		CacheFrom: []string{"registry.example/cache"}, CacheTo: []string{"type=inline"}, NoCache: true, Pull: true,
		Secrets: []build.Secret{{ID: "token", Source: "/work/token.txt"}, {ID: "env", Env: "TOKEN"}},
	}); !reflect.DeepEqual(spec, want) {
		t.Errorf("got  %+v\nwant %+v", spec, want)
	}
	text := strings.Join(rest, " ")
	for _, want := range []string{"--ssh=default --ssh=git=key", "--shm-size=64m", "--ulimit=nofile=1024:2048", "--no-cache-filter=web", "--cgroup-parent=builds", "--annotation=a=b"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not left for the build: %s", want, text)
		}
	}
	again, unknown, err := buildkit.ParseFlags(rest, "/work", env)
	if err != nil || len(unknown) > 0 {
		t.Fatal(unknown, err)
	}
	if left := again.Apply(spec); !reflect.DeepEqual(left.CLIFlags, rest) || !reflect.DeepEqual(left.BuildArgs, spec.BuildArgs) {
		t.Errorf("what is left changes when it is read again: %v", left)
	}
}

func TestFlagsThatBuildKitDoesNotServe(t *testing.T) {
	none := func(string) string { return "" }
	_, unknown, err := buildkit.ParseFlags([]string{"--isolation=hyperv", "--security-opt", "seccomp=x", "-t", "name", "--no-cache", "--output=type=local,dest=.", "--build-context", "base=oci-layout://image"}, "/", none)
	if err != nil || strings.Join(unknown, " ") != "--isolation --security-opt -t --output --build-context" {
		t.Errorf("unknown %v, %v", unknown, err)
	}
	for flag, want := range map[string]string{
		"--no-cache=perhaps":   "invalid argument",
		"--shm-size=big":       "--shm-size",
		"--ulimit=x":           "--ulimit",
		"--secret=src":         "no id",
		"--attest=type=poem":   "provenance or sbom",
		"--build-context=name": "NAME=PLACE",
		"stray":                `"stray" is none`,
	} {
		if _, _, err := buildkit.ParseFlags([]string{flag}, "/", none); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", flag, err, want)
		}
	}
}
