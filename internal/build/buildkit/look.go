package buildkit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	docker "github.com/moby/moby/client"

	"github.com/davit-dev/davit/internal/build/carried"
	"github.com/davit-dev/davit/internal/engine"
)

// Machine is where facts come from.
type Machine struct {
	// Getenv reads BUILDKIT_HOST, DAVIT_BUILDKIT_TLS_DIR, DOCKER_HOST, DOCKER_CONTEXT, DOCKER_CONFIG, DOCKER_CERT_PATH and
	// DOCKER_TLS_VERIFY.
	Getenv func(string) string
	Home   string // the user's home folder
	GOOS   string // runtime.GOOS
	// Wanted is Engine or Carried when the user named that one; then no other place is asked.
	Wanted Kind
	// BuildkitHost is an address given by a flag; it goes before BUILDKIT_HOST.
	BuildkitHost string
	Carried      carried.Options
}

// Look finds out where images could be built. It asks a Docker Engine only when no buildkitd was named.
func Look(ctx context.Context, m Machine) (Facts, error) {
	f := Facts{Wanted: m.Wanted, BuildkitHost: m.BuildkitHost, TLSDir: m.Getenv("DAVIT_BUILDKIT_TLS_DIR")}
	if f.BuildkitHost == "" && m.Wanted == 0 {
		f.BuildkitHost = m.Getenv("BUILDKIT_HOST")
	}
	var err error
	if f.Docker, err = engine.Find(m.Getenv, m.Home, m.GOOS); err != nil {
		return f, err
	}
	if f.BuildkitHost != "" {
		return f, nil
	}
	if m.Wanted != Carried {
		f.NoBuildKit, f.DockerError = askEngine(ctx, f.Docker)
	}
	if ctx.Err() != nil {
		return f, context.Cause(ctx)
	}
	if m.Wanted != Engine {
		f.CarriedError = carried.Possible(m.Carried)
	}
	return f, nil
}

// DockerConfigDir is the folder of the docker command's configuration.
func DockerConfigDir(getenv func(string) string, home string) string {
	return engine.ConfigDir(getenv, home)
}

// askEngine says why the Engine cannot build, or nil, and whether it can without BuildKit only.
func askEngine(ctx context.Context, e Endpoint) (noBuildKit bool, err error) {
	client, err := engine.Open(e)
	if err != nil {
		return false, err
	}
	defer client.Close()
	ping, err := engine.Ping(ctx, client)
	switch {
	case errors.Is(err, os.ErrPermission):
		return false, fmt.Errorf("the Docker Engine at %s does not let this user in: %w", e.Host, err)
	case err != nil:
		return false, fmt.Errorf("no Docker Engine answers at %s: %w", e.Host, err)
	case ping.OSType == "windows":
		return false, fmt.Errorf("the Docker Engine at %s builds Windows images only", e.Host)
	}
	// Engines say which builder they prefer; up to 20.10 only when somebody chose one.
	return ping.BuilderVersion == "" && !offersBuildKit(ctx, client), nil
}

// engineAnswers bounds how long an Engine that is there may take to offer its BuildKit.
const engineAnswers = 5 * time.Second

// offersBuildKit says whether the Engine has the endpoint that leads to its BuildKit.
func offersBuildKit(ctx context.Context, c *docker.Client) bool {
	ctx, cancel := context.WithTimeout(ctx, engineAnswers)
	defer cancel()
	conn, err := c.DialHijack(ctx, "/grpc", "h2c", nil)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
