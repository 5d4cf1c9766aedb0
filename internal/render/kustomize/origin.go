package kustomize

import (
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"
)

// origin names the file that an object was read from or made by, as seen from Dir.
func (o Options) origin(r *resource.Resource) string {
	origin, err := r.GetOrigin()
	if err != nil || origin == nil {
		return o.Path
	}
	path := origin.Path
	if path == "" {
		path = origin.ConfiguredIn // made by a generator
	}
	if origin.Repo != "" {
		return origin.Repo + "//" + path
	}
	if strings.Contains(path, "://") || isRemote(o.Path) {
		return path
	}
	return o.display(filepath.Join(o.root(), filepath.FromSlash(path)))
}

// display names a file as seen from Dir.
func (o Options) display(file string) string {
	if rel, err := filepath.Rel(o.Dir, file); err == nil && !strings.HasPrefix(rel, "..") {
		return filepath.ToSlash(rel)
	}
	return file
}

// explain makes an error of the library short: files as seen from Dir, and of the ways in which a resource was tried only the one that
// counts.
func (o Options) explain(err error) error {
	text := err.Error()
	if dir := filepath.Clean(o.Dir); dir != string(filepath.Separator) {
		text = strings.ReplaceAll(text, dir+string(filepath.Separator), "")
	}
	for _, t := range []struct{ long, short string }{
		{`accumulation err='accumulating resources from '[^']*': '[^']*' must resolve to a file': `, ""},
		{`accumulation err='(.*)': must build at directory: .*`, "$1"},
		{`recursed accumulation of path '([^']*)': `, "$1: "},
		{`accumulating (resources|components): `, ""},
		{`accumulating (resources|components) from '([^']*)': `, "$2: "},
		{`evalsymlink failure on '[^']*' : lstat `, ""},
		{`MalformedYAMLError: `, ""},
	} {
		text = regexp.MustCompile(t.long).ReplaceAllString(text, t.short)
	}
	return &buildError{text: text, err: err}
}

type buildError struct {
	text string
	err  error
}

func (e *buildError) Error() string { return e.text }
func (e *buildError) Unwrap() error { return e.err }
