// Package build holds what all builders share: what is asked of one, and what it returns. Each builder is a package
// below this one.
package build

import (
	"context"
	"io"

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
	Key   string // the content key, 64 hex digits: the same key goes to the same machine of a pool; may be empty

	Push bool // push to Ref's registry
	// Archive opens the place that takes the image as a `docker save` archive when it is not pushed. Its Close returns once the image is
	// taken. Nil: the image goes into the Docker Engine.
	Archive func() (io.WriteCloser, error)

	Insecure []string // registries to talk to in plain HTTP, beside those on loopback

	Platforms []string // "linux/amd64"; empty: the builder's own

	Attest []Attestation // attached to what is pushed

	Spec Spec
}

// Attestation is something that the builder shall attest about an image: Kind is "provenance" or "sbom", Attrs are those of BuildKit, such as
// mode=max.
type Attestation struct {
	Kind  string
	Attrs map[string]string
}

// Spec says how to make the image. The set is closed: Docker and Custom.
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

	CLIFlags []string // of `docker build`, for builders that run it
	Squash   bool     // one layer on top of the base; the Docker Engine's own builder only
}

// Custom is an image made by a command of the user's, in a shell.
type Custom struct {
	Context string // absolute folder, where it runs
	Command string
	Environ []string // "NAME=value", all that it sees
}

func (Docker) spec() {}

func (Custom) spec() {}

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
