package buildkit

import (
	"context"
	"fmt"

	docker "github.com/moby/moby/client"

	"github.com/davit-dev/davit/internal/engine"
)

// Endpoint is the address of a Docker Engine.
type Endpoint = engine.Endpoint

// engineImageID is the id of an image in the Engine that must be there.
func engineImageID(ctx context.Context, client *docker.Client, ref string) (string, error) {
	id, err := engine.ImageID(ctx, client, ref)
	if err == nil && id == "" {
		err = fmt.Errorf("the Docker Engine built %s but has no such image", ref)
	}
	return id, err
}
