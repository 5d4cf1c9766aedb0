package engine

import (
	"context"
	"sync"

	docker "github.com/moby/moby/client"
)

// Images answers for the images of an Engine that is looked for when it is first asked. It is safe for concurrent use.
type Images struct {
	connect func() (*docker.Client, error)
}

// NewImages makes Images; find says where the Engine is.
func NewImages(find func() (Endpoint, error)) *Images {
	return &Images{connect: sync.OnceValues(func() (*docker.Client, error) {
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
