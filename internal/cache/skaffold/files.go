package skaffold

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/moby/patternmatcher"

	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/inputs"
)

// runMode is the build argument that tells a Dockerfile which command builds it.
const runMode = "SKAFFOLD_RUN_MODE"

// filesAndArgs lists the files that count, relative to the workspace or absolute, and the build arguments: "NAME=value", sorted.
func (r Reader) filesAndArgs(ctx context.Context, a Artifact) (files, args []string, err error) {
	switch b := a.Builder.(type) {
	case *model.Docker:
		d, err := parseDockerfile(a.Dockerfile)
		if err != nil {
			return nil, nil, err
		}
		values := maps.Clone(a.Args)
		if _, given := b.BuildArgs[runMode]; !given && d.asksFor(runMode) {
			values[runMode] = a.Mode
			args = append(args, runMode+"="+a.Mode)
		}
		args = append(args, pairs(b.BuildArgs, values)...)
		slices.Sort(args)
		files, err = r.dockerFiles(ctx, a, d, b.Dockerfile, values)
		return files, args, err
	case *model.Custom:
		on := dependencies(b)
		switch {
		case on.Dockerfile != nil:
			d, err := parseDockerfile(a.Dockerfile)
			if err != nil {
				return nil, nil, err
			}
			files, err = r.dockerFiles(ctx, a, d, on.Dockerfile.Path, a.Args)
			return files, pairs(on.Dockerfile.BuildArgs, a.Args), err
		case on.Command != "":
			files, err = r.listed(ctx, on.Command, a.absolute(a.Workspace))
		default:
			files, err = matching(a.absolute(a.Workspace), on.Paths, on.Ignore)
		}
	}
	return files, nil, err
}

// pairs gives build arguments with their values, and those without a value by their names.
func pairs(names map[string]*string, values map[string]string) []string {
	var list []string
	for name, text := range names {
		if text != nil {
			name += "=" + values[name]
		}
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func (r Reader) listed(ctx context.Context, command, folder string) ([]string, error) {
	files, err := inputs.ListedFiles(ctx, r.List, command, folder)
	if err != nil {
		return nil, fmt.Errorf("listing its files with %q: %w", command, err)
	}
	return files, nil
}

// matching lists the files of a folder that patterns name, less those to be ignored.
func matching(root string, patterns, ignore []string) ([]string, error) {
	found := map[string]bool{}
	ignored := func(rel string) (bool, error) {
		for _, pattern := range ignore {
			if match, err := doublestar.PathMatch(pattern, rel); match || err != nil {
				return match, err
			}
		}
		return false, nil
	}
	for _, pattern := range patterns {
		starts, err := doublestar.FilepathGlob(filepath.Join(root, pattern))
		if err != nil {
			return nil, fmt.Errorf("dependency path %q: %w", pattern, err)
		}
		if len(starts) == 0 {
			return nil, fmt.Errorf("dependency path %q matches nothing in %s", pattern, root)
		}
		for _, start := range starts {
			err := filepath.WalkDir(start, func(path string, e fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				rel, err := filepath.Rel(root, path)
				if err != nil {
					return err
				}
				skip, err := ignored(rel)
				switch {
				case err != nil:
					return err
				case skip && e.IsDir():
					return fs.SkipDir
				case !skip && !e.IsDir():
					found[rel] = true
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return slices.Collect(maps.Keys(found)), nil
}

// dockerFiles lists what any stage of a Dockerfile copies, and the Dockerfile, named as written. Folders count when they are empty.
func (r Reader) dockerFiles(ctx context.Context, a Artifact, d *dockerfile, written string, args map[string]string) ([]string, error) {
	root := a.absolute(a.Workspace)
	if filepath.IsAbs(written) {
		written = a.Dockerfile
	}
	copies, err := d.copies(ctx, args, r.OnBuild)
	if err != nil {
		return nil, err
	}
	patterns, _, err := inputs.IgnorePatterns(a.Dockerfile+".dockerignore", filepath.Join(root, ".dockerignore"))
	if err != nil {
		return nil, err
	}
	ignore, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, sources := range copies {
		starts, err := existing(root, sources)
		if err != nil {
			return nil, err
		}
		for _, start := range starts {
			if err := walk(root, start, ignore, found); err != nil {
				return nil, err
			}
		}
	}
	found[written] = true
	delete(found, ".dockerignore")
	return slices.Collect(maps.Keys(found)), nil
}

// existing finds what the sources of one COPY name: each a path, or a pattern.
func existing(root string, sources []string) ([]string, error) {
	var all []string
	for _, source := range sources {
		path := filepath.Join(root, source)
		if _, err := os.Stat(path); err == nil {
			all = append(all, path)
			continue
		}
		matches, err := filepath.Glob(path)
		if err != nil {
			return nil, fmt.Errorf("COPY %s: %w", source, err)
		}
		all = append(all, matches...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("COPY %s: there is no such file in %s", strings.Join(sources, " "), root)
	}
	return all, nil
}

// walk adds the files and empty folders below start that are not ignored. A folder that is named itself is entered all the same.
func walk(root, start string, ignore *patternmatcher.PatternMatcher, found map[string]bool) error {
	return filepath.WalkDir(start, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if !e.IsDir() || path != start {
			ignored, err := ignore.MatchesOrParentMatches(rel)
			switch {
			case err != nil:
				return err
			case ignored && e.IsDir() && !exceptionBelow(ignore, rel):
				return fs.SkipDir
			case ignored:
				return nil
			}
		}
		if e.IsDir() {
			entries, err := os.ReadDir(path)
			if err != nil || len(entries) > 0 {
				return err
			}
		}
		found[rel] = true
		return nil
	})
}

// exceptionBelow says whether a "!" pattern begins with an ignored folder.
func exceptionBelow(ignore *patternmatcher.PatternMatcher, folder string) bool {
	const slash = string(filepath.Separator)
	return slices.ContainsFunc(ignore.Patterns(), func(p *patternmatcher.Pattern) bool {
		return p.Exclusion() && strings.HasPrefix(p.String()+slash, folder+slash)
	})
}
