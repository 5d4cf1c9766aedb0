package engine

import (
	"context"
	"sync"

	docker "github.com/moby/moby/client"
)

// Images answers for the images of an Engine that is looked for when it is first asked. It is safe for concurrent use.
type Images struct {
	connect   func() (*docker.Client, error)
	configDir string
}

// NewImages makes Images; find says where the Engine is, configDir has the docker command's configuration.
func NewImages(find func() (Endpoint, error), configDir string) *Images {
	return &Images{configDir: configDir, connect: sync.OnceValues(func() (*docker.Client, error) {
		e, err := find()
		if err != nil {
			return nil, err
		}
		return Open(e)
	})}
}

// ImageID is the id of the image that a reference or an id names, "sha256:..."; empty when there is none.
func (i *Images) ImageID(ctx context.Context, ref string) (string, error) {
	c, err := i.connect()
	if err != nil {
		return "", err
	}
	return ImageID(ctx, c, ref)
}

// Tag gives an image, by its id, one more name.
func (i *Images) Tag(ctx context.Context, id, ref string) error {
	c, err := i.connect()
	if err != nil {
		return err
	}
	return Tag(ctx, c, id, ref)
}

// Pull lets the Engine pull an image with the user's credentials.
func (i *Images) Pull(ctx context.Context, ref string) error {
	auth, err := Credentials(i.configDir, ref)
	if err != nil {
		return err
	}
	c, err := i.connect()
	if err != nil {
		return err
	}
	return Pull(ctx, c, ref, auth)
}
