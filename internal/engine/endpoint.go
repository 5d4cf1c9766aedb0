package engine

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/types"
	"github.com/moby/moby/api/types/registry"
)

// Endpoint is the address of a Docker Engine.
type Endpoint struct {
	Host string // unix:///var/run/docker.sock, tcp://..., ssh://..., npipe://...
	// NamedBy is what named Host: "DOCKER_HOST", "the Docker context desktop-linux". Empty when Host is Docker's default.
	NamedBy string
	// Explicit is set when this run's environment named Host, not a configuration file: then it is that one or none.
	Explicit  bool
	TLSDir    string // with ca.pem, cert.pem and key.pem; empty for none
	TLSVerify bool   // verify the Engine's certificate
}

// ConfigDir is the folder of the docker command's configuration. home is the user's home folder.
func ConfigDir(getenv func(string) string, home string) string {
	if dir := getenv("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	return filepath.Join(home, ".docker")
}

// Find finds the Engine's address as the docker command does: DOCKER_HOST, then DOCKER_CONTEXT, then the context that is current
// in its configuration, then the default of goos (runtime.GOOS). The Engine is not asked.
func Find(getenv func(string) string, home, goos string) (Endpoint, error) {
	if host := getenv("DOCKER_HOST"); host != "" {
		e := Endpoint{Host: host, NamedBy: "DOCKER_HOST", Explicit: true}
		if getenv("DOCKER_TLS_VERIFY") != "" || getenv("DOCKER_CERT_PATH") != "" {
			e.TLSDir, e.TLSVerify = getenv("DOCKER_CERT_PATH"), getenv("DOCKER_TLS_VERIFY") != ""
			if e.TLSDir == "" {
				e.TLSDir = ConfigDir(getenv, home)
			}
		}
		return e, nil
	}
	dir := ConfigDir(getenv, home)
	if name := getenv("DOCKER_CONTEXT"); name != "" && name != "default" {
		e, err := contextEndpoint(dir, name)
		e.NamedBy, e.Explicit = "DOCKER_CONTEXT", true
		return e, err
	}
	file, err := config.Load(dir)
	if err != nil {
		return Endpoint{}, fmt.Errorf("reading the docker command's configuration: %w", err)
	}
	if name := file.CurrentContext; name != "" && name != "default" && getenv("DOCKER_CONTEXT") == "" {
		e, err := contextEndpoint(dir, name)
		e.NamedBy = "the Docker context " + name
		return e, err
	}
	if goos == "windows" {
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

// Credentials are the user's for the registry of an image, from the docker command's configuration in configDir; zero without any.
func Credentials(configDir, ref string) (types.AuthConfig, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return types.AuthConfig{}, fmt.Errorf("the image name %q: %w", ref, err)
	}
	file, err := config.Load(configDir)
	if err != nil {
		return types.AuthConfig{}, fmt.Errorf("reading registry credentials: %w", err)
	}
	key := reference.Domain(named)
	if key == "docker.io" {
		key = "https://index.docker.io/v1/"
	}
	auth, err := file.GetAuthConfig(key)
	if err != nil {
		return types.AuthConfig{}, fmt.Errorf("reading credentials for %s: %w", reference.Domain(named), err)
	}
	return auth, nil
}

// AllCredentials are the user's for all registries that the docker command's configuration in configDir names.
func AllCredentials(configDir string) (map[string]registry.AuthConfig, error) {
	file, err := config.Load(configDir)
	if err != nil {
		return nil, fmt.Errorf("reading registry credentials: %w", err)
	}
	all, err := file.GetAllCredentials()
	if err != nil {
		return nil, fmt.Errorf("reading registry credentials: %w", err)
	}
	out := make(map[string]registry.AuthConfig, len(all))
	for name, auth := range all {
		out[name] = credentials(auth)
	}
	return out, nil
}
