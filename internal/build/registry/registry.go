// Package registry is davit's own way to a registry, for what it writes there beside what a builder pushes: indexes.
package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/docker/cli/cli/config/configfile"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Client reads and writes manifests. Errors are those of go-containerregistry.
type Client struct {
	Keychain  authn.Keychain
	Transport http.RoundTripper // nil: as go-containerregistry has it
	Insecure  []string          // hosts to talk to in plain HTTP, beside those on loopback
}

// Parse reads a reference.
func (c Client) Parse(ref string) (name.Reference, error) {
	var opts []name.Option
	if host, _, ok := strings.Cut(ref, "/"); ok && slices.Contains(c.Insecure, host) {
		opts = append(opts, name.Insecure)
	}
	return name.ParseReference(ref, opts...)
}

// Options try again after dropped connections and what a registry refused because it is in trouble or asked too often.
func (c Client) Options(ctx context.Context) []remote.Option {
	opts := []remote.Option{
		remote.WithContext(ctx), remote.WithAuthFromKeychain(c.Keychain),
		remote.WithRetryBackoff(remote.Backoff{Duration: 500 * time.Millisecond, Factor: 3, Jitter: 0.1, Steps: 4}),
		remote.WithRetryStatusCodes(http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout),
	}
	if c.Transport != nil {
		opts = append(opts, remote.WithTransport(c.Transport))
	}
	return opts
}

// PutIndex writes an index under ref, whose repository has its manifests already, and returns its digest.
func (c Client) PutIndex(ctx context.Context, ref string, index v1.IndexManifest) (string, error) {
	parsed, err := c.Parse(ref)
	if err != nil {
		return "", err
	}
	raw, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return "", err
	}
	digest, _, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return "", err
	}
	return digest.String(), remote.Put(parsed, manifest{raw, index.MediaType}, c.Options(ctx)...)
}

// Join makes an index under ref of images of its repository: platforms to digests, in the platforms' order.
func (c Client) Join(ctx context.Context, ref string, platforms []string, digests map[string]string) (string, error) {
	parsed, err := c.Parse(ref)
	if err != nil {
		return "", err
	}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for _, text := range platforms {
		found, err := remote.Head(parsed.Context().Digest(digests[text]), c.Options(ctx)...)
		if err != nil {
			return "", fmt.Errorf("reading the image for %s: %w", text, err)
		}
		found.ArtifactType = "" // the client's own guess
		if found.Platform, err = v1.ParsePlatform(text); err != nil {
			return "", err
		}
		index.Manifests = append(index.Manifests, *found)
	}
	return c.PutIndex(ctx, ref, index)
}

// manifest is one in its final form.
type manifest struct {
	raw       []byte
	mediaType types.MediaType
}

func (m manifest) RawManifest() ([]byte, error)        { return m.raw, nil }
func (m manifest) MediaType() (types.MediaType, error) { return m.mediaType, nil }

// Docker gives the credentials of the docker command's configuration, credential helpers included.
func Docker(file *configfile.ConfigFile) authn.Keychain { return docker{file} }

type docker struct{ file *configfile.ConfigFile }

// Resolve implements authn.Keychain.
func (d docker) Resolve(target authn.Resource) (authn.Authenticator, error) {
	host := target.RegistryStr()
	if host == name.DefaultRegistry {
		host = authn.DefaultAuthKey
	}
	found, err := d.file.GetAuthConfig(host)
	if err != nil {
		return nil, fmt.Errorf("reading credentials for %s: %w", host, err)
	}
	a := authn.AuthConfig{Username: found.Username, Password: found.Password, Auth: found.Auth, IdentityToken: found.IdentityToken, RegistryToken: found.RegistryToken}
	if a == (authn.AuthConfig{}) {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(a), nil
}
