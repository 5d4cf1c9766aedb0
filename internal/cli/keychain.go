package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/davit-dev/davit/internal/render/helm"
)

// keychain reads the user's registry credentials where the docker command keeps them.
type keychain struct{ dir string }

// Resolve gives the credentials for a registry, anonymous when there are none.
func (k keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	file, err := config.Load(k.dir)
	if err != nil {
		return nil, err
	}
	return credentials(file, target)
}

// helmKeychain reads those of `helm registry login`.
type helmKeychain struct{ file string }

// Resolve gives the credentials for a registry, anonymous when there are none.
func (k helmKeychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	reader, err := os.Open(k.file)
	if errors.Is(err, fs.ErrNotExist) {
		return authn.Anonymous, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading helm's logins: %w", err)
	}
	defer reader.Close()
	file, err := config.LoadFromReader(reader)
	if err != nil {
		return nil, fmt.Errorf("reading helm's logins in %s: %w", k.file, err)
	}
	return credentials(file, target)
}

func credentials(file *configfile.ConfigFile, target authn.Resource) (authn.Authenticator, error) {
	name := target.RegistryStr()
	if name == "index.docker.io" {
		name = authn.DefaultAuthKey
	}
	found, err := file.GetAuthConfig(name)
	if err != nil {
		return nil, err
	}
	found.ServerAddress = ""
	a := authn.AuthConfig{Username: found.Username, Password: found.Password, Auth: found.Auth, IdentityToken: found.IdentityToken, RegistryToken: found.RegistryToken}
	if a == (authn.AuthConfig{}) {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(a), nil
}

// chartKeychain is asked for charts in registries: as the helm command does, its own logins first, then Docker's.
func (s *session) chartKeychain() authn.Keychain {
	return authn.NewMultiKeychain(helmKeychain{helm.RegistriesFile(s.world.Getenv, s.world.Home)}, keychain{s.dockerConfig()})
}
