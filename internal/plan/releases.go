package plan

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/model"
)

// Releases are what a config deploys as Helm releases. Their templates are evaluated once the images are known.
type Releases struct {
	Config      *config.Config
	Releases    []model.HelmRelease
	Flags       model.HelmFlags
	Path        []any // where they stand in the config
	Concurrency int   // at a time; 0: all
	Tests       bool  // run those of the charts
	Rollout
}

// ChartTestsAnnotation says, among a config's metadata.annotations, whether the tests of its releases' charts run.
const ChartTestsAnnotation = "davit.dev/chart-tests"

// chartTests says whether the tests of a config's charts run: what the command line says wins.
func chartTests(c *config.Config, o Options) (bool, error) {
	text := c.Annotations[ChartTestsAnnotation]
	if text == "" {
		text = "false"
	}
	wanted, err := strconv.ParseBool(text)
	if err != nil {
		return false, c.Error(fmt.Sprintf("%q is neither true nor false", text), `write "true" to run the tests of the charts`, "metadata", "annotations", ChartTestsAnnotation)
	}
	if o.ChartTests != nil {
		wanted = *o.ChartTests
	}
	return wanted, nil
}

// releases finds what is deployed by deploy.helm. As in Skaffold, that takes the releases of manifests.helm when there are some, which are not rendered into
// objects then.
func (d *Deployment) releases(c *config.Config, o Options) (err error) {
	m := c.Model.Deploy.Helm
	if m == nil {
		return nil
	}
	if o.Mode == "render" {
		d.LegacyCharts = legacyCharts(c, d.Charts)
		return nil
	}
	r := &Releases{Config: c, Releases: m.Releases, Flags: m.Flags, Path: []any{"deploy", "helm"}}
	r.Before, r.After = DeployHooks(c, m.Hooks.Before, o), DeployHooks(c, m.Hooks.After, o)
	r.Logs = d.Logs
	if r.Tests, err = chartTests(c, o); err != nil {
		return err
	}
	if m.Concurrency != nil {
		r.Concurrency = *m.Concurrency
	}
	if d.Charts != nil {
		r.Releases, r.Flags, r.Path = d.Charts.Helm.Releases, d.Charts.Helm.Flags, d.Charts.Path
		d.Charts = nil
	}
	d.Releases = r
	if d.Namespace == "" && !renders(c) && len(r.Releases) > 0 && r.Releases[0].Namespace != "" {
		// Where there are no other objects, the inventory goes where whoever deploys may surely write.
		d.Namespace, err = o.Templates.Field(c, r.Releases[0].Namespace, nil, append(slices.Clone(r.Path), "releases", 0, "namespace")...)
	}
	return err
}

// legacyCharts are the releases that `davit render` shows beside those of manifests.helm: all of deploy.helm with other names, without flags.
func legacyCharts(c *config.Config, charts *Charts) *Charts {
	known := map[string]bool{}
	if charts != nil {
		for _, release := range charts.Helm.Releases {
			known[release.Name] = true
		}
	}
	m := &model.Helm{}
	for _, release := range c.Model.Deploy.Helm.Releases {
		if !known[release.Name] {
			m.Releases = append(m.Releases, release)
		}
	}
	return &Charts{c, m, []any{"deploy", "helm"}}
}
