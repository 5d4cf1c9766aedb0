package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/davit-dev/davit/internal/deploy/docker"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/plan"
)

// containers are those of a run that were started.
type containers struct {
	deployer *docker.Deployer
	started  []*docker.Started
}

// start runs what a deployment runs in a Docker Engine.
func (c *containers) start(ctx context.Context, p *Pipeline, r Rendered, images []Image) (err error) {
	if r.Docker == nil {
		return nil
	}
	if c.deployer, err = p.Containers(); err != nil {
		return err
	}
	started, err := c.deployer.Start(ctx, *r.Docker, forEngine(images))
	if err != nil {
		return fmt.Errorf("deploying: %w", err)
	}
	c.started = append(c.started, started)
	return nil
}

// forEngine are the images as a Docker Engine knows them, by the artifacts' names.
func forEngine(images []Image) map[string]docker.Image {
	known := make(map[string]docker.Image, len(images))
	for _, i := range images {
		known[i.Name] = docker.Image{Ref: i.Ref}
		if i.Local {
			known[i.Name] = docker.Image{Ref: i.Ref, ID: i.Digest}
		}
	}
	return known
}

// settle waits for the containers of all deployments and proves what they run.
func (c *containers) settle(ctx context.Context) error {
	var errs []error
	for _, s := range c.started {
		errs = append(errs, c.deployer.Settle(ctx, s))
	}
	return errors.Join(errs...)
}

// tailContainers shows what the containers of a run print, until ctx is done.
func (p *Pipeline) tailContainers(ctx context.Context, f plan.Follow, since time.Time) {
	p.running.deployer.Tail(ctx, p.running.started, since, func(l docker.Line) {
		logs := f.Logs[l.Image]
		p.Sink.Emit(event.PodLog{Container: l.Container, Image: l.Image, Prefix: logs.Prefix("", l.Image), Line: logs.Line(l.Text)})
	})
}

// deleteContainers takes away what a deployment runs in a Docker Engine.
func (p *Pipeline) deleteContainers(ctx context.Context, r Rendered) error {
	if r.Docker == nil {
		return nil
	}
	deployer, err := p.Containers()
	if err != nil {
		return err
	}
	return deployer.Delete(ctx, *r.Docker)
}
