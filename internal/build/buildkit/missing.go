package buildkit

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/davit-dev/davit/internal/build"
)

// notInContext says why the source of a COPY was not found.
func (j *job) notInContext(name string, at build.Excerpt, err error) error {
	if link := j.linkTo(name, at); link != "" {
		name = link // an old BuildKit names what it looked for after following the link
	}
	return &reworded{text: j.spec.NotInContext(name), error: err}
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
