package plan

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/config/template"
	"github.com/davit-dev/davit/internal/hook"
	"github.com/davit-dev/davit/internal/image"
)

// Options is what the command line says.
type Options struct {
	Images      []string // parts of artifact names; empty: all
	Tag         string   // for all images; empty: the config's policy
	Repo        image.DefaultRepo
	Insecure    []string
	Platforms   []string
	Push        *bool // nil: as the config says
	Namespace   string
	Labels      map[string]string
	Force       bool
	StatusCheck *bool // nil: as the config says
	Tolerate    bool
	Mode        string // "run", "build", ...: SKAFFOLD_RUN_MODE in builds
	Templates   *template.Expander
}

// Drafts makes the artifacts of all configs. Errors point into the config, all at once.
func Drafts(configs []*config.Config, o Options) ([]Draft, error) {
	var drafts []Draft
	var errs []error
	for _, c := range configs {
		for i, a := range c.Model.Build.Artifacts {
			if !wanted(a.Image, o.Images) {
				continue
			}
			d, err := draft(c, i, a, o)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			drafts = append(drafts, d)
		}
	}
	return drafts, errors.Join(errs...)
}

func wanted(name string, parts []string) bool {
	return len(parts) == 0 || slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(name, p) })
}

func draft(c *config.Config, i int, a *model.Artifact, o Options) (Draft, error) {
	wrong := func(cause, next string, path ...any) error {
		return c.Error(cause, next, append([]any{"build", "artifacts", i}, path...)...)
	}
	docker, ok := a.Builder.(*model.Docker)
	if !ok {
		return Draft{}, wrong(fmt.Sprintf("davit builds Dockerfiles so far, and %s is something else", a.Image),
			"give it a Dockerfile, or build it with skaffold")
	}
	name, err := image.Parse(a.Image)
	if err != nil {
		return Draft{}, wrong(err.Error(), "use a name such as registry.example.com/team/app", "image")
	}
	context := absolute(c.Dir, a.Context)
	spec, err := dockerSpec(c, i, context, docker, o)
	if err != nil {
		return Draft{}, err
	}
	d := Draft{
		Image: a.Image, Name: o.Repo.Rewrite(name), Spec: spec, Policy: c.Model.Build.TagPolicy.Tagger, Tag: o.Tag, Mode: o.Mode, Dir: c.Dir,
		Written:   Written{a.Context, docker.Dockerfile},
		Platforms: firstOf(o.Platforms, a.Platforms, c.Model.Build.Platforms),
		Before:    hostHooks(c.Dir, a.Hooks.Before, context), After: hostHooks(c.Dir, a.Hooks.After, context),
		Insecure: slices.Concat(o.Insecure, c.Model.Build.InsecureRegistries),
	}
	if local, ok := c.Model.Build.Environment.(*model.LocalBuild); ok {
		d.Push = *cmp.Or(o.Push, local.Push, new(true))
	}
	for _, r := range a.Requires {
		d.Requires = append(d.Requires, Requirement{r.Image, r.Alias})
	}
	return d, nil
}

func dockerSpec(c *config.Config, i int, context string, d *model.Docker, o Options) (build.Docker, error) {
	spec := build.Docker{
		Context: context, Dockerfile: absolute(context, d.Dockerfile), Target: d.Target, Network: d.Network,
		AddHosts: d.AddHost, CacheFrom: d.CacheFrom, NoCache: d.NoCache, Pull: d.PullParent, SSH: d.SSH,
		BuildArgs: map[string]string{},
	}
	for _, s := range d.Secrets {
		spec.Secrets = append(spec.Secrets, build.Secret{ID: s.ID, Source: s.Src, Env: s.Env})
	}
	var errs []error
	for name, text := range d.BuildArgs {
		if text == nil {
			continue
		}
		value, err := o.Templates.Field(c, *text, nil, "build", "artifacts", i, "docker", "buildArgs", name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		spec.BuildArgs[name] = value
	}
	return spec, errors.Join(errs...)
}

func absolute(base, path string) string {
	path = filepath.FromSlash(strings.ReplaceAll(path, "\\", "/"))
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(base, path)
}

func hostHooks(base string, hooks []model.HostHook, context string) []hook.Host {
	var out []hook.Host
	for _, h := range hooks {
		dir := context
		if h.Dir != "" {
			dir = absolute(base, h.Dir)
		}
		out = append(out, hook.Host{Command: h.Command, OS: h.OS, Dir: dir})
	}
	return out
}

func firstOf(lists ...[]string) []string {
	for _, l := range lists {
		if len(l) > 0 {
			return l
		}
	}
	return nil
}
