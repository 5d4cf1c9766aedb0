package inputs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Custom is an image made by a command of the user's. What it reads is said by the user in one of three ways: a Dockerfile, a
// command that lists files, or Paths.
type Custom struct {
	Context      string // absolute folder
	BuildCommand string
	Env          []string // variables that the configuration gives to the command, "NAME=value"
	Platforms    []string
	Required     map[string]string // as in Docker

	// Dockerfile, when set, is taken apart as for a Dockerfile build, with BuildArgs.
	Dockerfile string // absolute path
	BuildArgs  map[string]string

	// List, when set, is run by the caller's Run in Context and prints a JSON array of files, absolute or relative to Context.
	List string
	Run  func(ctx context.Context, command, folder string) ([]byte, error)

	// Paths are patterns relative to Context, with ** for any folders; a folder is all that is in it. Empty is everything. Ignore are patterns of
	// what is left out; an ignored folder is not entered.
	Paths, Ignore []string
}

// Custom reads what a custom build is made of.
func (r *Reader) Custom(ctx context.Context, c Custom) (Manifest, error) {
	var m Manifest
	var err error
	switch {
	case c.Dockerfile != "":
		m, err = r.Docker(ctx, Docker{Context: c.Context, Dockerfile: c.Dockerfile, BuildArgs: c.BuildArgs, Platforms: c.Platforms, Required: c.Required})
	case c.List != "":
		err = r.addListed(ctx, &m, c)
	default:
		err = r.addPaths(ctx, &m, c)
	}
	if err != nil {
		return m, err
	}
	m.setDocker(Docker{BuildArgs: c.BuildArgs, Platforms: c.Platforms, Required: c.Required})
	m.Set("builder", "custom")
	m.SetHidden("build command", c.BuildCommand)
	for _, kv := range c.Env {
		name, value, _ := strings.Cut(kv, "=")
		m.SetHidden("variable "+name, value)
	}
	return m, nil
}

func (r *Reader) addListed(ctx context.Context, m *Manifest, c Custom) error {
	names, err := ListedFiles(ctx, c.Run, c.List, c.Context)
	if err != nil {
		return fmt.Errorf("listing the files of the artifact with %q: %w", c.List, err)
	}
	col := &collector{tree: r.tree(c.Context, "", nil), ctx: ctx}
	for _, name := range names {
		if err := col.listed(name); err != nil {
			return err
		}
	}
	m.addFiles(col.files)
	return nil
}

// ListedFiles gives the names that a command lists, which it prints as a JSON array.
func ListedFiles(ctx context.Context, run func(ctx context.Context, command, folder string) ([]byte, error), command, folder string) ([]string, error) {
	out, err := run(ctx, command, folder)
	if err != nil {
		return nil, err
	}
	var names []string
	if err := json.Unmarshal(out, &names); err != nil {
		return nil, fmt.Errorf("it must print a JSON array of file names: %w", err)
	}
	return names, nil
}

// listed takes one file or folder that a command named. One that is not there does not count, as in the reference.
func (c *collector) listed(name string) error {
	abs := name
	if !filepath.IsAbs(abs) {
		abs = filepath.Join(c.root, name)
	}
	info, err := os.Lstat(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(c.root, abs)
	if err != nil {
		return err
	}
	rel = filepath.ToSlash(rel)
	if info.IsDir() {
		if rel == "." {
			rel = ""
		}
		err := c.startWalk(rel, filter{})
		c.wait()
		return errors.Join(err, c.err)
	}
	return c.addOne(rel, info)
}

func (r *Reader) addPaths(ctx context.Context, m *Manifest, c Custom) error {
	if len(c.Paths) == 0 {
		c.Paths = []string{"."}
	}
	col := &collector{tree: r.tree(c.Context, "", nil), ctx: ctx}
	col.skip = func(rel string) (bool, error) {
		for _, pattern := range c.Ignore {
			if ok, err := doublestar.PathMatch(pattern, filepath.FromSlash(rel)); ok || err != nil {
				return ok, err
			}
		}
		return false, nil
	}
	for _, pattern := range c.Paths {
		found, err := doublestar.FilepathGlob(filepath.Join(c.Context, filepath.FromSlash(pattern)))
		if err != nil {
			return fmt.Errorf("dependency path %q: %w", pattern, err)
		}
		if len(found) == 0 {
			return fmt.Errorf("dependency path %q matches nothing in %s", pattern, c.Context)
		}
		for _, abs := range found {
			if err := col.matched(abs); err != nil {
				return fmt.Errorf("dependency path %q: %w", pattern, err)
			}
		}
	}
	m.addFiles(col.files)
	return nil
}

// matched takes what a pattern matched, unless it is to be ignored.
func (c *collector) matched(abs string) error {
	rel, err := filepath.Rel(c.root, abs)
	if err != nil {
		return err
	}
	if skip, err := c.skip(filepath.ToSlash(rel)); skip || err != nil {
		return err
	}
	return c.listed(abs)
}
