// Package build holds what all builders share: what is asked of one, and what it returns. Each builder is a package
// below this one.
package build

import (
	"context"

	"github.com/davit-dev/davit/internal/event"
)

// Builder builds one artifact. It is called for several artifacts at once.
type Builder interface {
	// Build builds and, when r.Push, pushes. Events about the artifact (log lines, progress) go to sink; started and built
	// events are the caller's. The error of a failed build step carries the step and its Dockerfile lines.
	Build(ctx context.Context, r Request, sink event.Sink) (Result, error)
}

// Request is one image to build. Everything is decided already: arguments are evaluated, paths are absolute.
type Request struct {
	Image string // the artifact's name as in the config, for events
	Ref   string // name:tag that the image gets
	Push  bool   // push to Ref's registry; otherwise load into the Docker Engine

	Insecure []string // registries to talk to in plain HTTP, beside those on loopback

	Platforms []string // "linux/amd64"; empty: the builder's own

	Spec Spec
}

// Spec says how to make the image. The set is closed: Docker so far.
type Spec interface{ spec() }

// Docker is an image made by a Dockerfile.
type Docker struct {
	Context    string // absolute folder
	Dockerfile string // absolute path
	Target     string
	BuildArgs  map[string]string
	Network    string
	AddHosts   []string // "host:ip"
	CacheFrom  []string
	CacheTo    []string
	NoCache    bool
	Pull       bool
	Secrets    []Secret
	SSH        string
	Labels     map[string]string

	// Contexts are named build contexts: a name to "docker-image://ref@digest" or an absolute folder.
	Contexts map[string]string
}

func (Docker) spec() {}

// Secret is one build secret, from a file or from an environment variable.
type Secret struct {
	ID, Source, Env string
}

// Result is what was built.
type Result struct {
	Digest string // "sha256:..." of the pushed manifest or index, or of the loaded image's id when not pushed
	// ImageID is the config digest of the image loaded into the Docker Engine; empty when pushed only.
	ImageID string
}
