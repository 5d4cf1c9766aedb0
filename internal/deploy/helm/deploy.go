// Package helm deploys charts as releases, as the helm command does, and without it: what it deploys, helm lists, upgrades, rolls back and uninstalls, and
// the other way round.
//
// The story of one run, in the order of the calls:
//
//   - [Deployer.Prepare] reads the records of the releases and renders the charts (prepare.go).
//   - Whoever called writes the built images into [Work.Objects].
//   - [Work.Deploy] finds out which releases differ from their deployed revision (decide.go) and carries those out side by side along their
//     dependencies (order.go): record, hooks, objects, what the chart no longer has, record (step.go, hooks.go). What did not change gets no
//     revision; what somebody changed or deleted in the cluster is put back. [Work.Preview] says what it would do.
//   - [Work.Test] runs the tests of the charts (test.go).
//   - [Work.Undo] goes back to what was before. [Deployer.Uninstall], [Deployer.History] and [Deployer.Rollback] need no chart.
//
// Helm's own packages for all this bring client-go's generated scheme along, which costs each start of davit more than the rest of it together.
package helm

import (
	"context"
	"time"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/render/helm"
	"github.com/davit-dev/davit/internal/render/helm/engine"
)

// Release is a release to deploy.
type Release struct {
	helm.Release                        // without Flags
	Install, Upgrade, DepBuild []string // flags of these commands
	CreateNamespace            bool
	Wait                       bool // for its workloads, before what depends on it and before its hooks that come after
	RecreatePods               bool // restart the pods on each upgrade
	Keep                       bool // leave it alone once it is installed
}

// Options is how releases are deployed.
type Options struct {
	Render      helm.Options // Capabilities, Lookup, Upgrade, Revision and Previous are found out
	Cluster     []string     // arguments of the helm command that lead it to the cluster
	Edits       bool         // there is something to write into objects
	Driver      string       // $HELM_DRIVER
	Claims      string       // folder of this machine that says which revisions are being made; empty: it is not known
	Force       bool         // free releases that somebody left half-way, and replace objects whose change the server refuses
	Tests       bool         // those of the charts will run, as Preview says
	Concurrency int          // releases at a time; 0: all
	Settle      time.Duration
	Now         func() time.Time
}

// Deployer deploys releases to one cluster.
type Deployer struct {
	kube    *kube.Client
	options Options
	store   store
	sink    event.Sink
}

// New makes a Deployer.
func New(k *kube.Client, o Options, sink event.Sink) (*Deployer, error) {
	s, err := newStore(k, o)
	if err != nil {
		return nil, err
	}
	return &Deployer{kube: k, options: o, store: s, sink: sink}, nil
}

// Work is a set of releases on their way.
type Work struct {
	*Deployer
	items        []*item
	inOrder      []*item // each after those that it depends on
	transform    func(ctx context.Context, objects []manifest.Object) error
	capabilities *engine.Capabilities
}

// item is a release on its way.
type item struct {
	Release
	settings settings
	foreign  string // why only the helm command can serve it; empty: davit can

	last     *record   // the newest revision; nil: none
	deployed *record   // the one that counts as deployed; nil: none
	failed   []*record // those since, whose objects may be there
	former   []*record // older ones that count as deployed too: whoever replaced them was stopped before the last word

	action  action
	why     string
	trial   *rendered // as the deployed revision would be rendered now
	target  *rendered // what is deployed
	applied []kube.Applied
	made    *record // by this run; nil: none
	undone  bool

	done chan struct{}
	err  error
}

type action string

const (
	install   action = "install"
	upgrade   action = "upgrade"
	unchanged action = "unchanged"
	keep      action = "keep"    // it is there, and is not upgraded
	foreign   action = "foreign" // the helm command does it
)

// rendered is a release as rendered, with its objects to be edited.
type rendered struct {
	*helm.Rendered
	objects []manifest.Object
	hooks   []manifest.Object // one for each of Rendered.Hooks
}

func (r *rendered) all() []manifest.Object {
	return append(r.objects[:len(r.objects):len(r.objects)], r.hooks...)
}

// Objects are the objects of all releases, those of hooks too, for images and labels to be written into.
func (w *Work) Objects() []manifest.Object {
	var all []manifest.Object
	for _, it := range w.items {
		if it.trial != nil {
			all = append(all, it.trial.all()...)
		}
	}
	return all
}
