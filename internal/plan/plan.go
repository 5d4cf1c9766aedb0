// Package plan decides what a run does. It turns the config, the flags and what was found out about the machine, the
// sources and the cluster into a plan (Artifacts and Deployments), and does no I/O: who carries a plan out decides nothing any more, and nobody
// changes it.
//
// The way there has two steps, because some facts can only be asked for once it is known what they are about:
//
//	Draft   config and flags             → artifacts with their names, specifications and hooks; manifest sources
//	Decide  draft and facts about it     → tags, keys, what is up to date and why not
package plan

import (
	"slices"
	"time"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/local"
	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/deploy/docker"
	"github.com/davit-dev/davit/internal/deploy/kpt"
	"github.com/davit-dev/davit/internal/hook"
	"github.com/davit-dev/davit/internal/image"
	"github.com/davit-dev/davit/internal/inputs"
	"github.com/davit-dev/davit/internal/manifest"
)

// Draft is one artifact before its inputs are known.
type Draft struct {
	Image   string          // as in the config
	Name    image.Reference // where it is pushed, without a tag unless the config gives one
	Policy  model.Tagger
	Tag     string // given for all images; empty: by the policy
	Mode    string // SKAFFOLD_RUN_MODE, for Dockerfiles that ask for it
	Dir     string // absolute: the folder that the config's paths start from
	Written Written
	Context string // absolute: the folder that is built
	Spec    build.Spec
	// Tagged makes the specification once the image has its tag; nil when nothing in it speaks of that.
	Tagged func(image.Reference) (build.Docker, error)
	// KeepCacheFrom leaves the artifact's own name in cacheFrom as it is, where it would become the image that is built.
	KeepCacheFrom bool
	Reads         inputs.Custom // what a custom build says that it reads
	Way           local.Way     // how a Dockerfile is built
	WhyWay        string        // why not with BuildKit
	// UseBuildkit is build.local.useBuildkit, for the docker command.
	UseBuildkit *bool
	Import      bool   // an image that has its reference already is taken for it
	Builder     string // address of where to build; empty: what the machine has
	Platforms   []string
	Requires    []Requirement
	Before      []hook.Host
	After       []hook.Host
	Around      *Around // nil: none
	Warning     string  // about its platforms; may be empty
	Push        bool
	Attest      []build.Attestation
	Insecure    []string
}

// Written is how the config writes paths; the tag policy inputDigest depends on that, as Skaffold's does.
type Written struct {
	Folder     string // absolute: where davit was started, in which Skaffold looks for Dockerfile
	Context    string // absolute where another file requires the config
	Dockerfile string
}

// Around are the hooks around all builds of a config; its artifacts share them.
type Around struct{ Before, After []hook.Host }

// HooksBefore are all hooks that run before the build: what they write may be an input of it.
func (d Draft) HooksBefore() []hook.Host {
	if d.Around == nil {
		return d.Before
	}
	return slices.Concat(d.Around.Before, d.Before)
}

// Requirement is an image that must be built first, and the build argument that carries it.
type Requirement struct{ Image, Alias string }

// Artifact is one image: built, or known to be up to date.
type Artifact struct {
	Draft
	Ref    image.Reference // Name with the tag
	Inputs inputs.Manifest // without the digests of what it requires
	State  State
}

// State says what becomes of an artifact. The set is closed: UpToDate, Build, Undecided.
type State interface{ state() }

// UpToDate is an image that exists already, with the digest that it has; of one that is only in the Docker Engine, that is its id. Where is
// "Remotely" or "Locally".
type UpToDate struct {
	Digest, Where string
	NeedsTag      bool // it exists under another tag
}

// Build is an image that has to be built, and why: short phrases for people.
type Build struct{ Why []string }

// Undecided is an image that stands on one that has to be built: whether it is up to date shows once that is there.
type Undecided struct{ Waits []string }

func (UpToDate) state()  {}
func (Build) state()     {}
func (Undecided) state() {}

// Deployment is what reaches the cluster.
type Deployment struct {
	Set       string   // the inventory's name
	Namespace string   // empty: the context's
	Dir       string   // absolute: what relative paths start from
	Raw       []string // files, folders, globs and addresses
	Kustomize []string // folders
	// KustomizeArgs are flags of kustomize build.
	KustomizeArgs []string
	Steps         Steps
	Charts        *Charts          // nil: none
	LegacyCharts  *Charts          // releases of deploy.helm that are rendered, not deployed; nil: none
	Releases      *Releases        // of Helm; nil: none
	Rules         []manifest.Rules // where objects hold images and labels; later ones win
	Labels        map[string]string
	Force         bool
	Elsewhere     bool         // davit applies the manifests to no cluster
	Docker        *docker.Set  // what runs in a Docker Engine; nil: nothing
	CloudRun      *CloudRun    // where in Cloud Run the manifests go; nil: nowhere
	Kpt           *kpt.Package // what kpt deploys; nil: nothing

	Wait     bool
	Deadline time.Duration // zero: each workload's own
	Tolerate bool          // failures count at the deadline only
	Rollout
	Applying
}

// Charts are the Helm releases of a config. Their templates are evaluated once the images are known.
type Charts struct {
	Config *config.Config
	Helm   *model.Helm
	Path   []any // where they stand in the config
}
