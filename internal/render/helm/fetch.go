package helm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/render/helm/chart"
)

// fetcher brings charts and what they depend on. Nothing is written beside them: the folder of a chart is the user's.
type fetcher struct {
	options Options
	flags   flags
	sink    event.Sink
	indexes map[string]*index // by the repository's URL
}

// chart gives the chart of a release with its dependencies.
func (f *fetcher) chart(ctx context.Context, r Release) (*chart.Chart, error) {
	if r.Remote {
		data, err := f.remote(ctx, r)
		if err != nil {
			return nil, fmt.Errorf("getting chart %s: %w", r.Chart, err)
		}
		return chart.FromArchive(data)
	}
	return f.local(ctx, r.Chart, r.SkipDependencies, nil)
}

// local loads a chart and completes it. within are the folders that want it as a dependency.
func (f *fetcher) local(ctx context.Context, path string, skip bool, within []string) (*chart.Chart, error) {
	if slices.Contains(within, path) {
		return nil, fmt.Errorf("charts depend on each other in a circle: %s", strings.Join(append(within, path), " -> "))
	}
	c, err := chart.Load(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !skip && info.IsDir() {
		if err := f.complete(ctx, c, path, append(within, path)); err != nil {
			return nil, err
		}
	}
	if missing := c.Missing(); len(missing) > 0 {
		return nil, fmt.Errorf("chart %s has no %s in its charts folder: run `helm dependency build %s`, or remove skipBuildDependencies",
			c.Name(), strings.Join(missing, ", "), display(f.options.Dir, path))
	}
	return c, nil
}

// complete brings the dependencies of a chart in a folder. Those in other folders always, as they may have changed; the others when the
// charts folder lacks the version that is wanted.
func (f *fetcher) complete(ctx context.Context, c *chart.Chart, dir string, within []string) error {
	for _, d := range c.Metadata.Dependencies {
		want := *d
		if locked := c.Locked(d); locked != "" && chart.InRange(d.Version, locked) {
			want.Version = locked
		}
		if folder, ok := strings.CutPrefix(d.Repository, "file://"); ok {
			if !filepath.IsAbs(folder) {
				folder = filepath.Join(dir, filepath.FromSlash(folder))
			}
			sub, err := f.local(ctx, folder, false, within)
			if err != nil {
				return fmt.Errorf("dependency %s of chart %s: %w", d.Name, c.Name(), err)
			}
			if !chart.InRange(d.Version, sub.Metadata.Version) {
				return fmt.Errorf("dependency %s of chart %s wants version %s, and %s has %s", d.Name, c.Name(), d.Version, d.Repository, sub.Metadata.Version)
			}
			c.Replace(sub)
			continue
		}
		if d.Repository == "" || c.Has(&want) {
			continue
		}
		data, err := f.remote(ctx, Release{Chart: d.Name, Repo: d.Repository, Version: want.Version})
		if err != nil {
			return fmt.Errorf("dependency %s of chart %s: %w", d.Name, c.Name(), err)
		}
		sub, err := chart.FromArchive(data)
		if err != nil {
			return fmt.Errorf("dependency %s of chart %s: %w", d.Name, c.Name(), err)
		}
		c.Replace(sub)
	}
	return nil
}

// file reads a values file, which may be a URL.
func (f *fetcher) file(ctx context.Context, path string) ([]byte, error) {
	if strings.HasPrefix(path, "http://") || strings.HasPrefix(path, "https://") {
		return f.get(ctx, path, credentials{})
	}
	if strings.HasPrefix(path, "gs://") {
		if f.options.Bucket == nil {
			return nil, errors.New("objects of Cloud Storage cannot be read here")
		}
		dir, err := f.options.Bucket(ctx, path)
		if err != nil {
			return nil, err
		}
		path = filepath.Join(dir, path[strings.LastIndexByte(path, '/')+1:])
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errors.New("it does not exist: mend valuesFiles in skaffold.yaml or create the file")
	}
	return data, err
}
