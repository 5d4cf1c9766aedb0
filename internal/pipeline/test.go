package pipeline

import (
	"context"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/imagetest"
)

// TestImages tests the images that there are cases for.
func (p *Pipeline) TestImages(ctx context.Context, cases []imagetest.Case, images []Image) error {
	byName := make(map[string]Image, len(images))
	for _, i := range images {
		byName[i.Name] = i
	}
	var about []imagetest.Case
	var local []Image
	for _, c := range cases {
		if i, built := byName[c.Image]; built {
			c.Ref, c.Digest, c.Local = i.Ref, i.Digest, i.Local
			about, local = append(about, c), append(local, i)
		}
	}
	if len(about) == 0 {
		return nil
	}
	return p.stage(event.StageTest, func() error {
		if err := p.pin(ctx, local...); err != nil {
			return err
		}
		return p.Test(ctx, about)
	})
}
