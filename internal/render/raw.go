// Package render makes Kubernetes objects of what the config names: raw manifests so far.
package render

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/manifest"
)

// Raw reads raw manifests. Each pattern is a file or a glob below dir (an absolute folder); a folder that a glob hits is
// walked for .yaml, .yml and .json files. The objects come in the order of the patterns, and of names within one.
// A pattern that names nothing at all is an error: what is missing would be missing in the cluster too.
func Raw(ctx context.Context, dir string, patterns []string, sink event.Sink) ([]manifest.Object, error) {
	files, err := expand(dir, patterns, sink)
	if err != nil {
		return nil, err
	}
	parsed := make([][]manifest.Object, len(files))
	errs := make([]error, len(files))
	var group errgroup.Group
	group.SetLimit(8)
	for i, file := range files {
		group.Go(func() error {
			if errs[i] = ctx.Err(); errs[i] != nil {
				return nil
			}
			data, err := os.ReadFile(file)
			if err != nil {
				errs[i] = fmt.Errorf("reading a manifest: %w", err)
				return nil
			}
			parsed[i], errs[i] = manifest.Parse(display(dir, file), data)
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs, all of them
	return slices.Concat(parsed...), errors.Join(errs...)
}

func expand(dir string, patterns []string, sink event.Sink) ([]string, error) {
	var files []string
	add := func(path string) {
		if !slices.Contains(files, path) {
			files = append(files, path)
		}
	}
	for _, pattern := range patterns {
		path := filepath.FromSlash(pattern)
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			add(path)
			continue
		}
		hits, err := filepath.Glob(path)
		if err != nil {
			return nil, fmt.Errorf("manifest pattern %q: %w", pattern, err)
		}
		if len(hits) == 0 {
			if !strings.ContainsAny(pattern, "*?[") {
				return nil, fmt.Errorf("manifest %q does not exist in %s: mend the path in skaffold.yaml or create the file", pattern, dir)
			}
			sink.Emit(event.Warning{Message: fmt.Sprintf("manifest pattern %q matches no file in %s", pattern, dir)})
		}
		for _, hit := range hits {
			if err := walk(hit, add); err != nil {
				return nil, err
			}
		}
	}
	return files, nil
}

func walk(root string, add func(string)) error {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
			add(path)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("looking for manifests: %w", err)
	}
	return nil
}

func display(dir, file string) string {
	if rel, err := filepath.Rel(dir, file); err == nil && !strings.HasPrefix(rel, "..") {
		return filepath.ToSlash(rel)
	}
	return file
}
