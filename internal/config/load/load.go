// Package load reads a skaffold.yaml with everything it requires and gives configs that are ready to
// plan with: upgraded, profiles applied, defaults filled in, checked.
//
// One file is read by Parse; Load follows `requires`, picks modules and activates profiles. The order of the
// result is the order of deployment: what a config requires stands before it.
package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/config/profile"
	"github.com/davit-dev/davit/internal/config/schema"
	"github.com/davit-dev/davit/internal/config/validate"
)

// Options say what to load and what activations and defaults may ask about. Nothing is taken from
// anywhere else.
type Options struct {
	// File is a path, a URL, or "-" for Stdin; empty means skaffold.yaml, then skaffold.yml.
	File  string
	Stdin io.Reader
	// Dir is the absolute working folder.
	Dir string
	// Profiles are as given with -p; a leading "-" turns one off.
	Profiles []string
	// Modules keeps only the named configs and what they require; empty keeps all.
	Modules []string
	// Command is the running command's name, for profile activation.
	Command string
	// NoAutoActivation is --profile-auto-activation=false.
	NoAutoActivation bool
	// NoPropagateProfiles is --propagate-profiles=false.
	NoPropagateProfiles bool
	// LookupEnv is the environment, skaffold.env included; nil means empty.
	LookupEnv func(string) (string, bool)
	// KubeContext is the one named by flag, empty where there is none.
	KubeContext string
	// CurrentContext reads the kubeconfig's current context; asked for only where it matters.
	CurrentContext func() (string, error)
	// Namespace is the current context's namespace; asked for only by cluster builds.
	Namespace func() string
	// Home is the user's home folder.
	Home string
	// NewID makes random name parts; may be nil.
	NewID func() string
	// HTTP fetches configs by URL; nil means http.DefaultClient.
	HTTP *http.Client
	// Remote fetches required configs from repositories and buckets; nil refuses them.
	Remote Remote
	// Debug is told why profiles are active or not; may be nil.
	Debug func(string)
	// ViewOnly leaves out what only a run needs: the default renderer and deployer, and validation. It is
	// for commands that show the configuration.
	ViewOnly bool
}

// ErrNotFetched is below the error of a Remote that may not fetch what is missing.
var ErrNotFetched = errors.New("not fetched before")

// Remote brings configs from elsewhere to this machine.
type Remote interface {
	// Git gives the folder of a checkout and its commit.
	Git(ctx context.Context, source model.GitSource) (dir, commit string, err error)
	// CloudStorage gives the folder that the objects were copied to.
	CloudStorage(ctx context.Context, source model.CloudStorageSource) (dir string, err error)
	// CloudBuildRepo gives the folder of a checkout and its commit.
	CloudBuildRepo(ctx context.Context, source model.CloudBuildRepoSource) (dir, commit string, err error)
}

// Load reads the configs that o names. An error is a diag.List where the files are at fault.
func Load(ctx context.Context, o Options) ([]*config.Config, error) {
	l := &loader{
		Options: o,
		table:   schema.New(),
		shapes:  model.Shapes{},
		files:   map[string][]*Document{},
		applied: map[string]string{},
		loaded:  map[string]*config.Config{},
		named:   map[string]string{},
		remotes: map[string]remote{},
	}
	if l.LookupEnv == nil {
		l.LookupEnv = func(string) (string, bool) { return "", false }
	}
	file := cmp.Or(o.File, "skaffold.yaml")
	configs, err := l.file(ctx, request{file: l.absolute(file), profiles: o.Profiles})
	if err != nil {
		return nil, err
	}
	if len(configs) == 0 {
		return nil, &diag.Error{Position: diag.Position{File: file}, Cause: fmt.Sprintf("no config is named %s", quoted(o.Modules)), Next: "modules found: " + quoted(l.modules()), Code: diag.CodeBadFilter}
	}
	if err := l.unknownProfiles(); err != nil {
		return nil, err
	}
	last := configs[len(configs)-1]
	last.Warnings = append(last.Warnings, l.circles...)
	if o.ViewOnly {
		return configs, nil
	}
	if len(configs) == 1 {
		configs[0].Model.SetDeployDefaults()
	}
	return configs, validate.All(configs).Err()
}

type loader struct {
	Options
	table *schema.Table
	// shapes saves looking at the model's types again for each file.
	shapes model.Shapes
	// files are the files read so far: a diamond of requires reads each once.
	files map[string][]*Document
	// applied remembers the profiles each config was visited with.
	applied map[string]string
	// loaded are the configs, by the same keys.
	loaded map[string]*config.Config
	// named are the files in which config names were seen.
	named map[string]string
	// profiles are the names of all profiles seen.
	profiles []string
	// visiting are the configs whose requirements are being followed, for naming circles.
	visiting []visit
	circles  diag.List
	remotes  map[string]remote
}

// visit is a config whose requirements are being followed.
type visit struct{ key, name string }

// request asks for the configs of one file.
type request struct {
	file      string
	selection []string
	profiles  []string
	by        *config.Config // the one that requires it
	// wanted is set below a config that was asked for by name.
	wanted bool
	// dependency is set for files other than the first.
	dependency bool
	// remote is set for what was fetched, commit for what came from a repository.
	remote bool
	commit string
}

// file loads the configs of one file that the request selects, with all they require before them.
func (l *loader) file(ctx context.Context, r request) ([]*config.Config, error) {
	docs, err := l.read(ctx, r.file)
	if err != nil {
		return nil, err
	}
	var errs diag.List
	seen := map[string]bool{}
	for _, d := range docs {
		for _, p := range d.Model.Profiles {
			if !slices.Contains(l.profiles, p.Name) {
				l.profiles = append(l.profiles, p.Name)
			}
		}
		if name := d.Model.Metadata.Name; name != "" && seen[name] {
			errs = append(errs, d.at(fmt.Sprintf("two configs of this file are named %q", name), "give each its own metadata.name", "metadata", "name").WithCode(diag.CodeDuplicateInFile))
		} else {
			seen[name] = true
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	var configs []*config.Config
	for i, d := range docs {
		more, err := l.document(ctx, r, d, i)
		if err != nil {
			if list := diag.All(err); list == nil || ctx.Err() != nil {
				return nil, err
			}
			errs = append(errs, diag.All(err)...)
			continue
		}
		configs = append(configs, more...)
	}
	return configs, errs.Err()
}

// document loads one config, after those it requires.
func (l *loader) document(ctx context.Context, r request, d *Document, index int) ([]*config.Config, error) {
	name := d.Model.Metadata.Name
	if name != "" {
		if other, ok := l.named[name]; ok && other != r.file {
			return nil, d.at(fmt.Sprintf("config name %q is used in %s too", name, l.shown(other)), "give each config its own metadata.name", "metadata", "name").WithCode(diag.CodeDuplicateElsewhere)
		}
		l.named[name] = r.file
	}
	if len(r.selection) > 0 && !slices.Contains(r.selection, name) {
		return nil, nil
	}
	wanted := r.wanted || len(l.Modules) == 0 || slices.Contains(l.Modules, name)
	c, err := l.prepare(r, d, index)
	if err != nil {
		return nil, err
	}
	key := fmt.Sprintf("%s:%d:%t", r.file, index, wanted)
	visited, err := l.visited(key, d, c)
	if !visited {
		l.loaded[key] = c
	}
	if r.by != nil {
		r.by.Requires = append(r.by.Requires, l.loaded[key])
	}
	if visited || err != nil {
		return nil, err
	}
	l.visiting = append(l.visiting, visit{key, cmp.Or(name, fmt.Sprintf("%s[%d]", l.shown(r.file), index))})
	configs, err := l.required(ctx, r, c, wanted)
	l.visiting = l.visiting[:len(l.visiting)-1]
	if err != nil {
		return nil, err
	}
	if wanted {
		configs = append(configs, c)
	}
	return configs, nil
}

// visited reports a config that was loaded before; it must have been with the same profiles. One that is
// being loaded closes a circle, which the reference allows and is worth a warning.
func (l *loader) visited(key string, d *Document, c *config.Config) (bool, error) {
	profiles := slices.Sorted(slices.Values(c.Profiles))
	with := strings.Join(profiles, ",")
	before, found := l.applied[key]
	l.applied[key] = with
	if found && before != with {
		return true, d.at(fmt.Sprintf("this config is required twice with different profiles: %s and %s", quoted(strings.Split(before, ",")), quoted(profiles)), "activate the same profiles in every activeProfiles that names it", "metadata", "name").WithCode(diag.CodeConflictingProfiles)
	}
	if at := slices.IndexFunc(l.visiting, func(v visit) bool { return v.key == key }); at >= 0 {
		var names []string
		for _, v := range append(slices.Clone(l.visiting[at:]), l.visiting[at]) {
			names = append(names, v.name)
		}
		l.circles = append(l.circles, d.at("configs require each other in a circle: "+strings.Join(names, " -> "), "remove one of these requirements: their order is not certain", "requires"))
	}
	return found, nil
}

// prepare applies profiles and defaults to one document.
func (l *loader) prepare(r request, d *Document, index int) (*config.Config, error) {
	active, byContext, err := profile.Active(d.Model.Profiles, r.profiles, profile.Facts{
		Command:     l.Command,
		Env:         func(name string) string { v, _ := l.LookupEnv(name); return v },
		KubeContext: l.kubeContext,
		Auto:        !l.NoAutoActivation,
		Explain:     l.Debug,
	})
	if err != nil {
		path := []any{"profiles"}
		if a, ok := errors.AsType[*profile.ActivationError](err); ok {
			path = append(path, a.Index, "activation")
		}
		e := d.at(err.Error(), "mend the condition, or turn it off with --profile-auto-activation=false", path...)
		e.Err = err
		return nil, e.WithCode(diag.CodeApplyProfiles)
	}
	c := &config.Config{
		File: r.file, Dir: l.base(r), Index: index, Name: d.Model.Metadata.Name,
		APIVersion: d.APIVersion, Required: r.dependency, Remote: r.remote, Commit: r.commit,
		Annotations: d.Model.Metadata.Annotations, Profiles: active, Warnings: slices.Clip(d.Warnings),
	}
	tree, m := l.copy(d)
	if len(active) > 0 {
		if tree, m, err = l.overlay(d, c, tree, active); err != nil {
			return nil, err
		}
	}
	if err := l.sameContext(d, m, byContext); err != nil {
		return nil, err
	}
	m.SetDefaults(model.Facts{Namespace: l.Namespace, Home: l.Home, NewID: l.NewID})
	c.Model = m
	c.SetSource(d.Source, tree)
	return c, validate.Loadable(c).Err()
}

// sameContext refuses profiles that the current kube context activated where the config then names another.
func (l *loader) sameContext(d *Document, m *model.Config, byContext []string) error {
	wanted := m.Deploy.KubeContext
	if l.KubeContext != "" || wanted == "" || len(byContext) == 0 {
		return nil
	}
	current, err := l.kubeContext()
	if err != nil || current == wanted {
		return err
	}
	return d.at(fmt.Sprintf("profiles %s are active because of the kube context %q, but the config deploys to %q", quoted(byContext), current, wanted),
		"change the profile's activation or deploy.kubeContext, or name the context with --kube-context", "deploy", "kubeContext").WithCode(diag.CodeApplyProfiles)
}

func (l *loader) kubeContext() (string, error) {
	if l.KubeContext != "" || l.CurrentContext == nil {
		return l.KubeContext, nil
	}
	return l.CurrentContext()
}

// base is the folder that a config's relative paths start from.
func (l *loader) base(r request) string {
	if r.dependency && !isURL(r.file) && r.file != "-" {
		return filepath.Dir(r.file)
	}
	return l.Dir
}

// unknownProfiles refuses names given with -p that no config knows.
func (l *loader) unknownProfiles() error {
	var unknown []string
	next := ""
	for _, p := range l.Profiles {
		name := strings.TrimPrefix(p, "-")
		if slices.Contains(l.profiles, name) {
			continue
		}
		unknown = append(unknown, p)
		if near := diag.Nearest(name, l.profiles); near != "" {
			next = fmt.Sprintf("did you mean %q?", near)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	if next == "" {
		next = "profiles found: " + quoted(l.profiles)
	}
	return &diag.Error{Cause: fmt.Sprintf("no config has a profile %s", quoted(unknown)), Next: next, Code: diag.CodeProfilesNotFound}
}

func (l *loader) modules() []string {
	var names []string
	for name := range l.named {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func quoted(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(out, ", ")
}
