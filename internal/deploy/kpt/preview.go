package kpt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// AnnotationInventory is what kpt writes on objects: whose they are.
const AnnotationInventory = "config.k8s.io/owning-inventory"

// Previewed is what kpt would do with one object.
type Previewed struct {
	Group, Kind, Namespace, Name string

	Type   string // "apply" or "prune"
	Status string // "Successful", "Failed" or "Skipped"
	Error  string
}

// Refused says whether kpt would not do it.
func (p Previewed) Refused() bool {
	return p.Status == "Failed" || p.Status == "Skipped" && p.Error != ""
}

// flagInstall makes kpt install the definition of its inventories, and does so in a dry run, too.
const flagInstall = "--install-resource-group"

// Installs says whether the package's flags install the definition of inventories into a cluster that does not know it.
func (p Package) Installs() bool { return slices.ContainsFunc(p.ApplyFlags, isInstall) }

func isInstall(flag string) bool { return flag == flagInstall || flag == flagInstall+"=true" }

// Preview asks kpt by dry run what Apply would do with the same arguments. Nothing is done, to the package neither: a copy of it is asked about.
func Preview(ctx context.Context, p Package, manifests []byte, o Options) ([]Previewed, error) {
	dir, err := os.MkdirTemp("", "davit-kpt")
	if err != nil {
		return nil, fmt.Errorf("copying a kpt package: %w", err)
	}
	defer os.RemoveAll(dir)
	copied := filepath.Join(dir, filepath.Base(p.Dir))
	if err := os.CopyFS(copied, os.DirFS(p.Dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("copying a kpt package: %w", err)
	}
	p.Dir, p.ApplyFlags = copied, append(slices.DeleteFunc(slices.Clone(p.ApplyFlags), isInstall), "--dry-run", "--output", "json")
	var all []Previewed
	o.hear = func(line string) {
		var one Previewed
		if json.Unmarshal([]byte(line), &one) == nil && (one.Type == "apply" || one.Type == "prune") && one.Kind != "" {
			all = append(all, one)
		}
	}
	if err = p.fill(ctx, manifests, o); err == nil {
		err = p.apply(ctx, o)
	}
	if err != nil && !slices.ContainsFunc(all, Previewed.Refused) {
		return nil, fmt.Errorf("asking kpt for a dry run: %w", err)
	}
	return all, nil
}
