package helm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// chartLayer is the media type of a chart in a registry.
const chartLayer = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

// oci brings a chart from a registry: "oci://host/path/chart", with a tag or digest or without.
func (f *fetcher) oci(ctx context.Context, address, version string, login credentials) ([]byte, error) {
	var options []name.Option
	if f.flags.plainHTTP {
		options = append(options, name.Insecure)
	}
	text := strings.TrimPrefix(address, "oci://")
	ref, err := name.ParseReference(text, options...)
	if err != nil {
		return nil, err
	}
	access := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(f.keychain(login))}
	if tag, isTag := ref.(name.Tag); isTag && !strings.HasSuffix(text, ":"+tag.TagStr()) {
		if ref, err = f.ociTag(tag.Repository, version, access); err != nil {
			return nil, err
		}
	}
	return f.kept("oci\x00"+ref.Context().Name(), strings.ReplaceAll(ref.Identifier(), "_", "+"), func() ([]byte, error) { return pull(ref, access) })
}

// ociTag finds the tag of the version that is wanted. Tags cannot hold a plus: it is an underscore there.
func (f *fetcher) ociTag(repo name.Repository, version string, access []remote.Option) (name.Reference, error) {
	if exact := strings.ReplaceAll(version, "+", "_"); isVersion(version) {
		return repo.Tag(exact), nil
	}
	tags, err := remote.List(repo, access...)
	if err != nil {
		return nil, err
	}
	for i := range tags {
		tags[i] = strings.ReplaceAll(tags[i], "_", "+")
	}
	best, err := f.choose(tags, version)
	if err != nil {
		return nil, err
	}
	return repo.Tag(strings.ReplaceAll(best, "+", "_")), nil
}

func pull(ref name.Reference, access []remote.Option) ([]byte, error) {
	img, err := remote.Image(ref, access...)
	if err != nil {
		return nil, err
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	for _, layer := range layers {
		if media, err := layer.MediaType(); err != nil || media != chartLayer {
			continue
		}
		content, err := layer.Compressed()
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(content)
		return data, errors.Join(err, content.Close())
	}
	return nil, fmt.Errorf("%s is not a chart: none of its layers is one", ref)
}

func (f *fetcher) keychain(login credentials) authn.Keychain {
	if login != (credentials{}) {
		return fixed{authn.FromConfig(authn.AuthConfig{Username: login.username, Password: login.password})}
	}
	if f.options.Keychain == nil {
		return fixed{authn.Anonymous}
	}
	return f.options.Keychain
}

// fixed is a keychain with one key.
type fixed struct{ authn.Authenticator }

func (f fixed) Resolve(authn.Resource) (authn.Authenticator, error) { return f.Authenticator, nil }
