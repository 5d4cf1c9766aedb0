// Package pipeline finds out what a plan needs to know, and carries plans out: build, deploy, wait, prove. It decides
// nothing; decisions are in package plan.
package pipeline

import (
	"context"
	"time"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/cache"
	"github.com/davit-dev/davit/internal/deploy/cloudrun"
	"github.com/davit-dev/davit/internal/deploy/docker"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/hook"
	"github.com/davit-dev/davit/internal/image/load"
	"github.com/davit-dev/davit/internal/imagetest"
	"github.com/davit-dev/davit/internal/inputs"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/plan"
)

// Pipeline holds what stages work with. Each stage says what it needs of it.
type Pipeline struct {
	Sink    event.Sink
	Now     func() time.Time
	Environ []string // of hooks
	HookEnv hook.Env // what all hooks are told
	Nodes   NodeOptions
	Workers int             // builds at a time
	NoCache bool            // build everything
	Bases   map[string]bool // images that need no manifest, since other artifacts stand on them

	Inputs        *inputs.Reader
	PullingInputs *inputs.Reader // of artifacts whose base images are asked for anew
	Cache         *cache.Cache
	Rendering     Rendering

	// Builder gives what builds an artifact; it is asked for those only that have to be built. where names it for people.
	Builder func(ctx context.Context, a plan.Artifact) (b build.Builder, where string, err error)
	// Load brings images that are not pushed to where the cluster finds them. Loads says that nodes have to be given them; else they get names only.
	Loads bool
	Load  func(ctx context.Context, images []load.Image) ([]load.Loaded, error)
	// Test tests built images.
	Test      func(ctx context.Context, cases []imagetest.Case) error
	Kube      *kube.Client
	Deploying Deploying
	// Containers gives what runs containers in the user's Docker Engine.
	Containers func() (*docker.Deployer, error)
	// CloudRun gives what deploys to Cloud Run.
	CloudRun func(ctx context.Context) (*cloudrun.Deployer, error)

	run     string         // see runID
	applied []kube.Applied // by Deploy, for Follow; so is what follows
	running containers
	inCloud cloudRuns

	ReleaseClaims string   // folder of helm's deployer
	SkipTests     bool     // as custom builds are told
	DockerEnviron []string // "NAME=value", leads custom builds to the cluster's own Docker Engine; often none
}

// stage frames what work does with the events of a stage.
func (p *Pipeline) stage(s event.Stage, work func() error) error {
	p.Sink.Emit(event.StageStarted{Stage: s})
	began := p.Now()
	if err := work(); err != nil {
		return err
	}
	p.Sink.Emit(event.StageDone{Stage: s, Took: p.Now().Sub(began)})
	return nil
}
