package buildkit

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth/authprovider"
	"github.com/moby/buildkit/session/secrets"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/moby/buildkit/session/sshforward/sshprovider"

	"github.com/davit-dev/davit/internal/build"
)

// services are what the BuildKit may ask of this side during the build: registry credentials, secrets, the ssh agent.
func (b *Builder) services(spec build.Docker, credentials *configfile.ConfigFile) ([]session.Attachable, error) {
	// BuildKit asks for a registry's credentials by its host, and gets a token where the registry gives tokens.
	out := []session.Attachable{authprovider.NewDockerAuthProvider(authprovider.DockerAuthProviderConfig{
		AuthConfigProvider: authprovider.LoadAuthConfig(credentials),
	})}
	if len(spec.Secrets) > 0 {
		store := secretStore{}
		for _, s := range spec.Secrets {
			value, err := b.readSecret(s)
			if err != nil {
				return nil, err
			}
			store[s.ID] = value
		}
		out = append(out, secretsprovider.NewSecretProvider(store))
	}
	if spec.SSH != "" {
		agents, err := sshprovider.NewSSHAgentProvider([]sshprovider.AgentConfig{b.sshAgent(spec.SSH)})
		if err != nil {
			return nil, fmt.Errorf("ssh %q: %w", spec.SSH, err)
		}
		out = append(out, agents)
	}
	return out, nil
}

// secretStore holds secrets by id.
type secretStore map[string][]byte

func (s secretStore) GetSecret(_ context.Context, id string) ([]byte, error) {
	value, ok := s[id]
	if !ok {
		return nil, fmt.Errorf("secret %s: %w", id, secrets.ErrNotFound)
	}
	return value, nil
}

// readSecret reads a secret as `docker build --secret` does: from the file, from the environment variable, or from the
// variable of its own name.
func (b *Builder) readSecret(s build.Secret) ([]byte, error) {
	if s.Source != "" {
		value, err := os.ReadFile(s.Source)
		if err != nil {
			return nil, fmt.Errorf("build secret %s: %w", s.ID, err)
		}
		return value, nil
	}
	name := s.Env
	if name == "" {
		name = s.ID
	}
	value := b.options.Getenv(name)
	if value == "" {
		return nil, fmt.Errorf("build secret %s: the environment variable %s is not set", s.ID, name)
	}
	return []byte(value), nil
}

// sshAgent reads "default" or "id=path[,path]"; without a path it is the user's agent.
func (b *Builder) sshAgent(s string) sshprovider.AgentConfig {
	id, paths, ok := strings.Cut(s, "=")
	agent := sshprovider.AgentConfig{ID: id}
	if ok {
		agent.Paths = strings.Split(paths, ",")
	} else if socket := b.options.Getenv("SSH_AUTH_SOCK"); socket != "" {
		agent.Paths = []string{socket}
	}
	return agent
}

// credentials reads the docker command's configuration, where `docker login` and the credential helpers are.
func (b *Builder) credentials() (*configfile.ConfigFile, error) {
	file, err := config.Load(b.options.DockerConfig)
	if err != nil {
		return nil, fmt.Errorf("reading registry credentials: %w", err)
	}
	return file, nil
}

// credentialsKey is the name under which the docker command keeps a registry's credentials.
func credentialsKey(ref reference.Named) string {
	if domain := reference.Domain(ref); domain != "docker.io" {
		return domain
	}
	return authprovider.DockerHubConfigfileKey
}
