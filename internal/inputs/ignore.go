package inputs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// ignore is the content of a .dockerignore file. A nil one ignores nothing. It is safe for concurrent use.
type ignore struct {
	patterns   []string
	exceptions [][]string // the patterns behind a "!", in their components
	matchers   sync.Pool  // of *patternmatcher.PatternMatcher, which compile as they go and so serve one goroutine each
}

// ignoreState is what a folder passes on to what is in it.
type ignoreState = patternmatcher.MatchInfo

func newIgnore(patterns []string) (*ignore, error) {
	first, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, err
	}
	if len(first.Patterns()) == 0 {
		return nil, nil
	}
	g := &ignore{patterns: patterns}
	for _, p := range first.Patterns() {
		if p.Exclusion() {
			g.exceptions = append(g.exceptions, strings.Split(filepath.ToSlash(p.String()), "/"))
		}
	}
	g.matchers.Put(first)
	return g, nil
}

// readIgnore reads the first of files that exists. Artifacts with the same patterns share what is made of them.
func (r *Reader) readIgnore(files ...string) (*ignore, error) {
	patterns, from, err := IgnorePatterns(files...)
	if err != nil || from == "" {
		return nil, err
	}
	key := strings.Join(patterns, "\n")
	if g, ok := r.ignores.Load(key); ok {
		return g.(*ignore), nil
	}
	g, err := newIgnore(patterns)
	if err != nil {
		return nil, fmt.Errorf("reading what to ignore from %s: %w", from, err)
	}
	r.ignores.Store(key, g)
	return g, nil
}

// IgnorePatterns reads the patterns of the first of files that exists, and says which one that was; empty when none does.
func IgnorePatterns(files ...string) (patterns []string, from string, err error) {
	for _, name := range files {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, "", fmt.Errorf("reading what to ignore: %w", err)
		}
		patterns, err := ignorefile.ReadAll(f)
		_ = f.Close()
		if err != nil {
			return nil, "", fmt.Errorf("reading what to ignore from %s: %w", name, err)
		}
		return patterns, name, nil
	}
	return nil, "", nil
}

// match says whether rel (slashes) is ignored, given the state of the folder it is in.
func (g *ignore) match(rel string, parent ignoreState) (bool, ignoreState, error) {
	if g == nil {
		return false, ignoreState{}, nil
	}
	m, _ := g.matchers.Get().(*patternmatcher.PatternMatcher)
	if m == nil {
		var err error
		if m, err = patternmatcher.New(g.patterns); err != nil {
			return false, ignoreState{}, err
		}
	}
	defer g.matchers.Put(m)
	return m.MatchesUsingParentResults(rel, parent)
}

// state is the state of a folder that is reached directly, and whether it is ignored.
func (g *ignore) state(dir string) (ignored bool, st ignoreState, err error) {
	if g == nil || dir == "" {
		return false, ignoreState{}, nil
	}
	for i := 0; i <= len(dir); i++ {
		if i == len(dir) || dir[i] == '/' {
			if ignored, st, err = g.match(dir[:i], st); err != nil {
				return false, ignoreState{}, err
			}
		}
	}
	return ignored, st, nil
}

// exceptionBelow says whether something in an ignored folder may be excepted by a "!" pattern.
func (g *ignore) exceptionBelow(dir string) bool {
	parts := strings.Split(dir, "/")
	for _, pattern := range g.exceptions {
		if mayMatchBelow(pattern, parts) {
			return true
		}
	}
	return false
}

func mayMatchBelow(pattern, dir []string) bool {
	for i, part := range dir {
		if i == len(pattern) || strings.Contains(pattern[i], "**") {
			return true
		}
		if ok, err := path.Match(pattern[i], part); err == nil && !ok {
			return false
		}
	}
	return true
}
