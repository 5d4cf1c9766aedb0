package helm

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// given is what the helm command is given of a release: the release as the config has it, and its files.
func (it *item) given() (map[string]any, error) {
	given := map[string]any{"release": it.Release}
	files := slices.Clone(it.ValuesFiles)
	for _, s := range it.SetFiles {
		files = append(files, s.Value)
	}
	if !it.Remote {
		err := filepath.WalkDir(it.Chart, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("reading the chart of release %s: %w", it.Name, err)
		}
	}
	for _, file := range files {
		if strings.Contains(file, "://") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading the files of release %s: %w", it.Name, err)
		}
		given[file] = text
	}
	return given, nil
}
