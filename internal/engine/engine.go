// Package engine talks to a Docker Engine: where it is, images into it, out of it, and from it to a registry.
package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/cli/cli/config/types"
	"github.com/docker/cli/cli/connhelper"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/registry"
	docker "github.com/moby/moby/client"
)

// answers bounds how long an Engine may take to say that it is there.
const answers = 5 * time.Second

// Ping asks whether the Engine is there, and lets the client speak the version of the API that it knows.
func Ping(ctx context.Context, c *docker.Client) (docker.PingResult, error) {
	ask, cancel := context.WithTimeoutCause(ctx, answers, fmt.Errorf("no answer within %s", answers))
	defer cancel()
	answer, err := c.Ping(ask, docker.PingOptions{NegotiateAPIVersion: true})
	if err != nil && ask.Err() != nil {
		err = context.Cause(ask)
	}
	return answer, err
}

// Open makes a client of the Engine; nothing is sent yet.
func Open(e Endpoint) (*docker.Client, error) {
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
	client, err := docker.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("the Docker Engine's address %s: %w", e.Host, err)
	}
	return client, nil
}

// Push lets the Engine push ref with the user's credentials and returns the manifest's digest from its answer.
// Progress lines go to line.
//
// The Engine tells how an upload goes; when it tells nothing for a while, it is the registry that does not answer.
func Push(ctx context.Context, c *docker.Client, ref string, auth types.AuthConfig, line func(string)) (string, error) {
	return push(ctx, c, ref, auth, line, patience)
}

func push(ctx context.Context, c *docker.Client, ref string, auth types.AuthConfig, line func(string), patience time.Duration) (string, error) {
	header, err := authconfig.Encode(credentials(auth))
	if err != nil {
		return "", err
	}
	w := listen(ctx, patience)
	defer w.stop()
	answer, err := c.ImagePush(w.ctx, ref, docker.ImagePushOptions{RegistryAuth: header})
	if err != nil {
		return "", lost(c, w.why(err))
	}
	var digest string
	for message, err := range answer.JSONMessages(w.ctx) {
		w.heard()
		switch {
		case err != nil:
			return "", w.broke(c, err)
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

// credentials are those of the docker command's configuration in the form of the Engine's API.
func credentials(auth types.AuthConfig) registry.AuthConfig {
	return registry.AuthConfig{
		Username:      auth.Username,
		Password:      auth.Password,
		ServerAddress: auth.ServerAddress,
		IdentityToken: auth.IdentityToken,
		RegistryToken: auth.RegistryToken,
	}
}

// Pull lets the Engine pull ref with the user's credentials. A registry that does not answer is given up, as by [Push].
func Pull(ctx context.Context, c *docker.Client, ref string, auth types.AuthConfig) error {
	return pull(ctx, c, ref, auth, patience)
}

func pull(ctx context.Context, c *docker.Client, ref string, auth types.AuthConfig, patience time.Duration) error {
	header, err := authconfig.Encode(credentials(auth))
	if err != nil {
		return err
	}
	w := listen(ctx, patience)
	defer w.stop()
	answer, err := c.ImagePull(w.ctx, ref, docker.ImagePullOptions{RegistryAuth: header})
	if err != nil {
		return lost(c, w.why(err))
	}
	for message, err := range answer.JSONMessages(w.ctx) {
		w.heard()
		switch {
		case err != nil:
			return w.broke(c, err)
		case message.Error != nil:
			return message.Error
		}
	}
	return w.why(nil)
}

// ImageID is the id of an image in the Engine, "sha256:..."; "" when there is no such image.
func ImageID(ctx context.Context, c *docker.Client, ref string) (string, error) {
	image, err := c.ImageInspect(ctx, ref)
	if errdefs.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("asking the Docker Engine for %s: %w", ref, err)
	}
	return image.ID, nil
}

// Load reads a `docker save` archive into the Engine.
func Load(ctx context.Context, c *docker.Client, archive io.Reader) error {
	answer, err := c.ImageLoad(ctx, archive, docker.ImageLoadWithQuiet(true))
	if err != nil {
		return fmt.Errorf("loading the image into the Docker Engine: %w", err)
	}
	_, err = io.Copy(io.Discard, answer)
	return errors.Join(err, answer.Close())
}

// Tag gives the image source, a reference or an id, one more name.
func Tag(ctx context.Context, c *docker.Client, source, ref string) error {
	if _, err := c.ImageTag(ctx, docker.ImageTagOptions{Source: source, Target: ref}); err != nil {
		return fmt.Errorf("tagging %s as %s in the Docker Engine: %w", source, ref, err)
	}
	return nil
}

// Save writes images, by reference, as a `docker save` archive.
func Save(ctx context.Context, c *docker.Client, w io.Writer, refs ...string) error {
	archive, err := c.ImageSave(ctx, refs)
	if err != nil {
		return fmt.Errorf("reading %s out of the Docker Engine: %w", strings.Join(refs, ", "), err)
	}
	_, err = io.Copy(w, archive)
	return errors.Join(err, archive.Close())
}
