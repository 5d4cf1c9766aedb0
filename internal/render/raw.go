// Package render makes Kubernetes objects of what the config names: raw manifests here, kustomizations and Helm charts in packages below.
package render

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/manifest"
)

// Options says what raw manifests to read, and how.
type Options struct {
	// Dir is the absolute folder that patterns start from.
	Dir string
	// Patterns are files, folders, globs, and addresses: http://, https:// and gs://.
	Patterns []string
	// HTTP downloads manifests; nil means http.DefaultClient.
	HTTP *http.Client
	// Bucket copies what a gs:// address names and gives the folder it is in; nil makes such addresses an error.
	Bucket func(ctx context.Context, address string) (dir string, err error)
}

// Raw reads raw manifests below dir; see [Manifests].
func Raw(ctx context.Context, dir string, patterns []string, sink event.Sink) ([]manifest.Object, error) {
	return Manifests(ctx, Options{Dir: dir, Patterns: patterns}, sink)
}

// Manifests reads raw manifests. A folder, named or hit by a glob, is walked for .yaml, .yml and .json files. The objects come in the order
// of the patterns, and of names within one; buckets follow, and downloads are last, as in Skaffold. A pattern that names nothing at all is an
// error: what is missing would be missing in the cluster too.
func Manifests(ctx context.Context, o Options, sink event.Sink) ([]manifest.Object, error) {
	var local, buckets, pages []string
	for _, p := range o.Patterns {
		switch {
		case strings.HasPrefix(p, "gs://"):
			buckets = append(buckets, p)
		case strings.HasPrefix(p, "http://"), strings.HasPrefix(p, "https://"):
			pages = append(pages, p)
		default:
			local = append(local, p)
		}
	}
	files, err := expand(o.Dir, local, sink)
	if err != nil {
		return nil, err
	}
	var sources []source
	for _, file := range files {
		sources = append(sources, source{display(o.Dir, file), func(context.Context) ([]byte, error) { return os.ReadFile(file) }})
	}
	for _, address := range buckets {
		found, err := o.bucket(ctx, address)
		if err != nil {
			return nil, err
		}
		sources = append(sources, found...)
	}
	for _, address := range pages {
		sources = append(sources, source{address, func(ctx context.Context) ([]byte, error) { return o.download(ctx, address) }})
	}
	return readAll(ctx, sources)
}

// source is something to read manifests from.
type source struct {
	name string
	read func(context.Context) ([]byte, error)
}

// readAll reads sources side by side. The errors of all come together.
func readAll(ctx context.Context, sources []source) ([]manifest.Object, error) {
	parsed := make([][]manifest.Object, len(sources))
	errs := make([]error, len(sources))
	var group errgroup.Group
	group.SetLimit(8)
	for i, s := range sources {
		group.Go(func() error {
			if errs[i] = ctx.Err(); errs[i] != nil {
				return nil
			}
			data, err := s.read(ctx)
			if err != nil {
				errs[i] = fmt.Errorf("reading a manifest: %w", err)
				return nil
			}
			parsed[i], errs[i] = manifest.Parse(s.name, data)
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs, all of them
	return slices.Concat(parsed...), errors.Join(errs...)
}

// expand finds the files that patterns name. The errors of all come together.
func expand(dir string, patterns []string, sink event.Sink) ([]string, error) {
	var files []string
	var errs []error
	seen := map[string]bool{}
	add := func(path string) {
		if !seen[path] {
			seen[path] = true
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
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("manifest pattern %q: %w", pattern, err))
		case len(hits) == 0 && !strings.ContainsAny(pattern, "*?["):
			errs = append(errs, fmt.Errorf("manifest %q does not exist in %s: mend the path in skaffold.yaml or create the file", pattern, dir))
		case len(hits) == 0:
			sink.Emit(event.Warning{Message: fmt.Sprintf("manifest pattern %q matches no file in %s", pattern, dir)})
		}
		for _, hit := range hits {
			errs = append(errs, walk(hit, add))
		}
	}
	return files, errors.Join(errs...)
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
