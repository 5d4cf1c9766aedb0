package pool

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/buildkit"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
)

// mostTries bounds how often one build is begun: it may be what kills the replicas.
const mostTries = 4

// poll is how often a pool without a replica that answers is looked at.
const poll = 300 * time.Millisecond

// Builder builds in a pool.
type Builder struct {
	kube    *kube.Client
	options Options
	local   Local
	applied []kube.Applied
}

var _ build.Builder = (*Builder)(nil)

// String names the place for people.
func (b *Builder) String() string { return "the pool " + b.options.String() }

// Build implements build.Builder. The artifact is built on its replica; when that dies meanwhile, on the next one, and when only the
// connection to it is cut, there again.
func (b *Builder) Build(ctx context.Context, r build.Request, sink event.Sink) (build.Result, error) {
	if err := b.reaches(r); err != nil {
		return build.Result{}, fmt.Errorf("building %s: %w", r.Image, err)
	}
	r = b.options.withCache(r)
	died := map[string]bool{}
	for try := 1; ; try++ {
		pod, err := b.replica(ctx, artifact(r), died, sink)
		if err != nil {
			return build.Result{}, fmt.Errorf("building %s: the pool %s: %w", r.Image, b.options, err)
		}
		result, loss, err := b.buildOn(ctx, pod, r, sink)
		if loss == nil {
			return result, err
		}
		what, next := fmt.Sprintf("the connection to the replica %s was cut: %s", pod.Name, loss.why), "trying again"
		if loss.dead {
			died[life(pod)] = true
			what, next = fmt.Sprintf("the replica %s went away: %s", pod.Name, loss.why), "building on another one"
		}
		if try == mostTries {
			return build.Result{}, fmt.Errorf("building %s in %s was given up after %d tries: %s", r.Image, b, try, what)
		}
		sink.Emit(event.Warning{Message: fmt.Sprintf("building %s: %s; %s", r.Image, what, next)})
		if err := pause(ctx, time.Duration(try)*time.Second, loss.dead); err != nil {
			return build.Result{}, fmt.Errorf("building %s: %w", r.Image, err)
		}
	}
}

// pause waits before the next try, for as long as the cluster may take to say that a replica is dead.
func pause(ctx context.Context, length time.Duration, dead bool) error {
	if dead {
		return nil
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(length):
		return nil
	}
}

// loss is the end of a connection before that of the build.
type loss struct {
	dead bool // the replica is no more
	why  string
}

// buildOn builds on one replica. The loss is nil when the result or the error is the build's own.
func (b *Builder) buildOn(ctx context.Context, pod *corev1.Pod, r build.Request, sink event.Sink) (build.Result, *loss, error) {
	sink.Emit(event.ArtifactLog{Image: r.Image, Line: "building on the replica " + pod.Name})
	a := &attempt{kube: b.kube, options: b.options, pod: pod}
	gone := errors.New("its pod is no more")
	building, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		if a.untilGone(building) == nil {
			stop(gone)
		}
	}()
	result, err := buildkit.New(buildkit.Where{
		Kind: buildkit.Replica, Address: podName(pod), Dial: a.dial, Docker: b.local.Docker,
	}, b.local.BuildKit).Build(building, r, sink)
	broken := a.broken()
	switch {
	case err == nil || ctx.Err() != nil:
		return result, nil, err
	case broken != nil && b.mayNotExec(ctx):
		return result, nil, fmt.Errorf("building %s: talking to the replica %s: %w; ask for the right to create pods/exec", r.Image, pod.Name, broken)
	case broken != nil:
		return result, a.epitaph(ctx, broken), err
	case errors.Is(context.Cause(building), gone):
		return result, &loss{dead: true, why: gone.Error()}, err
	}
	return result, nil, err
}

// mayNotExec says whether the cluster does not let this user run programs in pods: the error of a connection says it as text only.
func (b *Builder) mayNotExec(ctx context.Context) bool {
	may, err := b.kube.May(ctx, "create", b.options.Namespace, "pods", "exec")
	return err == nil && !may
}

// artifact is what an artifact keeps from build to build. Not its key: that changes with each edit, and an artifact that was edited is the
// one that profits from where it was built before.
func artifact(r build.Request) string { return cmp.Or(r.Image, r.Key) }

// replica finds the replica to build an artifact on, and waits for one as long as there is none.
func (b *Builder) replica(ctx context.Context, artifact string, died map[string]bool, sink event.Sink) (*corev1.Pod, error) {
	patience, cancel := context.WithTimeoutCause(ctx, b.options.Wait, fmt.Errorf("no replica answers after %s", b.options.Wait))
	defer cancel()
	for {
		pods, err := b.ready(patience)
		if err != nil {
			return nil, cmp.Or(context.Cause(patience), err)
		}
		pods = slices.DeleteFunc(pods, func(p *corev1.Pod) bool { return died[life(p)] })
		if len(pods) > 0 {
			byRank(pods, artifact)
			return pods[0], nil
		}
		if err := b.revive(patience, sink); err != nil {
			return nil, cmp.Or(context.Cause(patience), err)
		}
	}
}

// revive waits until the cluster says that the replicas are ready, which it may say for a moment of one that has just died.
func (b *Builder) revive(ctx context.Context, sink event.Sink) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(poll):
	}
	fresh := &Builder{kube: b.kube, options: b.options, applied: slices.Clone(b.applied)} // b is used by many builds at once
	if err := fresh.refresh(ctx); err != nil {
		return err
	}
	return fresh.wait(ctx, event.SinkFunc(func(e event.Event) {
		if _, isWarning := e.(event.Warning); isWarning {
			sink.Emit(e)
		}
	}))
}

// ready are the pods in which a buildkitd answers.
func (b *Builder) ready(ctx context.Context) ([]*corev1.Pod, error) {
	pods, err := b.kube.Pods(ctx, b.options.Namespace, selector(b.options.Name))
	return slices.DeleteFunc(pods, func(p *corev1.Pod) bool { return !ready(p) }), err
}

func selector(name string) string {
	return labelPool + "=" + name + "," + labelManagedBy + "=" + managedBy
}

// reaches says why a pod cannot push the image.
func (b *Builder) reaches(r build.Request) error {
	named, err := reference.ParseNormalizedNamed(r.Ref)
	if err != nil || !r.Push || b.options.HostNetwork {
		return nil // what is wrong with the name, BuildKit's client says
	}
	host, _, _ := strings.Cut(reference.Domain(named), ":")
	if host != "localhost" && !strings.HasPrefix(host, "127.") {
		return nil
	}
	return fmt.Errorf("the registry %s is on this machine or on each node, and a pod of %s reaches neither by that name: "+
		"build in the nodes' network (network=host), or push to another registry (--default-repo)", reference.Domain(named), b)
}

// withCache lets the build take layers from the registry that other replicas built, and leave its own there. What the config says about
// leaving layers goes first.
func (o Options) withCache(r build.Request) build.Request {
	spec, ok := r.Spec.(build.Docker)
	ref := o.cacheRef(r)
	if !ok || ref == "" {
		return r
	}
	place := "type=registry,ref=" + ref
	if named, err := reference.ParseNormalizedNamed(ref); err == nil && slices.Contains(r.Insecure, reference.Domain(named)) {
		place += ",registry.insecure=true"
	}
	spec.CacheFrom = append(slices.Clone(spec.CacheFrom), place)
	if len(spec.CacheTo) == 0 {
		spec.CacheTo = []string{place + ",mode=max,ignore-error=true"}
	}
	r.Spec = spec
	return r
}

// cacheTag is that of the layers beside an image.
const cacheTag = "davit-cache"

func (o Options) cacheRef(r build.Request) string {
	switch o.Cache {
	case cacheOff:
		return ""
	case "":
		named, err := reference.ParseNormalizedNamed(r.Ref)
		if err != nil || !r.Push {
			return ""
		}
		return reference.TrimNamed(named).String() + ":" + cacheTag
	}
	return o.Cache + ":" + tagOf(r.Image)
}

// tagOf makes a tag of an artifact's name: letters, digits, dashes, dots and underscores, at most 128, and another one for each name.
func tagOf(name string) string {
	plain := regexp.MustCompile(`[^\w.-]`).ReplaceAllString(name, "-")
	return fmt.Sprintf("%.100s-%.4x", strings.TrimLeft(plain, "-."), sha256.Sum256([]byte(name)))
}
