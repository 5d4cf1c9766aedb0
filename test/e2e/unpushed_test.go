//go:build e2e

package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/engine/enginetest"
)

// An image that is not pushed is found in the Docker Engine, under whatever tag, and built again when it is gone.
func TestImagesThatAreNotPushed(t *testing.T) {
	p := newProject(t)
	p.env = append(p.env, "DOCKER_HOST="+enginetest.Start(t).Host, "KUBECONFIG=")
	p.write("skaffold.yaml", `apiVersion: skaffold/v4beta14
kind: Config
build:
  local: {push: false}
  artifacts: [{image: unpushed, context: web}]
`)
	p.write("web/Dockerfile", "FROM scratch\nCOPY page /\n")
	p.write("web/page", p.namespace)
	docker := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("docker", args...)
		cmd.Env = append(cmd.Environ(), p.env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("docker %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	p.davit("build", "-t", "v1").ok().says("no entry yet", "Building [unpushed]")
	id := docker("images", "--no-trunc", "--quiet", "unpushed:v1")
	p.davit("build", "-t", "v1").ok().says("unpushed: Found Locally").saysNot("Building [unpushed]")

	p.davit("build", "-t", "v2", "--dry-run").ok().says("unpushed: Found Locally")
	if now := docker("images", "--quiet", "unpushed:v2"); now != "" {
		t.Errorf("a dry run tagged %s", now)
	}
	p.davit("build", "-t", "v2").ok().says("unpushed: Found Locally").saysNot("Building [unpushed]")
	if now := docker("images", "--no-trunc", "--quiet", "unpushed:v2"); now != id {
		t.Errorf("v2 is %q, not %s", now, id)
	}
	docker("rmi", "--force", id)
	p.davit("build", "-t", "v2").ok().says("the image is gone from the docker engine", "Building [unpushed]")
}
