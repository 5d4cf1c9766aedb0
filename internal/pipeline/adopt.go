package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"github.com/davit-dev/davit/internal/cache"
	"github.com/davit-dev/davit/internal/plan"
)

// Claim is an image that somebody else says was made of an artifact's inputs.
type Claim struct {
	Artifact plan.Artifact
	Digest   string // in the repository that the artifact is pushed to; empty when that is not known
	ImageID  string // in the Docker Engine; empty when that is not known
}

// Adopt remembers the images of claims as if they had been built: those that are where a build would have put them, for the platforms that it would have
// built for. Whether they were made of the inputs is for the caller to know. The errors say, by claim, why one is not taken.
func (p *Pipeline) Adopt(ctx context.Context, claims []Claim) ([]error, error) {
	errs := make([]error, len(claims))
	var group errgroup.Group
	group.SetLimit(16)
	for i, c := range claims {
		group.Go(func() error {
			if c.Artifact.Push {
				errs[i] = p.inRegistry(ctx, c)
			} else {
				errs[i] = p.inEngine(ctx, c)
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var built []cache.Built
	for i, c := range claims {
		if errs[i] != nil {
			continue
		}
		b := cache.Built{
			Image: c.Artifact.Image, Identity: identity(c.Artifact.Draft), Key: c.Artifact.Inputs.Key(), Manifest: c.Artifact.Inputs,
			Ref: c.Artifact.Ref.String(), Pushed: c.Artifact.Push,
		}
		if b.Pushed {
			b.Digest = c.Digest
		} else {
			b.ImageID = c.ImageID
		}
		built = append(built, b)
	}
	p.Cache.Record(ctx, built)
	return errs, nil
}

func (p *Pipeline) inEngine(ctx context.Context, c Claim) error {
	if c.ImageID == "" {
		return errors.New("it was pushed, and of the Docker Engine nothing is known")
	}
	is, err := p.Cache.InEngine(ctx, c.ImageID)
	if err == nil && !is {
		return fmt.Errorf("its image is gone: the Docker Engine has no %s", c.ImageID)
	}
	return err
}

func (p *Pipeline) inRegistry(ctx context.Context, c Claim) error {
	if c.Digest == "" {
		return fmt.Errorf("it was built into the Docker Engine as %s and not pushed", c.ImageID)
	}
	ref := c.Artifact.Ref.Name + "@" + c.Digest
	has, err := p.Cache.Platforms(ctx, ref)
	if refused, ok := errors.AsType[*transport.Error](err); ok && refused.StatusCode == http.StatusNotFound {
		return fmt.Errorf("its image is gone: there is no %s", ref)
	}
	if err != nil {
		return err
	}
	wanted := c.Artifact.Platforms
	if len(wanted) == 0 {
		wanted = []string{"linux/" + runtime.GOARCH}
	}
	for _, w := range wanted {
		// The variant of a processor is written by some and left out by others.
		if len(has) > 0 && !slices.ContainsFunc(has, func(h string) bool { return strings.HasPrefix(h+"/", w+"/") || strings.HasPrefix(w+"/", h+"/") }) {
			return fmt.Errorf("its image %s is for %s, not for %s", ref, strings.Join(has, ", "), w)
		}
	}
	return nil
}
