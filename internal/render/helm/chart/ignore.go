package chart

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// ignore is a .helmignore file: patterns of which the first that says something counts.
type ignore []ignorePattern

type ignorePattern struct {
	glob              string
	negated, dirsOnly bool
	byName            bool // it has no slash: only the last part of a path counts
}

func readIgnore(file string) (ignore, error) {
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out ignore
	lines := strings.Split(strings.TrimPrefix(string(text), string(byteOrderMark)), "\n")
	for i, line := range append(lines, "templates/.?*") { // files with a dot are never templates
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		p := ignorePattern{glob: line}
		p.glob, p.negated = strings.CutPrefix(p.glob, "!")
		p.glob, p.dirsOnly = strings.CutSuffix(p.glob, "/")
		p.byName = !strings.Contains(p.glob, "/")
		p.glob = strings.TrimPrefix(p.glob, "/")
		if _, err := path.Match(p.glob, "x"); err != nil || strings.Contains(line, "**") {
			return nil, fmt.Errorf("%s:%d: %q is not a pattern: ** is not possible in .helmignore", file, i+1, line)
		}
		out = append(out, p)
	}
	return out, nil
}

func (g ignore) match(name string, dir bool) bool {
	for _, p := range g {
		subject := name
		if p.byName {
			subject = path.Base(name)
		}
		hit, _ := path.Match(p.glob, subject) // checked where it was read
		switch {
		case p.negated && (!hit || p.dirsOnly && !dir):
			return true // as Helm has it: all that a negated pattern does not name is left out
		case !p.negated && hit && (dir || !p.dirsOnly):
			return true
		}
	}
	return false
}
