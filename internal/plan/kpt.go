package plan

import (
	"path/filepath"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/deploy/kpt"
)

// DefaultHydrationDir is where Skaffold puts manifests for kpt, below the folder in which it is started.
const DefaultHydrationDir = ".kpt-pipeline"

// kpt says which package of a config kpt deploys: the folder that it names, or one with the rendered manifests in it.
func (d *Deployment) kpt(c *config.Config, o Options) error {
	m := c.Model.Deploy.Kpt
	if m == nil {
		return nil
	}
	d.Kpt = &kpt.Package{Name: m.Name, InventoryID: m.InventoryID, Namespace: d.Namespace, Force: m.Force, Flags: m.Flags, ApplyFlags: m.ApplyFlags}
	if d.Kpt.Namespace == "" {
		d.Kpt.Namespace = m.Namespace
	}
	if d.Namespace == "" && m.DefaultNamespace != nil {
		namespace, err := o.Templates.Field(c, *m.DefaultNamespace, nil, "deploy", "kpt", "defaultNamespace")
		if err != nil {
			return err
		}
		d.Namespace = namespace
	}
	if m.Dir != "" {
		d.Kpt.Dir = absolute(c.Dir, m.Dir)
		return nil
	}
	dir := o.HydrationDir
	if dir == "" {
		dir = DefaultHydrationDir
	}
	// Each set has a package of its own: what one config does not hold any more must not stay because of another.
	d.Kpt.Dir, d.Kpt.File = filepath.Join(absolute(o.WorkDir, dir), d.Set), "manifests.yaml"
	return nil
}
