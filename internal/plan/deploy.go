package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/manifest"
)

// Deployments makes a deployment of each config that deploys something. project is the name of what the configs belong
// to, for those that have none of their own: the same on every machine, and of no other project in the namespace.
func Deployments(configs []*config.Config, project string, o Options) ([]Deployment, error) {
	var out []Deployment
	var of []*config.Config
	for _, c := range configs {
		m := c.Model
		if !renders(c) && m.Deploy.Docker == nil && m.Deploy.Helm == nil && m.Deploy.Kpt == nil {
			continue
		}
		d := Deployment{
			Set: setOf(c, project, o), Namespace: o.Namespace, Labels: o.Labels, Force: o.Force, Wait: true,
			Dir:       c.Dir,
			Deadline:  time.Duration(m.Deploy.StatusCheckDeadlineSeconds) * time.Second,
			Tolerate:  o.Tolerate || m.Deploy.TolerateFailuresUntilDeadline,
			Elsewhere: !byDavit(c),
			Rollout:   rollout(c, o),
		}
		if err := d.manifests(c, o); err != nil {
			return nil, err
		}
		if err := d.releases(c, o); err != nil {
			return nil, err
		}
		for _, check := range []*bool{m.Deploy.StatusCheck, o.StatusCheck} {
			if check != nil {
				d.Wait = *check
			}
		}
		if err := errors.Join(d.containers(c, configs, project, o), d.cloudRun(c, o), d.kpt(c, o)); err != nil {
			return nil, err
		}
		if k := m.Deploy.Kubectl; d.Namespace == "" && k != nil && k.DefaultNamespace != nil {
			namespace, err := o.Templates.Field(c, *k.DefaultNamespace, nil, "deploy", "kubectl", "defaultNamespace")
			if err != nil {
				return nil, err
			}
			d.Namespace = namespace
		}
		if err := d.applying(c, o); err != nil {
			return nil, err
		}
		out, of = append(out, d), append(of, c)
	}
	inOrder(out, of, o)
	return out, nil
}

// manifests fills in what is rendered, and by which rules.
func (d *Deployment) manifests(c *config.Config, o Options) error {
	m := c.Model.Manifests
	var errs []error
	var err error
	d.Steps, err = steps(c, o)
	errs = append(errs, err)
	expand := func(texts []string, path ...any) []string {
		out := make([]string, len(texts))
		for i, text := range texts {
			var err error
			out[i], err = o.Templates.Field(c, text, nil, append(slices.Clone(path), i)...)
			errs = append(errs, err)
		}
		return out
	}
	d.Raw = expand(m.RawYAML, "manifests", "rawYaml")
	if k := m.Kustomize; k != nil {
		d.KustomizeArgs = expand(k.BuildArgs, "manifests", "kustomize", "buildArgs")
		if d.Kustomize = expand(k.Paths, "manifests", "kustomize", "paths"); len(d.Kustomize) == 0 {
			d.Kustomize = []string{"."}
		}
	}
	if m.Helm != nil {
		d.Charts = &Charts{c, m.Helm, []any{"manifests", "helm"}}
	}
	rules, err := ownRules(c)
	d.Rules = append(rules, o.Rules...)
	return errors.Join(append(errs, err)...)
}

func filters(from []model.ResourceFilter) []manifest.Filter {
	var out []manifest.Filter
	for _, f := range from {
		out = append(out, manifest.Filter{GroupKind: f.GroupKind, Image: f.Image, Labels: f.Labels, PodSpec: f.PodSpec})
	}
	return out
}

// setOf is the inventory's name of a config. One without a name is known by where it stands in the project: configs that shared an inventory would prune each
// other's objects.
func setOf(c *config.Config, project string, o Options) string {
	if name := c.Name; name != "" {
		if set := setName(name); set == "davit-"+name {
			return set
		}
		return setName(name + "-" + shortSum(name)) // a.b and a-b are two
	}
	at, err := filepath.Rel(o.WorkDir, c.File)
	if err != nil || !filepath.IsAbs(c.File) {
		at = "skaffold.yaml" // of standard input
	}
	parts := []string{project}
	for part := range strings.SplitSeq(filepath.ToSlash(filepath.Dir(at)), "/") {
		switch part {
		case ".":
		case "..":
			parts = append(parts, "up")
		default:
			parts = append(parts, part)
		}
	}
	if file := strings.TrimSuffix(filepath.Base(at), filepath.Ext(at)); file != "skaffold" {
		parts = append(parts, file)
	}
	if c.Index > 0 {
		parts = append(parts, strconv.Itoa(c.Index+1))
	}
	return setName(strings.Join(parts, "-"))
}

// setName makes the name of an inventory: "davit-shop", a DNS label. What does not fit is cut off, with a digest of all in its place.
func setName(of string) string {
	name := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(of), "-")
	name = "davit-" + strings.Trim(name, "-")
	const maxLabel = 63
	if len(name) > maxLabel {
		name = name[:maxLabel-shortLen-1] + "-" + shortSum(of)
	}
	return strings.Trim(name, "-")
}

const shortLen = 8

func shortSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:shortLen]
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
