package helm

import (
	"context"
	"errors"
)

func (w *Work) byCommand(_ context.Context, it *item) error { return errors.New(it.foreign) }

func (d *Deployer) deleteByCommand(_ context.Context, _ Release, why string) error {
	return errors.New(why)
}
