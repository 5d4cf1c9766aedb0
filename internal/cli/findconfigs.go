package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/load"
	"github.com/davit-dev/davit/internal/config/schema"
)

type findConfigsOptions struct {
	directory string
	output    string
}

func newFindConfigs(w World) *cobra.Command {
	o := &findConfigsOptions{}
	cmd := &cobra.Command{
		Use: "find-configs", Hidden: true,
		Short:   "Find the configs below a folder, with their apiVersions",
		Example: "  davit find-configs --directory services --output json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runFindConfigs(cmd.Context(), w, o) },
	}
	cmd.Flags().StringVarP(&o.directory, "directory", "d", ".", "the folder to look in")
	cmd.Flags().StringVarP(&o.output, "output", "o", "table", "form of the answer: table or json")
	return cmd
}

func runFindConfigs(ctx context.Context, w World, o *findConfigsOptions) error {
	if o.output != "table" && o.output != "json" {
		return usageError{fmt.Errorf("output %q is not known: use table or json", o.output)}
	}
	versions, err := findConfigs(ctx, w, o.directory)
	if err != nil {
		return fmt.Errorf("looking for configs: %w", err)
	}
	if o.output == "json" {
		encoder := json.NewEncoder(w.Stdout)
		encoder.SetIndent("", "\t")
		return encoder.Encode(versions)
	}
	for _, path := range slices.Sorted(maps.Keys(versions)) {
		fmt.Fprintf(w.Stdout, "%-70s\t%-30s\n", path, versions[path])
	}
	return nil
}

// findConfigs gives the apiVersion of each file below a folder that is a config, by its path from the working folder.
func findConfigs(ctx context.Context, w World, directory string) (map[string]string, error) {
	versions := map[string]string{}
	root, table := w.path(directory), schema.New()
	return versions, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err := cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
		if ext := filepath.Ext(path); entry.IsDir() || ext != ".yaml" && ext != ".yml" {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if docs, err := load.Parse(table, &diag.Source{File: path, Text: text}); err == nil && len(docs) > 0 {
			versions[filepath.Join(directory, rel)] = docs[0].APIVersion
		}
		return nil
	})
}
