package buildkit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/patternmatcher"

	"github.com/davit-dev/davit/internal/build"
)

// notInContext says why the source of a COPY was not found: it is nowhere, .dockerignore hides it, or it is a link to elsewhere.
func (j *job) notInContext(name string, at build.Excerpt, err error) error {
	path := filepath.Join(j.spec.Context, filepath.FromSlash(name))
	if link := j.linkTo(name, at); link != "" {
		name, path = link, filepath.Join(j.spec.Context, link) // an old BuildKit names what it looked for after following the link
	}
	text := fmt.Sprintf("%q is not in the build context %s", name, j.spec.Context)
	if _, e := os.Lstat(path); e == nil {
		text = fmt.Sprintf("%q is in the build context %s but was not sent", name, j.spec.Context)
		if rule := j.hiddenBy(name); rule != "" {
			text = fmt.Sprintf("%q is in the build context %s but hidden by %s", name, j.spec.Context, rule)
		} else if target := j.outside(path); target != "" {
			text = fmt.Sprintf("%q is a link to %s, which is outside of the build context %s: nothing outside of it is sent; copy the file into it, or give its folder as a named context (--build-context)", name, target, j.spec.Context)
		}
	}
	return &reworded{text: text, error: err}
}

// hiddenBy names the line of the ignore file that hides a file: the last one that matches it. Empty when there is none.
func (j *job) hiddenBy(name string) string {
	file := j.spec.Dockerfile + ".dockerignore"
	data, err := os.ReadFile(file)
	if err != nil {
		file = filepath.Join(j.spec.Context, ".dockerignore")
		if data, err = os.ReadFile(file); err != nil {
			return ""
		}
	}
	found := ""
	for i, line := range strings.Split(string(data), "\n") {
		pattern := strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		if pattern == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(pattern, "!") {
			continue
		}
		matcher, err := patternmatcher.New([]string{strings.TrimPrefix(pattern, "/")})
		if err != nil {
			continue // BuildKit said so
		}
		if hides, err := matcher.MatchesOrParentMatches(filepath.Clean(filepath.FromSlash(name))); err == nil && hides {
			found = fmt.Sprintf("%s, line %d: %s", file, i+1, pattern)
		}
	}
	return found
}

// linkTo is a link in the context that an instruction names and that leads to what was not found.
func (j *job) linkTo(target string, at build.Excerpt) string {
	for _, line := range at.Lines {
		for _, word := range strings.Fields(line) {
			to, err := os.Readlink(filepath.Join(j.spec.Context, word))
			if err == nil && strings.TrimPrefix(filepath.ToSlash(filepath.Clean(to)), "/") == target {
				return word
			}
		}
	}
	return ""
}

// outside is where a link leads that leaves the context, else empty.
func (j *job) outside(path string) string {
	target, err := os.Readlink(path)
	if err != nil {
		return ""
	}
	at := target
	if !filepath.IsAbs(at) {
		at = filepath.Join(filepath.Dir(path), at)
	}
	relative, err := filepath.Rel(j.spec.Context, at)
	if err == nil && filepath.IsLocal(relative) && !filepath.IsAbs(target) {
		return ""
	}
	return target
}
