package buildkit

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
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
func (j *job) services() ([]session.Attachable, error) {
	// BuildKit asks for a registry's credentials by its host, and gets a token where the registry gives tokens.
	out := []session.Attachable{authprovider.NewDockerAuthProvider(authprovider.DockerAuthProviderConfig{
		AuthConfigProvider: authprovider.LoadAuthConfig(j.credentials),
	})}
	if len(j.spec.Secrets) > 0 {
		store := secretStore{}
		for _, s := range j.spec.Secrets {
			value, err := j.readSecret(s)
			if err != nil {
				return nil, err
			}
			store[s.ID] = value
		}
		out = append(out, secretsprovider.NewSecretProvider(store))
	}
	agents := j.flags.ssh
	if j.spec.SSH != "" {
		agents = append(slices.Clone(agents), j.spec.SSH)
	}
	if len(agents) == 0 {
		return out, nil
	}
	var configs []sshprovider.AgentConfig
	for _, text := range agents {
		config, err := j.sshAgent(text)
		if err != nil {
			return nil, err
		}
		configs = append(configs, config)
	}
	provider, err := sshprovider.NewSSHAgentProvider(configs)
	if err != nil {
		return nil, fmt.Errorf("ssh %q: %w", strings.Join(agents, " "), err)
	}
	return append(out, provider), nil
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

// readSecret reads a secret as `docker build --secret` does: from the file, from the environment variable, or, when neither is named, from
// the variable or else the file of its own name.
func (b *Builder) readSecret(s build.Secret) ([]byte, error) {
	if s.Source != "" {
		value, err := os.ReadFile(s.Source)
		if err != nil {
			return nil, fmt.Errorf("build secret %s: %w", s.ID, err)
		}
		return value, nil
	}
	if value := b.options.Getenv(cmp.Or(s.Env, s.ID)); value != "" {
		return []byte(value), nil
	}
	if s.Env != "" {
		return nil, fmt.Errorf("build secret %s: the environment variable %s is not set", s.ID, s.Env)
	}
	value, err := os.ReadFile(s.ID)
	if err != nil {
		return nil, fmt.Errorf("build secret %s: the environment variable %s is not set, and there is no such file: %w", s.ID, s.ID, err)
	}
	return value, nil
}

// sshAgent reads "default" or "id=path[,path]", where a path is an agent's socket or a key; without one it is the user's agent.
func (b *Builder) sshAgent(s string) (sshprovider.AgentConfig, error) {
	id, paths, ok := strings.Cut(s, "=")
	agent := sshprovider.AgentConfig{ID: id}
	if !ok {
		socket := b.options.Getenv("SSH_AUTH_SOCK")
		if socket == "" {
			return agent, fmt.Errorf("ssh %q: no agent runs, as SSH_AUTH_SOCK is not set; start one (eval $(ssh-agent); ssh-add), or name a key: %s=PATH", s, id)
		}
		paths = socket
	}
	agent.Paths = strings.Split(paths, ",")
	for _, path := range agent.Paths {
		if _, err := os.Stat(path); err != nil {
			return agent, fmt.Errorf("ssh %q: %w", s, err)
		}
	}
	return agent, nil
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
