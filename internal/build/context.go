package build

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/patternmatcher"
)

// IgnoreFile is the file that says what of the context a build does not see: the Dockerfile's own, else the context's. It need not exist.
func (d Docker) IgnoreFile() string {
	own := d.Dockerfile + ".dockerignore"
	if _, err := os.Stat(own); err == nil {
		return own
	}
	return filepath.Join(d.Context, ".dockerignore")
}

// NotInContext says why the source of a COPY, by its path in the context, was not found: it is nowhere, .dockerignore hides it, or it is a link to
// elsewhere.
func (d Docker) NotInContext(name string) string {
	path := filepath.Join(d.Context, filepath.FromSlash(name))
	if _, err := os.Lstat(path); err != nil {
		return fmt.Sprintf("%q is not in the build context %s", name, d.Context)
	}
	if rule := d.hiddenBy(name); rule != "" {
		return fmt.Sprintf("%q is in the build context %s but hidden by %s", name, d.Context, rule)
	}
	if target := d.outside(path); target != "" {
		return fmt.Sprintf("%q is a link to %s, which is outside of the build context %s: nothing outside of it is sent; copy the file into it, or give its folder as a named context (--build-context)",
			name, target, d.Context)
	}
	return fmt.Sprintf("%q is in the build context %s but was not sent", name, d.Context)
}

// hiddenBy names the line of the ignore file that hides a file: the last one that matches it. Empty when there is none.
func (d Docker) hiddenBy(name string) string {
	file := d.IgnoreFile()
	data, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	found := ""
	for i, line := range strings.Split(string(data), "\n") {
		pattern := strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		if pattern == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(pattern, "!") {
			continue
		}
		matcher, err := patternmatcher.New([]string{strings.TrimPrefix(pattern, "/")})
		if err != nil {
			continue // the builder said so
		}
		if hides, err := matcher.MatchesOrParentMatches(filepath.Clean(filepath.FromSlash(name))); err == nil && hides {
			found = fmt.Sprintf("%s, line %d: %s", file, i+1, pattern)
		}
	}
	return found
}

// outside is where a link leads that leaves the context, else empty.
func (d Docker) outside(path string) string {
	target, err := os.Readlink(path)
	if err != nil {
		return ""
	}
	at := target
	if !filepath.IsAbs(at) {
		at = filepath.Join(filepath.Dir(path), at)
	}
	relative, err := filepath.Rel(d.Context, at)
	if err == nil && filepath.IsLocal(relative) && !filepath.IsAbs(target) {
		return ""
	}
	return target
}
