package buildkit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

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
	// BuildkitHost is an address given by a flag; it goes before BUILDKIT_HOST.
	BuildkitHost string
	Carried      carried.Options
}

// engineAnswers bounds how long a Docker Engine may take to answer.
const engineAnswers = 5 * time.Second

// Look finds out where images could be built. It asks a Docker Engine only when no buildkitd was named.
func Look(ctx context.Context, m Machine) (Facts, error) {
	f := Facts{BuildkitHost: m.BuildkitHost, TLSDir: m.Getenv("DAVIT_BUILDKIT_TLS_DIR")}
	if f.BuildkitHost == "" {
		f.BuildkitHost = m.Getenv("BUILDKIT_HOST")
	}
	var err error
	if f.Docker, err = engine.Find(m.Getenv, m.Home, m.GOOS); err != nil {
		return f, err
	}
	if f.BuildkitHost != "" {
		return f, nil
	}
	f.DockerError = askEngine(ctx, f.Docker)
	if ctx.Err() != nil {
		return f, context.Cause(ctx)
	}
	f.CarriedError = carried.Possible(m.Carried)
	return f, nil
}

// DockerConfigDir is the folder of the docker command's configuration.
func DockerConfigDir(getenv func(string) string, home string) string {
	return engine.ConfigDir(getenv, home)
}

// askEngine says why the Engine cannot build, or nil.
func askEngine(ctx context.Context, e Endpoint) error {
	ctx, cancel := context.WithTimeoutCause(ctx, engineAnswers, fmt.Errorf("no answer within %s", engineAnswers))
	defer cancel()
	client, err := engine.Open(e)
	if err != nil {
		return err
	}
	ping, err := client.Ping(ctx, engine.PingOptions)
	closeErr := client.Close()
	switch {
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("the Docker Engine at %s does not let this user in: %w", e.Host, err)
	case err != nil:
		return fmt.Errorf("no Docker Engine answers at %s: %w", e.Host, err)
	case ping.OSType == "windows":
		return fmt.Errorf("the Docker Engine at %s builds Windows images only", e.Host)
	}
	return closeErr
}
