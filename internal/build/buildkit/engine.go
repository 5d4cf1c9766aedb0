package buildkit

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/cli/cli/connhelper"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/registry"
	docker "github.com/moby/moby/client"

	"github.com/docker/cli/cli/config/types"
)

var pingOptions = docker.PingOptions{NegotiateAPIVersion: true}

// openEngine makes a client of the Engine; nothing is sent yet.
func openEngine(e Endpoint) (*docker.Client, error) {
	opts := []docker.Opt{docker.WithHost(e.Host)}
	if e.TLSDir != "" {
		file := func(name string) string { return filepath.Join(e.TLSDir, name) }
		ca := file("ca.pem")
		if !e.TLSVerify {
			ca = ""
		}
		opts = append(opts, docker.WithTLSClientConfig(ca, file("cert.pem"), file("key.pem")))
	}
	if strings.HasPrefix(e.Host, "ssh://") {
		helper, err := connhelper.GetConnectionHelper(e.Host)
		if err != nil {
			return nil, fmt.Errorf("the Docker Engine's address %s: %w", e.Host, err)
		}
		opts = []docker.Opt{docker.WithHost(helper.Host), docker.WithDialContext(helper.Dialer)}
	}
	engine, err := docker.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("the Docker Engine's address %s: %w", e.Host, err)
	}
	return engine, nil
}

// enginePush lets the Engine push ref with the user's credentials and returns the manifest's digest from its answer.
// Progress lines go to line.
func enginePush(ctx context.Context, engine *docker.Client, ref string, auth types.AuthConfig, line func(string)) (string, error) {
	header, err := authconfig.Encode(registry.AuthConfig{
		Username:      auth.Username,
		Password:      auth.Password,
		ServerAddress: auth.ServerAddress,
		IdentityToken: auth.IdentityToken,
		RegistryToken: auth.RegistryToken,
	})
	if err != nil {
		return "", err
	}
	answer, err := engine.ImagePush(ctx, ref, docker.ImagePushOptions{RegistryAuth: header})
	if err != nil {
		return "", err
	}
	var digest string
	for message, err := range answer.JSONMessages(ctx) {
		switch {
		case err != nil:
			return "", err
		case message.Error != nil:
			return "", message.Error
		case message.Aux != nil:
			var pushed struct{ Digest string }
			if err := json.Unmarshal(*message.Aux, &pushed); err != nil {
				return "", fmt.Errorf("reading the Docker Engine's answer to a push: %w", err)
			}
			if pushed.Digest != "" {
				digest = pushed.Digest
			}
		case message.ID == "" && message.Status != "":
			line(message.Status)
		}
	}
	if digest == "" {
		return "", fmt.Errorf("the Docker Engine pushed %s without saying its digest", ref)
	}
	return digest, nil
}

// engineImageID is the id of an image in the Engine.
func engineImageID(ctx context.Context, engine *docker.Client, ref string) (string, error) {
	image, err := engine.ImageInspect(ctx, ref)
	if errdefs.IsNotFound(err) {
		return "", fmt.Errorf("the Docker Engine built %s but has no such image", ref)
	}
	if err != nil {
		return "", fmt.Errorf("asking the Docker Engine for %s: %w", ref, err)
	}
	return image.ID, nil
}
