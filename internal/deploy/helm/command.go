package helm

import (
	"context"
	"errors"

	"github.com/davit-dev/davit/internal/render/helm"
)

func (w *Work) byCommand(_ context.Context, it *item) error { return errors.New(it.foreign) }

func (d *Deployer) deleteByCommand(_ context.Context, _ helm.Release, why string) error {
	return errors.New(why)
}
