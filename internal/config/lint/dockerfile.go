package lint

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/model"
)

// artifact looks at the Dockerfile of an artifact, once for each file.
func (l *linter) artifact(c *config.Config, i int, a *model.Artifact) error {
	docker, ok := a.Builder.(*model.Docker)
	if !ok {
		return nil
	}
	root := a.Context
	if !filepath.IsAbs(root) {
		root = filepath.Join(c.Dir, root)
	}
	file := docker.Dockerfile
	if !filepath.IsAbs(file) {
		file = filepath.Join(root, file)
	}
	if l.seen[file] {
		return nil
	}
	l.seen[file] = true
	src, err := read(file)
	if err != nil {
		cause := "the Dockerfile cannot be read: " + err.Error()
		if errors.Is(err, fs.ErrNotExist) {
			cause = "there is no Dockerfile " + file
		}
		return c.Error(cause, "say where it is in docker.dockerfile; it is relative to the artifact's context", "build", "artifacts", i, "docker", "dockerfile")
	}
	copies, err := readCopies(src)
	if err != nil {
		return err
	}
	ignored, err := readIgnored(file+".dockerignore", filepath.Join(root, ".dockerignore"))
	if err != nil {
		return err
	}
	for _, from := range copies {
		if err := l.copy(src, root, from, ignored); err != nil {
			return err
		}
	}
	return nil
}

// copied is a COPY or ADD of files of the context.
type copied struct {
	name          string // COPY or ADD
	sources       []string
	line, endLine int // the last is part of it
}

// readCopies gives the instructions that read the context.
func readCopies(src *diag.Source) ([]copied, error) {
	tree, err := parser.Parse(bytes.NewReader(src.Text))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", src.File, err)
	}
	stages, _, err := instructions.Parse(tree.AST, nil)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", src.File, err)
	}
	var copies []copied
	for _, stage := range stages {
		for _, command := range stage.Commands {
			var from copied
			switch c := command.(type) {
			case *instructions.CopyCommand:
				if c.From != "" {
					continue
				}
				from = copied{name: "COPY", sources: c.SourcePaths}
			case *instructions.AddCommand:
				from = copied{name: "ADD", sources: c.SourcePaths}
			default:
				continue
			}
			if at := command.Location(); len(at) > 0 {
				from.line, from.endLine = at[0].Start.Line, at[len(at)-1].End.Line
			}
			copies = append(copies, from)
		}
	}
	return copies, nil
}

// copy looks at what one instruction copies.
func (l *linter) copy(src *diag.Source, root string, from copied, ignored *patternmatcher.PatternMatcher) error {
	files, git := 0, ""
	for _, source := range from.sources {
		matches, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(source)))
		if err != nil || strings.Contains(source, "://") {
			continue
		}
		for _, start := range matches {
			n, g, err := count(root, start, ignored)
			if err != nil {
				return fmt.Errorf("counting the files of %s: %w", start, err)
			}
			if files += n; git == "" {
				git = g
			}
		}
	}
	what := fmt.Sprintf("%s copies %q", from.name, strings.Join(from.sources, " "))
	if files > manyFiles {
		l.add(Rule{RuleID: CopyOfManyFiles, RuleType: DockerfileRule}, src, from.line, 1, from.endLine+1,
			fmt.Sprintf("%s, which is more than %d files: a change of any builds the image anew. Copy only what the image needs, or name the rest in .dockerignore", what, manyFiles))
	}
	if git != "" {
		l.add(Rule{RuleID: CopyOfGit, RuleType: DockerfileRule}, src, from.line, 1, from.endLine+1,
			fmt.Sprintf("%s, which has a .git folder, %s: every git command that writes there builds the image anew. Add .git to .dockerignore", what, git))
	}
	return nil
}

// count gives how many files are at and below start, without the ignored ones, and the first .git folder with files that is among them.
func count(root, start string, ignored *patternmatcher.PatternMatcher) (files int, git string, err error) {
	err = filepath.WalkDir(start, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if rel != "." && ignored != nil {
			skip, err := ignored.MatchesOrParentMatches(rel)
			switch {
			case err != nil:
				return err
			case skip && entry.IsDir() && !ignored.Exclusions():
				return fs.SkipDir
			case skip:
				return nil
			}
		}
		if entry.IsDir() {
			return nil
		}
		files++
		if dir := filepath.Dir(path); git == "" && filepath.Base(dir) == ".git" {
			git = dir
		}
		return nil
	})
	return files, git, err
}

// readIgnored reads the first of the files that is there.
func readIgnored(files ...string) (*patternmatcher.PatternMatcher, error) {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading what to ignore: %w", err)
		}
		patterns, err := ignorefile.ReadAll(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		matcher, err := patternmatcher.New(patterns)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		return matcher, nil
	}
	return nil, nil
}
