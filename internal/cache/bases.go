package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/inputs"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const (
	// baseFresh is how long it is believed that a tag's image has the same ONBUILD instructions and variables.
	baseFresh = 7 * 24 * time.Hour
	// baseRetry is how long a registry is left alone that could not be asked.
	baseRetry = time.Hour
)

// base is what is remembered of a base image.
type base struct {
	Ref      string    `json:"ref"`
	Platform string    `json:"platform"`
	Env      []string  `json:"env,omitempty"`
	OnBuild  []string  `json:"onBuild,omitempty"`
	Known    bool      `json:"known"` // false: its registry could not be asked
	When     time.Time `json:"when"`
}

// Bases answers inputs.Options.Base from the registries that base images are in. What is found is remembered on disk, so that only the first build
// from an image asks for it. With pull, the digest behind each tag is asked for every time, and counts.
//
// An image that nobody can be asked about has no ONBUILD instructions and variables as far as is known, which is right for nearly all. A registry that
// does not answer is asked once, and not again for an hour.
func (c *Cache) Bases(pull bool) func(ctx context.Context, ref, platform string) (inputs.BaseImage, error) {
	b := &bases{Cache: c, pull: pull}
	return func(ctx context.Context, ref, platform string) (inputs.BaseImage, error) {
		answer, _ := b.answers.LoadOrStore(ref+" "+platform, sync.OnceValue(func() inputs.BaseImage { return b.find(ctx, ref, platform) }))
		return answer.(func() inputs.BaseImage)(), ctx.Err()
	}
}

type bases struct {
	*Cache
	pull    bool
	answers sync.Map // of func() inputs.BaseImage, by reference and platform
	silent  sync.Map // registries that did not answer
}

func (c *bases) find(ctx context.Context, ref, platform string) inputs.BaseImage {
	var image inputs.BaseImage
	remote := c.registry.open(ctx, []string{ref}, false)
	defer remote.close()
	if c.pull && !strings.Contains(ref, "@") {
		image.Digest, _ = remote.head(ref)
	}
	file := filepath.Join(c.disk.folder, "bases", hexSum(ref+" "+platform))
	var b base
	known := c.disk.read(file, &b) && b.Ref == ref && b.Platform == platform
	age := c.o.Now().Sub(b.When)
	if !known || b.Known && age > baseFresh && !strings.Contains(ref, "@") || !b.Known && age > baseRetry {
		fresh, err := c.config(remote, ref, platform)
		switch {
		case err == nil:
			b = base{Env: fresh.Env, OnBuild: fresh.OnBuild, Known: true}
		case ctx.Err() != nil:
			return image
		default:
			c.o.Sink.Emit(event.Debug{Message: fmt.Sprintf("what the base image %s brings along is not known: %v", ref, err)})
		}
		b.Ref, b.Platform, b.When = ref, platform, c.o.Now().UTC()
		if err := c.disk.write(file, b); err != nil {
			c.o.Sink.Emit(event.Debug{Message: fmt.Sprintf("what the base image %s brings along is not remembered: %v", ref, err)})
		}
	}
	image.Env, image.OnBuild = b.Env, b.OnBuild
	return image
}

// config asks for an image's configuration on a platform, unless its registry did not answer before.
func (c *bases) config(remote *batch, ref, platform string) (v1.Config, error) {
	parsed, err := remote.parse(ref)
	if err != nil {
		return v1.Config{}, err
	}
	registry := parsed.Context().RegistryStr()
	if _, silent := c.silent.Load(registry); silent {
		return v1.Config{}, errUnreachable
	}
	config, err := remote.config(parsed, platform)
	var answered *transport.Error
	if err != nil && !errors.As(err, &answered) {
		c.silent.Store(registry, true)
	}
	return config, err
}

func hexSum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// config is an image's configuration on a platform.
func (b *batch) config(ref name.Reference, platform string) (v1.Config, error) {
	on, err := v1.ParsePlatform(platform)
	if err != nil {
		return v1.Config{}, err
	}
	opts, done, err := b.sessions[ref.Context().RegistryStr()].options()
	if err != nil {
		return v1.Config{}, err
	}
	defer done()
	image, err := remote.Image(ref, append(opts, remote.WithPlatform(*on))...)
	if err != nil {
		return v1.Config{}, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return v1.Config{}, err
	}
	return file.Config, nil
}
