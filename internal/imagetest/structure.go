package imagetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/command"
	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/inputs"
)

// structureTest is the program of the structure tests.
const structureTest = "container-structure-test"

func (r *runner) structure(ctx context.Context) error {
	files, err := r.structureFiles()
	if err != nil {
		return fmt.Errorf("testing %s: structureTests: %w", r.Image, err)
	}
	program, err := r.LookPath(structureTest)
	if err != nil {
		return &Error{
			Image: r.Image, Test: "structureTests", Err: err,
			Cause: "need the program " + structureTest + ", which is not on PATH: install it from github.com/GoogleContainerTools/container-structure-test, or leave tests out with --skip-tests",
		}
	}
	args := []string{program, "test", "-v", "warn", "--image", r.Ref}
	for _, f := range files {
		args = append(args, "--config", f)
	}
	args = append(args, r.Structure.Args...)
	var key inputs.Key
	if r.Passed != nil {
		text, err := json.Marshal(append(slices.Clone(args), files...))
		if err != nil {
			return err
		}
		listed := func(context.Context, string, string) ([]byte, error) { return json.Marshal(files) }
		if key, err = r.key(ctx, inputs.Custom{BuildCommand: string(text), List: structureTest, Run: listed}); err != nil {
			return fmt.Errorf("testing %s: structureTests: %w", r.Image, err)
		}
	}
	return r.unlessPassed(key, structureTest, func() error {
		if !r.Local {
			if err := r.pull(ctx); err != nil {
				return fmt.Errorf("testing %s: getting it into the Docker Engine at %s for %s: %w", r.Image, r.Docker.Host, structureTest, err)
			}
		}
		return r.command(ctx, structureTest, command.Command{Args: args, Dir: r.Dir, Environ: r.Environ}, 0)
	})
}

// structureFiles expands the patterns: a folder stands for all files in it.
func (r *runner) structureFiles() ([]string, error) {
	var files []string
	for _, pattern := range r.Structure.Files {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(r.Dir, pattern)
		}
		found := []string{pattern}
		if _, err := os.Stat(pattern); err != nil {
			if found, err = filepath.Glob(pattern); err != nil {
				return nil, fmt.Errorf("the pattern %q: %w", pattern, err)
			}
		}
		for _, root := range found {
			err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					files = append(files, path)
				}
				return err
			})
			if err != nil {
				return nil, err
			}
		}
		if len(found) == 0 {
			r.sink.Emit(event.Warning{Message: fmt.Sprintf("structureTests of %s: %s matches no file", r.Image, pattern)})
		}
	}
	slices.Sort(files)
	if files = slices.Compact(files); len(files) == 0 {
		return nil, errors.New("no file matches: mend the patterns in skaffold.yaml")
	}
	return files, nil
}

// pull gets the image into the Docker Engine, as container-structure-test does not.
func (r *runner) pull(ctx context.Context) error {
	auth, err := engine.Credentials(r.DockerConfig, r.Ref)
	if err != nil {
		return err
	}
	client, err := engine.Open(r.Docker)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := engine.Pull(ctx, client, r.Ref, auth); err != nil {
		return build.Refusal("pulling", r.Ref, err)
	}
	return nil
}
