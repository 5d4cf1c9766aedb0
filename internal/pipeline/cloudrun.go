package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/davit-dev/davit/internal/deploy/cloudrun"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/plan"
)

// cloudRuns is what of a run was deployed to Cloud Run.
type cloudRuns struct {
	deployer *cloudrun.Deployer
	images   []cloudrun.Image
	waiting  []*cloudrun.Applied
	services []cloudrun.Service
}

// deploy brings the objects of a deployment there that is for Cloud Run. With hooks after it, it waits until they are ready.
func (c *cloudRuns) deploy(ctx context.Context, p *Pipeline, r Rendered, images []Image) (err error) {
	if r.CloudRun == nil {
		return nil
	}
	var objects []cloudrun.Object
	if c.deployer, objects, err = p.cloudRunOf(ctx, r); err != nil {
		return err
	}
	c.images = c.images[:0]
	for _, i := range images {
		c.images = append(c.images, cloudrun.Image{Name: i.Name, Ref: i.Ref, Digest: i.Digest})
	}
	hooks := plan.Rollout{Before: r.CloudRun.Before, After: r.CloudRun.After, Logs: r.Logs}
	return p.around(ctx, hooks, nil, func() ([]string, error) {
		applied, err := c.deployer.Apply(ctx, r.CloudRun.Target, objects)
		if err != nil {
			return nil, fmt.Errorf("deploying: %w", err)
		}
		c.waiting, c.services = append(c.waiting, applied), append(c.services, applied.Services()...)
		return nil, nil
	}, func() error { return c.settle(ctx) })
}

// settle waits for what is not known to be ready.
func (c *cloudRuns) settle(ctx context.Context) error {
	var errs []error
	for _, applied := range c.waiting {
		errs = append(errs, c.deployer.Settle(ctx, applied, c.images))
	}
	c.waiting = nil
	return errors.Join(errs...)
}

func (p *Pipeline) deleteCloudRun(ctx context.Context, r Rendered) error {
	if r.CloudRun == nil {
		return nil
	}
	deployer, objects, err := p.cloudRunOf(ctx, r)
	if err != nil {
		return err
	}
	return deployer.Delete(ctx, r.CloudRun.Target, objects)
}

// cloudRunHistory lists what Cloud Run keeps of the services of a deployment.
func (p *Pipeline) cloudRunHistory(ctx context.Context, d plan.Deployment) ([]cloudrun.ServiceHistory, error) {
	if d.CloudRun == nil {
		return nil, nil
	}
	deployer, objects, err := p.inCloudRun(ctx, d)
	if err != nil {
		return nil, err
	}
	return deployer.History(ctx, d.CloudRun.Target, objects)
}

// rollBackCloudRun leads requests to earlier revisions of the services of a deployment.
func (p *Pipeline) rollBackCloudRun(ctx context.Context, d plan.Deployment, number int) error {
	deployer, objects, err := p.inCloudRun(ctx, d)
	if err != nil {
		return err
	}
	return p.stage(event.StageDeploy, func() error { return deployer.RollBack(ctx, d.CloudRun.Target, objects, number) })
}

// inCloudRun is cloudRunOf for a deployment that is not rendered yet: its manifests name the services.
func (p *Pipeline) inCloudRun(ctx context.Context, d plan.Deployment) (*cloudrun.Deployer, []cloudrun.Object, error) {
	rendered, err := p.Render(ctx, []plan.Deployment{d})
	if err != nil {
		return nil, nil, err
	}
	return p.cloudRunOf(ctx, rendered[0])
}

// cloudRunOf gives what deploys a deployment to Cloud Run, and its objects.
func (p *Pipeline) cloudRunOf(ctx context.Context, r Rendered) (*cloudrun.Deployer, []cloudrun.Object, error) {
	objects, err := cloudRunObjects(r)
	if err != nil {
		return nil, nil, err
	}
	deployer, err := p.CloudRun(ctx)
	return deployer, objects, err
}

func cloudRunObjects(r Rendered) ([]cloudrun.Object, error) {
	objects := make([]cloudrun.Object, 0, len(r.Objects))
	var errs []error
	for _, o := range r.Objects {
		fields, err := o.Value()
		objects, errs = append(objects, cloudrun.Object{Fields: fields, Origin: o.Origin()}), append(errs, err)
	}
	return objects, errors.Join(errs...)
}
