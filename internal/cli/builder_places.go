package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/davit-dev/davit/internal/build/buildkit"
	"github.com/davit-dev/davit/internal/build/carried"
	"github.com/davit-dev/davit/internal/build/pool"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
)

// The names of the builders that have no address.
const (
	engineName  = "docker"
	carriedName = "davit"
)

// The states of builders; a pool says how many of its replicas are ready instead.
const (
	stateRunning     = "running"
	stateStopped     = "stopped"
	stateUnreachable = "unreachable"
)

// builderAnswers bounds how long one builder may take to say what it is.
const builderAnswers = 15 * time.Second

// builderPlace is a place where images are built: one BuildKit, or the replicas of a pool.
type builderPlace struct {
	Name    string          `json:"name"`
	Kind    string          `json:"kind"`
	Current bool            `json:"current"` // builds go there now
	State   string          `json:"state"`
	About   string          `json:"about,omitempty"`
	Error   string          `json:"error,omitempty"`
	Members []builderMember `json:"buildkits"`
}

// builderMember is one BuildKit of a place.
type builderMember struct {
	Name  string `json:"name,omitempty"` // of a pool's replica
	Node  string `json:"node,omitempty"`
	Error string `json:"error,omitempty"`
	*buildkit.State

	builder *buildkit.Builder // nil when it cannot be reached
}

// sink tells of warnings on standard error: standard output is the answer's.
func (o *builderOptions) sink() (event.Sink, error) { return o.common.lines(o.world, true) }

func (o *builderOptions) machine() buildkit.Machine {
	return buildkit.Machine{Getenv: o.world.Getenv, Home: o.world.Home, GOOS: runtime.GOOS, Carried: carriedOptions(o.world)}
}

func (o *builderOptions) buildKit(where buildkit.Where) *buildkit.Builder {
	return buildkit.New(where, buildkit.Options{
		Getenv: o.world.Getenv, DockerConfig: buildkit.DockerConfigDir(o.world.Getenv, o.world.Home), Carried: carriedOptions(o.world),
	})
}

// current is the name of the builder that builds now, as far as the environment says.
func (o *builderOptions) current(ctx context.Context) (string, error) {
	if named := cmp.Or(o.world.Getenv("DAVIT_BUILDER"), o.world.Getenv("BUILDKIT_HOST")); named != "" {
		return named, nil
	}
	facts, err := buildkit.Look(ctx, o.machine())
	if err != nil {
		return "", err
	}
	where, err := buildkit.Choose(facts)
	if err != nil {
		return "", err
	}
	if where.Kind == buildkit.Engine || where.Kind == buildkit.OldEngine {
		return engineName, nil
	}
	return carriedName, nil
}

// find is the place of a name; the one that builds now when there is none.
func (o *builderOptions) find(ctx context.Context, args []string, sink event.Sink) (*builderPlace, error) {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	if name == "" {
		var err error
		if name, err = o.current(ctx); err != nil {
			return nil, err
		}
	}
	m := o.machine()
	switch {
	case pool.Is(name):
		p, err := o.pool(ctx, name, sink)
		if err != nil {
			return nil, err
		}
		return o.poolPlace(p), nil
	case name == carriedName:
		return o.carriedPlace(ctx)
	case name == engineName:
		m.Getenv = hiding(m.Getenv, "BUILDKIT_HOST")
	default:
		m.BuildkitHost = name
	}
	facts, err := buildkit.Look(ctx, m)
	if err != nil {
		return nil, err
	}
	if name == engineName {
		return o.enginePlace(facts), nil
	}
	where, err := buildkit.Choose(facts)
	if err != nil {
		return nil, usageError{fmt.Errorf("%w; or name one of those that davit builder ls shows", err)}
	}
	return o.daemonPlace(where), nil
}

// hiding hides a variable of the environment.
func hiding(getenv func(string) string, hidden string) func(string) string {
	return func(name string) string {
		if name == hidden {
			return ""
		}
		return getenv(name)
	}
}

func (o *builderOptions) enginePlace(facts buildkit.Facts) *builderPlace {
	p := &builderPlace{Name: engineName, Kind: "docker-engine", State: stateRunning, About: facts.Docker.Host, Members: []builderMember{}}
	if facts.DockerError != nil {
		p.State, p.Error = stateUnreachable, facts.DockerError.Error()
		return p
	}
	if facts.NoBuildKit {
		p.State = "no BuildKit"
		return p
	}
	p.Members = []builderMember{{builder: o.buildKit(buildkit.Where{Kind: buildkit.Engine, Docker: facts.Docker})}}
	return p
}

func (o *builderOptions) daemonPlace(where buildkit.Where) *builderPlace {
	return &builderPlace{Name: where.Address, Kind: "buildkitd", State: stateRunning, Members: []builderMember{{builder: o.buildKit(where)}}}
}

func (o *builderOptions) carriedPlace(ctx context.Context) (*builderPlace, error) {
	own := carriedOptions(o.world)
	p := &builderPlace{Name: carriedName, Kind: "davit", State: stateStopped, About: own.Dir, Members: []builderMember{}}
	if err := carried.Possible(own); err != nil {
		p.State, p.Error = "not possible here", err.Error()
		return p, nil
	}
	_, running, err := carried.Running(ctx, own)
	if running {
		p.State = stateRunning
	}
	p.Members = []builderMember{{builder: o.buildKit(buildkit.Where{Kind: buildkit.Carried})}}
	return p, err
}

func (o *builderOptions) pool(ctx context.Context, address string, sink event.Sink) (pool.Pool, error) {
	options, err := pool.Parse(address)
	if err != nil {
		return pool.Pool{}, usageError{err}
	}
	client, err := kube.Connect(o.config.kubeOptions(o.world, sink))
	if err != nil {
		return pool.Pool{}, err
	}
	return pool.Find(ctx, client, options)
}

func (o *builderOptions) poolPlace(p pool.Pool) *builderPlace {
	place := &builderPlace{Name: p.String(), Kind: "pool", About: p.Describe(), Members: []builderMember{}}
	ready := 0
	for _, pod := range p.Pods {
		m := builderMember{Name: pod.Name, Node: pod.Spec.NodeName}
		if pool.Ready(pod) {
			ready++
			m.builder = o.buildKit(p.Where(pod))
		} else {
			m.Error = "not ready"
		}
		place.Members = append(place.Members, m)
	}
	place.State = fmt.Sprintf("%d/%d ready", ready, p.Replicas)
	return place
}

// places are all builders that can be found.
func (o *builderOptions) places(ctx context.Context, sink event.Sink) ([]*builderPlace, error) {
	m := o.machine()
	m.Getenv = hiding(m.Getenv, "BUILDKIT_HOST")
	facts, err := buildkit.Look(ctx, m)
	if err != nil {
		return nil, err
	}
	all := []*builderPlace{o.enginePlace(facts)}
	own, err := o.carriedPlace(ctx)
	if err != nil {
		return nil, err
	}
	all = append(all, own)
	for _, variable := range []string{"BUILDKIT_HOST", "DAVIT_BUILDER"} {
		named := o.world.Getenv(variable)
		if named == "" || named == engineName || named == carriedName || pool.Is(named) {
			continue
		}
		where, err := buildkit.Choose(buildkit.Facts{BuildkitHost: named, TLSDir: o.world.Getenv("DAVIT_BUILDKIT_TLS_DIR")})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", variable, err)
		}
		all = append(all, o.daemonPlace(where))
	}
	return append(all, o.pools(ctx, sink)...), nil
}

// pools are those of the cluster, if there is one: the list is of use without.
func (o *builderOptions) pools(ctx context.Context, sink event.Sink) []*builderPlace {
	client, err := kube.Connect(o.config.kubeOptions(o.world, sink))
	if _, none := errors.AsType[*kube.NoKubeconfigError](err); none {
		return nil
	}
	var found []pool.Pool
	if err == nil {
		found, err = pool.List(ctx, client, "")
	}
	if err != nil {
		sink.Emit(event.Warning{Message: "pools in the cluster are not listed: " + err.Error()})
	}
	var all []*builderPlace
	for _, p := range found {
		all = append(all, o.poolPlace(p))
	}
	return all
}

// ask lets each BuildKit of the places say what it is, side by side. One that is stopped is started for it.
func ask(ctx context.Context, places []*builderPlace) {
	ctx, cancel := context.WithTimeoutCause(ctx, builderAnswers, fmt.Errorf("no answer within %s", builderAnswers))
	defer cancel()
	var group errgroup.Group
	for _, p := range places {
		for i := range p.Members {
			m := &p.Members[i]
			if m.builder == nil {
				continue
			}
			group.Go(func() error {
				state, err := m.builder.Inspect(ctx)
				if err != nil {
					m.Error = cmp.Or(context.Cause(ctx), err).Error()
					return nil
				}
				m.State = &state
				return nil
			})
		}
	}
	_ = group.Wait()
	for _, p := range places {
		if p.Kind == "pool" || len(p.Members) == 0 {
			continue
		}
		p.State = stateRunning
		if p.Members[0].Error != "" {
			p.State, p.Error = stateUnreachable, p.Members[0].Error
		}
	}
}
