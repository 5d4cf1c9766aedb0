package plan

import (
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/davit-dev/davit/internal/config"
)

// Deployments makes a deployment of each config that deploys something. project is the name of what the configs belong
// to, for those that have none of their own: the same on every machine, and of no other project in the namespace.
func Deployments(configs []*config.Config, project string, o Options) ([]Deployment, error) {
	var out []Deployment
	for _, c := range configs {
		m := c.Model
		if len(m.Manifests.RawYAML) == 0 {
			continue
		}
		d := Deployment{
			Set: setName(c, project), Namespace: o.Namespace, Labels: o.Labels, Force: o.Force, Wait: true,
			Sources:  []Source{{c.Dir, m.Manifests.RawYAML}},
			Deadline: time.Duration(m.Deploy.StatusCheckDeadlineSeconds) * time.Second,
			Tolerate: o.Tolerate || m.Deploy.TolerateFailuresUntilDeadline,
		}
		for _, check := range []*bool{m.Deploy.StatusCheck, o.StatusCheck} {
			if check != nil {
				d.Wait = *check
			}
		}
		if k := m.Deploy.Kubectl; d.Namespace == "" && k != nil && k.DefaultNamespace != nil {
			namespace, err := o.Templates.Field(c, *k.DefaultNamespace, nil, "deploy", "kubectl", "defaultNamespace")
			if err != nil {
				return nil, err
			}
			d.Namespace = namespace
		}
		out = append(out, d)
	}
	return out, nil
}

// setName is the inventory's name of a config: "davit-shop", a DNS label.
func setName(c *config.Config, project string) string {
	name := c.Name
	if name == "" {
		name = project
	}
	name = regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(name), "-")
	name = "davit-" + strings.Trim(name, "-")
	const maxLabel = 63
	if len(name) > maxLabel {
		name = name[:maxLabel]
	}
	return strings.Trim(name, "-")
}

// ProjectName names what a folder belongs to, for the inventory of configs without metadata.name. With a git remote it is the repository's
// name and the path in it, so that it is the same in every checkout; without, the folder's own name.
func ProjectName(remote, top, dir string) string {
	if remote == "" && top == "" {
		return path.Base(dir)
	}
	name := path.Base(top)
	if remote != "" {
		remote = strings.TrimSuffix(strings.TrimRight(remote, "/"), ".git")
		name = remote[strings.LastIndexAny(remote, "/:\\")+1:]
	}
	if inside := strings.Trim(strings.TrimPrefix(dir, top), "/"); inside != "" {
		name += "-" + inside
	}
	return name
}
