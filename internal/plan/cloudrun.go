package plan

import (
	"cmp"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/deploy/cloudrun"
	"github.com/davit-dev/davit/internal/hook"
)

// CloudRunOptions is what the command line says; empty: as the config says.
type CloudRunOptions struct{ Project, Region string }

// CloudRun is what a config deploys to Cloud Run.
type CloudRun struct {
	cloudrun.Target
	Before, After []hook.Item
}

// InCluster says whether something of what a config deploys goes to a cluster.
func InCluster(c *config.Config) bool {
	d := c.Model.Deploy
	return d.Docker == nil && d.CloudRun == nil || d.Kubectl != nil || d.Helm != nil || d.Kpt != nil
}

// byDavit says whether davit applies the manifests of a config to a cluster. Where kpt does, nobody else may: each would take the objects from the other.
func byDavit(c *config.Config) bool { return InCluster(c) && c.Model.Deploy.Kpt == nil }

// cloudRun says where the manifests of a config go in Cloud Run. The flags' word is the last.
func (d *Deployment) cloudRun(c *config.Config, o Options) error {
	m := c.Model.Deploy.CloudRun
	if m == nil {
		return nil
	}
	d.CloudRun = &CloudRun{Target: cloudrun.Target{
		Project: cmp.Or(o.CloudRun.Project, m.ProjectID), Region: cmp.Or(o.CloudRun.Region, m.Region), Wait: d.Wait, Deadline: d.Deadline, Tolerate: d.Tolerate,
	}}
	if d.CloudRun.Region == "" && o.Mode != "render" {
		return c.Error("the region of Cloud Run is not known", "set region here, or give --cloud-run-location", "deploy", "cloudrun")
	}
	for _, h := range hostHooks(c.Dir, m.Hooks.Before, o.WorkDir) {
		d.CloudRun.Before = append(d.CloudRun.Before, h)
	}
	for _, h := range hostHooks(c.Dir, m.Hooks.After, o.WorkDir) {
		d.CloudRun.After = append(d.CloudRun.After, h)
	}
	return nil
}
