package load

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/model"
)

// remote is a repository or bucket that was fetched, or the reason why it could not be.
type remote struct {
	dir, commit string
	err         error
}

// required loads what a config requires, in order.
func (l *loader) required(ctx context.Context, r request, c *config.Config, wanted bool) ([]*config.Config, error) {
	var configs []*config.Config
	var errs diag.List
	for i, dep := range c.Model.Requires {
		profiles := activated(dep, c.Profiles)
		if !l.NoPropagateProfiles {
			for _, p := range l.Profiles {
				if !slices.Contains(profiles, p) {
					profiles = append(profiles, p)
				}
			}
		}
		next := request{file: r.file, selection: dep.Configs, profiles: profiles, by: c, wanted: wanted, dependency: r.dependency}
		if _, same := dep.Source.(model.PathSource); same || dep.Source == nil {
			next.remote, next.commit = r.remote, r.commit
		}
		if err := l.locate(ctx, &next, c, dep, i); err != nil {
			if diag.All(err) == nil {
				return nil, err
			}
			errs = append(errs, diag.All(err)...)
			continue
		}
		next.dependency = r.dependency || next.file != r.file
		more, err := l.file(ctx, next)
		if err != nil {
			if diag.All(err) == nil {
				return nil, err
			}
			errs = append(errs, diag.All(err)...)
			continue
		}
		configs = append(configs, more...)
		l.warnUnknown(c, dep, i, next.file)
	}
	return configs, errs.Err()
}

// warnUnknown warns about configs that are required by name and not there.
func (l *loader) warnUnknown(c *config.Config, dep model.Dependency, index int, file string) {
	var known []string
	for _, d := range l.files[file] {
		known = append(known, d.Model.Metadata.Name)
	}
	for j, name := range dep.Configs {
		if slices.Contains(known, name) {
			continue
		}
		next := ""
		if near := diag.Nearest(name, known); near != "" {
			next = fmt.Sprintf("did you mean %q?", near)
		}
		c.Warnings = append(c.Warnings, c.Error(fmt.Sprintf("%s has no config named %q", l.shown(file), name), next, "requires", index, "configs", j))
	}
}

// activated gives the profiles of a required config that the active profiles of this one turn on.
func activated(dep model.Dependency, active []string) []string {
	var names []string
	for _, p := range dep.ActiveProfiles {
		on := len(p.ActivatedBy) == 0 || slices.ContainsFunc(p.ActivatedBy, func(by string) bool { return slices.Contains(active, by) })
		if on {
			names = append(names, p.Name)
		}
	}
	return names
}

// locate finds the file that a requirement means, fetching it where it is remote.
func (l *loader) locate(ctx context.Context, next *request, c *config.Config, dep model.Dependency, index int) error {
	fail := func(err error, hint, code string) error {
		e := c.Error(fmt.Sprintf("requires[%d]: %v", index, err), hint, "requires", index)
		e.Err = err
		return e.WithCode(code)
	}
	missing := "paths are relative to the file that requires them"
	switch s := dep.Source.(type) {
	case nil:
		return nil
	case model.PathSource:
		next.file = l.beside(next.file, string(s))
	default:
		got, path := l.fetch(ctx, s)
		if got.err != nil {
			code := ""
			if errors.Is(got.err, ErrNotFetched) {
				code = diag.CodeCacheNotFound
			}
			return fail(got.err, "check the address and that you may read it", code)
		}
		missing = "check its path: it is relative to the top of what was fetched"
		next.file, next.remote, next.commit = filepath.Join(got.dir, path), true, got.commit
	}
	if isURL(next.file) {
		return nil
	}
	info, err := os.Stat(next.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail(fmt.Errorf("%s does not exist", l.shown(next.file)), missing, diag.CodeDependencyNotFound)
	case err != nil:
		return fail(err, "", "")
	case info.IsDir():
		next.file = filepath.Join(next.file, "skaffold.yaml")
	}
	return nil
}

// beside resolves a required path: relative to the requiring file's folder, or to the working folder
// where that file has none.
func (l *loader) beside(file, path string) string {
	switch {
	case filepath.IsAbs(path) || isURL(path):
		return path
	case isURL(file) || file == "-":
		return filepath.Join(l.Dir, path)
	}
	return filepath.Join(filepath.Dir(file), path)
}

// fetch brings a remote source here, once per address, and gives the path of the config inside it.
func (l *loader) fetch(ctx context.Context, source model.Source) (remote, string) {
	if l.Remote == nil {
		return remote{err: errors.New("remote configs cannot be fetched here")}, ""
	}
	var key, path string
	var get func() remote
	switch s := source.(type) {
	case *model.GitSource:
		key, path = s.Repo+"@"+s.Ref, s.Path
		get = func() (r remote) { r.dir, r.commit, r.err = l.Remote.Git(ctx, *s); return r }
	case *model.CloudStorageSource:
		key, path = s.Source, s.Path
		get = func() (r remote) { r.dir, r.err = l.Remote.CloudStorage(ctx, *s); return r }
	case *model.CloudBuildRepoSource:
		key, path = s.ProjectID+"/"+s.Region+"/"+s.Connection+"/"+s.Repo+"@"+s.Ref, s.Path
		get = func() (r remote) { r.dir, r.commit, r.err = l.Remote.CloudBuildRepo(ctx, *s); return r }
	}
	got, ok := l.remotes[key]
	if !ok {
		got = get()
		l.remotes[key] = got
	}
	return got, path
}
