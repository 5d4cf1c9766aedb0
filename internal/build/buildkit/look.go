package buildkit

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/docker/cli/cli/config"

	"github.com/davit-dev/davit/internal/build/carried"
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
	if f.Docker, err = dockerEndpoint(m); err != nil {
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
	if dir := getenv("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	return filepath.Join(home, ".docker")
}

// dockerEndpoint finds the Engine's address as the docker command does: DOCKER_HOST, then DOCKER_CONTEXT, then the context
// that is current in its configuration, then the default.
func dockerEndpoint(m Machine) (Endpoint, error) {
	if host := m.Getenv("DOCKER_HOST"); host != "" {
		e := Endpoint{Host: host, NamedBy: "DOCKER_HOST", Explicit: true}
		if m.Getenv("DOCKER_TLS_VERIFY") != "" || m.Getenv("DOCKER_CERT_PATH") != "" {
			e.TLSDir, e.TLSVerify = m.Getenv("DOCKER_CERT_PATH"), m.Getenv("DOCKER_TLS_VERIFY") != ""
			if e.TLSDir == "" {
				e.TLSDir = DockerConfigDir(m.Getenv, m.Home)
			}
		}
		return e, nil
	}
	dir := DockerConfigDir(m.Getenv, m.Home)
	if name := m.Getenv("DOCKER_CONTEXT"); name != "" && name != "default" {
		e, err := contextEndpoint(dir, name)
		e.NamedBy, e.Explicit = "DOCKER_CONTEXT", true
		return e, err
	}
	file, err := config.Load(dir)
	if err != nil {
		return Endpoint{}, fmt.Errorf("reading the docker command's configuration: %w", err)
	}
	if name := file.CurrentContext; name != "" && name != "default" && m.Getenv("DOCKER_CONTEXT") == "" {
		e, err := contextEndpoint(dir, name)
		e.NamedBy = "the Docker context " + name
		return e, err
	}
	if m.GOOS == "windows" {
		return Endpoint{Host: "npipe:////./pipe/docker_engine"}, nil
	}
	return Endpoint{Host: "unix:///var/run/docker.sock"}, nil
}

// contextEndpoint reads a context from the docker command's store, where a context's folder is named by its name's digest.
func contextEndpoint(dir, name string) (Endpoint, error) {
	id := fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
	path := filepath.Join(dir, "contexts", "meta", id, "meta.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return Endpoint{}, fmt.Errorf("reading the Docker context %s: %w; see `docker context ls`", name, err)
	}
	var meta struct {
		Endpoints map[string]struct {
			Host          string
			SkipTLSVerify bool
		}
	}
	if err := json.Unmarshal(b, &meta); err != nil {
		return Endpoint{}, fmt.Errorf("reading the Docker context %s from %s: %w", name, path, err)
	}
	docker, ok := meta.Endpoints["docker"]
	if !ok || docker.Host == "" {
		return Endpoint{}, fmt.Errorf("the Docker context %s names no Docker Engine (%s)", name, path)
	}
	e := Endpoint{Host: docker.Host}
	tls := filepath.Join(dir, "contexts", "tls", id, "docker")
	if _, err := os.Stat(tls); err == nil {
		e.TLSDir, e.TLSVerify = tls, !docker.SkipTLSVerify
	}
	return e, nil
}

// askEngine says why the Engine cannot build, or nil.
func askEngine(ctx context.Context, e Endpoint) error {
	ctx, cancel := context.WithTimeoutCause(ctx, engineAnswers, fmt.Errorf("no answer within %s", engineAnswers))
	defer cancel()
	engine, err := openEngine(e)
	if err != nil {
		return err
	}
	ping, err := engine.Ping(ctx, pingOptions)
	closeErr := engine.Close()
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
