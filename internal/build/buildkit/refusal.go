package buildkit

import (
	"github.com/davit-dev/davit/internal/build"
)

// BuildKit's words before what a registry, or the way to it, answered.
const (
	pushFailed = `failed to push (\S+): `
	pullFailed = `failed to resolve source metadata for (\S+): |pull access denied for (\S+), |failed to load cache key: (\S+): |failed to create LLB definition: (\S+:\S+): not found`
	// An old BuildKit that did not even reach the registry.
	headFailed = `failed to do request: Head "?https?://([^/]+)/v2/(\S+)/manifests/`
)

// registryFailure is the *build.RegistryError in err, or nil when err is not about a registry.
func (j *job) registryFailure(err error) error {
	text := err.Error()
	if m := find(pushFailed, text); m != nil {
		return build.Refusal("pushing", m[1], plain(err))
	}
	if m := find(pullFailed, text); m != nil {
		return build.Refusal("pulling", m[1]+m[2]+m[3]+m[4], plain(err))
	}
	if m := find(headFailed, text); m != nil {
		return build.Refusal("pulling", m[1]+"/"+m[2], plain(err))
	}
	return nil
}

// pushFailure is a push that the Docker Engine could not do.
func (j *job) pushFailure(err error) error {
	return build.Refusal("pushing", j.ref.String(), plain(err))
}
