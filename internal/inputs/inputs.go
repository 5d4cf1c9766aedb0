// Package inputs says what an image is made of, and names it by a key.
//
// A rule per kind of artifact (Docker, Custom) turns its settings into a Manifest: named fields, and the files that the build can read, no
// more and no fewer. Manifest.Key is the content key: the same inputs give the same key in another folder, at another time and on another
// machine, and any change gives another. Why words the difference of two manifests for people.
//
// Files are found by a walk that honours .dockerignore and never enters an ignored folder, in parallel where there are processors for it. Their
// hashes come from an Index, which knows a file that has not changed by its lstat alone.
//
// A builder that is still to come adds a file with its own rule here: a struct with its settings and a method on Reader that
// returns the Manifest.
package inputs

import (
	"context"
	"runtime"
	"sync"
)

// Reader makes manifests. It is safe for concurrent use, and one is shared by all artifacts of a run.
type Reader struct {
	index *Index
	base  func(ctx context.Context, ref, platform string) (BaseImage, error)
	slots chan struct{}

	ignores sync.Map // of *ignore, by their patterns
}

// BaseImage is what a build takes over from the image it starts from.
type BaseImage struct {
	// Digest, "sha256:...", is set where the build is bound to it (an image that was asked for anew with --pull); empty where whatever the
	// builder has under that name is used.
	Digest  string
	Env     []string // "NAME=value"
	OnBuild []string // instructions that a build from this image begins with
}

// Options are what a Reader needs from outside.
type Options struct {
	Index *Index
	// Base says what is known of a base image, for a platform as "linux/amd64". It is asked once for each image of a Dockerfile's reachable stages
	// and may be nil: then ONBUILD instructions and variables of base images are not known, and digests only where the Dockerfile has them.
	Base func(ctx context.Context, ref, platform string) (BaseImage, error)
}

// NewReader returns a Reader.
func NewReader(o Options) *Reader {
	return &Reader{index: o.Index, base: o.Base, slots: make(chan struct{}, 2*runtime.GOMAXPROCS(0))}
}

func (r *Reader) tree(root, prefix string, ignore *ignore) *tree {
	return &tree{root: root, prefix: prefix, ignore: ignore, index: r.index, slots: r.slots}
}
