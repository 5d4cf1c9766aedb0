package plan

import (
	"errors"
	"fmt"
	"time"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/manifest"
)

// Apply makes the one deployment of objects that are rendered already. Of the configs only what they say about deploying counts. The objects do
// not say which config each is of, so configs that disagree are an error. The objects of a single config join its inventory, so that `run` and
// `delete` know them; without a config no inventory is kept.
func Apply(configs []*config.Config, project string, o Options) (Deployment, error) {
	d := Deployment{Namespace: o.Namespace, Dir: o.WorkDir, Labels: o.Labels, Force: o.Force, Wait: true, Tolerate: o.Tolerate}
	if o.ChartTests != nil && *o.ChartTests {
		return d, errors.New("davit apply deploys no releases, so there are no tests of charts to run: leave out --chart-tests")
	}
	var err error
	if d.Rules, err = Rules(configs, o); err != nil {
		return d, err
	}
	switch len(configs) {
	case 0:
	case 1:
		d.Set = setOf(configs[0], project, o)
	default:
		d.Set = setName(project)
	}
	namespace := ""
	for _, c := range configs {
		if err := d.settings(c); err != nil {
			return d, err
		}
		if o.Namespace != "" {
			continue
		}
		if namespace, err = ownNamespace(c, namespace, o); err != nil {
			return d, err
		}
	}
	if o.Namespace == "" {
		d.Namespace = namespace
	}
	if o.StatusCheck != nil {
		d.Wait = *o.StatusCheck
	}
	if len(configs) == 1 {
		return d, d.applying(configs[0], o)
	}
	d.Applying = o.applying()
	for _, c := range configs {
		if k := c.Model.Deploy.Kubectl; k != nil && len(k.Flags.Global)+len(k.Flags.Apply) > 0 {
			return d, c.Error("apply cannot tell which objects these flags are for", "choose one config with --module", "deploy", "kubectl", "flags")
		}
	}
	return d, nil
}

// settings adds what a config says about waiting.
func (d *Deployment) settings(c *config.Config) error {
	deploy := c.Model.Deploy
	if deploy.StatusCheck != nil && !*deploy.StatusCheck {
		d.Wait = false
	}
	d.Tolerate = d.Tolerate || deploy.TolerateFailuresUntilDeadline
	if own := time.Duration(deploy.StatusCheckDeadlineSeconds) * time.Second; own != 0 {
		if d.Deadline != 0 && d.Deadline != own {
			return c.Error(fmt.Sprintf("another config waits for %s, and apply cannot tell whose the objects are", d.Deadline), "choose configs with --module",
				"deploy", "statusCheckDeadlineSeconds")
		}
		d.Deadline = own
	}
	return nil
}

// ownNamespace finds the namespace that a config deploys into: kubectl's, or that of its Helm releases where it has no other deployer.
func ownNamespace(c *config.Config, known string, o Options) (string, error) {
	differ := func(own string, path ...any) (string, error) {
		if known != "" && own != known {
			return "", c.Error(fmt.Sprintf("namespace %s differs from %s, and apply cannot tell which objects go where", own, known), "say which with --namespace", path...)
		}
		known = own
		return known, nil
	}
	deploy := c.Model.Deploy
	if k := deploy.Kubectl; k != nil && k.DefaultNamespace != nil {
		own, err := o.Templates.Field(c, *k.DefaultNamespace, nil, "deploy", "kubectl", "defaultNamespace")
		if err != nil {
			return "", err
		}
		if own, err = differ(own, "deploy", "kubectl", "defaultNamespace"); err != nil {
			return own, err
		}
	}
	if deploy.Helm == nil {
		return known, nil
	}
	for i, r := range deploy.Helm.Releases {
		if r.Namespace == "" {
			continue
		}
		path := []any{"deploy", "helm", "releases", i, "namespace"}
		own, err := o.Templates.Field(c, r.Namespace, nil, path...)
		if err != nil {
			return "", err
		}
		if _, err := differ(own, path...); err != nil {
			return "", err
		}
	}
	return known, nil
}

// Rules says where the objects of all configs hold images and labels.
func Rules(configs []*config.Config, o Options) ([]manifest.Rules, error) {
	var all []manifest.Rules
	for _, c := range configs {
		rules, err := ownRules(c)
		if err != nil {
			return nil, err
		}
		all = append(all, rules...)
	}
	return append(all, o.Rules...), nil
}

// ownRules are those of one config.
func ownRules(c *config.Config) ([]manifest.Rules, error) {
	var all []manifest.Rules
	if text := c.Annotations[manifest.ImagePathsAnnotation]; text != "" {
		rules, err := manifest.ParseImagePaths(text)
		if err != nil {
			return nil, c.Error(err.Error(), "write Kind.group=.path,.path; ...", "metadata", "annotations", manifest.ImagePathsAnnotation)
		}
		all = append(all, rules)
	}
	if s := c.Model.ResourceSelector; len(s.Allow)+len(s.Deny) > 0 {
		all = append(all, manifest.Rules{Allow: filters(s.Allow), Deny: filters(s.Deny)})
	}
	return all, nil
}
