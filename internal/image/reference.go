// Package image knows image references and registries: how a name is read, where the default repo sends it, and how a
// registry is asked.
package image

import (
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

// Reference is an image reference, read.
type Reference struct {
	Name   string // without tag and digest, as written: "gcr.io/p/app", "app"
	Tag    string
	Digest string // "sha256:..."
}

// Parse reads an image reference. Import-path prefixes of ko ("ko://") are dropped and the name is lowercased, as
// Skaffold does, so that a Go import path can name an image.
func Parse(s string) (Reference, error) {
	trimmed := strings.TrimPrefix(s, "ko://")
	name, rest := trimmed, ""
	if i := strings.IndexByte(name, '@'); i >= 0 {
		name, rest = name[:i], name[i:]
	}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name, rest = name[:i], name[i:]+rest
	}
	parsed, err := reference.Parse(strings.ToLower(name) + rest)
	if err != nil {
		return Reference{}, fmt.Errorf("image reference %q: %w", s, err)
	}
	ref := Reference{Name: strings.ToLower(name)}
	if tagged, ok := parsed.(reference.Tagged); ok {
		ref.Tag = tagged.Tag()
	}
	if digested, ok := parsed.(reference.Digested); ok {
		ref.Digest = digested.Digest().String()
	}
	return ref, nil
}

// Named reads "name=reference", or a reference whose name, without tag and digest, is the name too.
func Named(s string) (name string, ref Reference, err error) {
	name, text, given := strings.Cut(s, "=")
	if !given {
		text = s
	}
	if ref, err = Parse(text); err != nil {
		return "", Reference{}, err
	}
	if !given {
		name = ref.Name
	}
	return name, ref, nil
}

// Split gives what is before the last slash of the name, and what is after it; both are empty when there is none, as in Skaffold's variables.
func (r Reference) Split() (repo, last string) {
	i := strings.LastIndexByte(r.Name, '/')
	if i < 0 {
		return "", ""
	}
	return r.Name[:i], r.Name[i+1:]
}

// String gives the reference as it is written: name[:tag][@digest].
func (r Reference) String() string {
	s := r.Name
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest
	}
	return s
}

// Registry is the host (and port) that the reference is pulled from.
func (r Reference) Registry() string {
	named, err := reference.ParseNormalizedNamed(r.Name)
	if err != nil {
		return ""
	}
	return reference.Domain(named)
}
