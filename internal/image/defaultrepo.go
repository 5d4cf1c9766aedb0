package image

import (
	"regexp"
	"strings"
	"sync"

	"github.com/distribution/reference"
)

// DefaultRepo says where images go that the config names without saying so.
type DefaultRepo struct {
	Repo string // "localhost:5000", "gcr.io/my-project"; empty: names stay as they are
	// MultiLevel says whether the registry takes names with several slashes. nil: Skaffold's guess, Google's
	// registries do, others do not.
	MultiLevel *bool
}

// maxNameLength is the longest repository name that registries take.
const maxNameLength = 255

// Rewrite gives the name under which an image is pushed. The rules are Skaffold's: a name that already starts with the
// default repo is left alone; under Google's registries a name keeps its path; elsewhere its slashes, dots and
// colons become underscores. Tag and digest stay.
func (d DefaultRepo) Rewrite(ref Reference) Reference {
	if d.Repo == "" || strings.HasPrefix(ref.Name, d.Repo) {
		return ref
	}
	name := ref.Name
	if own, project := projectPrefix(d.Repo), projectPrefix(name); d.multiLevel(own) {
		if own == project {
			name = strings.TrimPrefix(name, project)
			ref.Name = d.Repo + "/" + name
			return ref
		}
	} else {
		name = strings.NewReplacer("/", "_", ".", "_", ":", "_", "@", "_").Replace(name)
	}
	ref.Name = d.Repo + "/" + name
	if len(ref.Name) > maxNameLength {
		ref.Name = ref.Name[:maxNameLength]
	}
	return ref
}

func (d DefaultRepo) multiLevel(prefix string) bool {
	if strings.Contains(prefix, "gcr.io") || strings.Contains(prefix, "-docker.pkg.dev") {
		return true
	}
	return d.MultiLevel != nil && *d.MultiLevel
}

// projectPrefix is the "registry/project" that a name in one of Google's registries starts with, with the slash that
// follows it if any; empty when there is none.
func projectPrefix(name string) string { return projectPattern().FindString(name) }

// projectPattern is made at first need: it is long, and most commands have none.
var projectPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^` + reference.DomainRegexp.String() + `/[a-z][a-z0-9-]{4,28}[a-z0-9]/?`)
})
