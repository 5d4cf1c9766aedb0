package lint

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
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
	copies, err := readCopies(src, docker.BuildArgs)
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

// copied is a source of a COPY or ADD, in the context.
type copied struct {
	command       string // COPY or ADD
	source        string
	line, endLine int // the last is part of it
}

// environment is what variables of a Dockerfile expand to. What only a base image sets is not known here.
type environment map[string]string

func (e environment) Get(name string) (string, bool) { v, ok := e[name]; return v, ok }
func (e environment) Keys() []string                 { return slices.Collect(maps.Keys(e)) }

// readCopies gives what the instructions read of the context, with variables expanded.
func readCopies(src *diag.Source, args map[string]*string) ([]copied, error) {
	tree, err := parser.Parse(bytes.NewReader(src.Text))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", src.File, err)
	}
	stages, meta, err := instructions.Parse(tree.AST, nil)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", src.File, err)
	}
	lex := shell.NewLex(tree.EscapeToken)
	global := environment{}
	for i := range meta {
		follow(lex, &meta[i], global, nil, args)
	}
	var copies []copied
	ends := map[string]environment{} // by stage
	for _, stage := range stages {
		env := maps.Clone(ends[strings.ToLower(stage.BaseName)])
		if env == nil {
			env = environment{}
		}
		for _, command := range stage.Commands {
			name, sources := follow(lex, command, env, global, args)
			for _, source := range sources {
				from := copied{command: name, source: source}
				if at := command.Location(); len(at) > 0 {
					from.line, from.endLine = at[0].Start.Line, at[len(at)-1].End.Line
				}
				copies = append(copies, from)
			}
		}
		ends[strings.ToLower(stage.Name)] = env
	}
	return copies, nil
}

// follow takes in what an instruction sets, and gives what it reads of the context. Words that cannot be expanded stay as they are.
func follow(lex *shell.Lex, command instructions.Command, env, global environment, args map[string]*string) (name string, sources []string) {
	if c, ok := command.(instructions.SupportsSingleWordExpansion); ok {
		_ = c.Expand(func(word string) (string, error) {
			if out, _, err := lex.ProcessWord(word, env); err == nil {
				return out, nil
			}
			return word, nil
		})
	}
	switch c := command.(type) {
	case *instructions.ArgCommand:
		for _, arg := range c.Args {
			if v := args[arg.Key]; v != nil && !strings.Contains(*v, "{{") {
				env[arg.Key] = *v
			} else if arg.Value != nil {
				env[arg.Key] = *arg.Value
			} else if v, ok := global[arg.Key]; ok {
				env[arg.Key] = v
			}
		}
	case *instructions.EnvCommand:
		for _, kv := range c.Env {
			env[kv.Key] = kv.Value
		}
	case *instructions.CopyCommand:
		if c.From == "" {
			return "COPY", c.SourcePaths
		}
	case *instructions.AddCommand:
		return "ADD", c.SourcePaths
	}
	return "", nil
}

// copy looks at what is copied.
func (l *linter) copy(src *diag.Source, root string, from copied, ignored *patternmatcher.PatternMatcher) error {
	matches, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(from.source)))
	if err != nil || strings.Contains(from.source, "://") {
		return nil //nolint:nilerr // a broken pattern is the build's to refuse
	}
	files, git := 0, ""
	for _, start := range matches {
		n, g, err := count(root, start, ignored)
		if err != nil {
			return fmt.Errorf("counting the files of %s: %w", start, err)
		}
		if files += n; git == "" {
			git = g
		}
	}
	fields := map[string]any{"command": from.command, "src": from.source, "gitDirectoryAbsPath": git}
	if files > manyFiles {
		err = l.add(CopyOfManyFiles, src, from.line, 1, from.endLine+1, fields)
	}
	if err == nil && git != "" {
		err = l.add(CopyOfGit, src, from.line, 1, from.endLine+1, fields)
	}
	return err
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
