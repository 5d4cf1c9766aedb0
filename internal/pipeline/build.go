package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/custom"
	"github.com/davit-dev/davit/internal/cache"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/hook"
	"github.com/davit-dev/davit/internal/image/load"
	"github.com/davit-dev/davit/internal/inputs"
	"github.com/davit-dev/davit/internal/plan"
)

// Image is a built artifact.
type Image struct {
	Name   string   // as in the config
	Ref    string   // name:tag@digest; name:<id> when only a Docker Engine has it, see pin
	Digest string   // "sha256:..." of the manifest or index; of the image itself when it was only loaded
	Index  bool     // it may hold images of several platforms
	Local  bool     // the Docker Engine has it, and no registry
	Loaded []string // digests under which nodes may know an image that is Local
	Found  bool     // a manifest names it, and nothing else is known of it
}

// Build builds what is not up to date, side by side along what requires what. What was built before another artifact failed stays built and
// is remembered. The result is in the order of the artifacts.
func (p *Pipeline) Build(ctx context.Context, artifacts []plan.Artifact) ([]Image, error) {
	r := &builds{Pipeline: p, slots: make(chan struct{}, max(1, p.Workers)), done: map[string]*outcome{}}
	for _, a := range artifacts {
		r.done[a.Image] = &outcome{ready: make(chan struct{})}
		if s, ok := a.State.(plan.UpToDate); ok {
			r.done[a.Image].finish(p.image(a, s.Digest), nil)
		}
	}
	p.retag(ctx, artifacts...)
	if err := r.run(ctx, artifacts); err != nil {
		return nil, err
	}
	images := make([]Image, len(artifacts))
	for i, a := range artifacts {
		images[i] = r.done[a.Image].image
	}
	return images, nil
}

// retag gives images that exist under another tag the one that they are to have. By its digest an image can be used all the same, so whoever may
// only read goes on.
func (p *Pipeline) retag(ctx context.Context, artifacts ...plan.Artifact) {
	var tags []cache.Tag
	for _, a := range artifacts {
		s, ok := a.State.(plan.UpToDate)
		switch {
		case !ok || !s.NeedsTag:
		case a.Push:
			tags = append(tags, cache.Tag{Digest: s.Digest, Ref: a.Ref.String()})
		default:
			tags = append(tags, cache.Tag{ImageID: s.Digest, Ref: a.Ref.String()})
		}
	}
	if err := p.Cache.Retag(ctx, tags); err != nil && ctx.Err() == nil {
		p.warn("%v", err)
	}
}

func (p *Pipeline) image(a plan.Artifact, digest string) Image {
	if !a.Push {
		return Image{Name: a.Image, Ref: load.Immutable(a.Ref.Name, digest), Digest: digest, Local: true}
	}
	return Image{Name: a.Image, Ref: a.Reference(digest), Digest: digest, Index: len(a.Platforms) > 1 || len(a.Attest) > 0}
}

// pin gives images that only the Docker Engine has the tag that their references name. There, a digest names nothing, and the artifact's tag may name
// another image tomorrow: what stands on it would not notice.
func (p *Pipeline) pin(ctx context.Context, images ...Image) error {
	var tags []cache.Tag
	for _, i := range images {
		if i.Local {
			tags = append(tags, cache.Tag{ImageID: i.Digest, Ref: i.Ref})
		}
	}
	return p.Cache.Retag(ctx, tags)
}

// builds is one call of Build.
type builds struct {
	*Pipeline
	slots chan struct{}
	done  map[string]*outcome
	// around runs the hooks before all builds of a config, once, when the first of them has to be built.
	around map[*plan.Around]*around
}

// around says how far hooks around builds have come.
type around struct {
	before func() error // runs them at the first call
	ran    atomic.Bool
}

// outcome is what came of one artifact; the rest may be read once ready is closed.
type outcome struct {
	ready chan struct{}
	image Image
	err   error
}

func (o *outcome) finish(i Image, err error) {
	o.image, o.err = i, err
	close(o.ready)
}

// errBlocked marks an artifact that was not tried because one that it requires failed; the error of that one is shown.
var errBlocked = errors.New("a required artifact failed")

func (r *builds) run(ctx context.Context, artifacts []plan.Artifact) error {
	var work []plan.Artifact
	for _, a := range artifacts {
		if _, ok := a.State.(plan.UpToDate); !ok {
			work = append(work, a)
		}
	}
	if len(work) == 0 {
		return nil
	}
	r.prepareHooks(ctx, work)
	return r.stage(event.StageBuild, func() error {
		errs := make([]error, len(work))
		var wait sync.WaitGroup
		for i, a := range work {
			wait.Go(func() {
				image, err := r.one(ctx, a)
				r.done[a.Image].finish(image, err)
				if !errors.Is(err, errBlocked) {
					errs[i] = err
				}
			})
		}
		wait.Wait()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
		return r.afterAll(ctx, work)
	})
}

// prepareHooks gets the hooks around all builds ready to be run.
func (r *builds) prepareHooks(ctx context.Context, work []plan.Artifact) {
	r.around = map[*plan.Around]*around{nil: {before: func() error { return nil }}}
	for _, a := range work {
		if r.around[a.Around] != nil {
			continue
		}
		h := &around{}
		h.before = sync.OnceValue(func() error {
			h.ran.Store(true)
			if err := hook.Run(ctx, a.Around.Before, "build", r.HookEnv, r.Environ, r.Sink); err != nil {
				return fmt.Errorf("before all builds: %w", err)
			}
			return nil
		})
		r.around[a.Around] = h
	}
}

// afterAll runs the hooks after all builds, of the configs of which something was built.
func (r *builds) afterAll(ctx context.Context, work []plan.Artifact) error {
	for _, a := range work {
		if h := r.around[a.Around]; h.ran.Swap(false) {
			if err := hook.Run(ctx, a.Around.After, "build", r.HookEnv, r.Environ, r.Sink); err != nil {
				return fmt.Errorf("after all builds: %w", err)
			}
		}
	}
	return nil
}

// one builds one artifact once what it requires is there.
func (r *builds) one(ctx context.Context, a plan.Artifact) (Image, error) {
	refs := map[string]string{}
	for _, req := range a.Requires {
		select {
		case <-r.done[req.Image].ready:
		case <-ctx.Done():
			return Image{}, ctx.Err()
		}
		if r.done[req.Image].err != nil {
			return Image{}, errBlocked
		}
		refs[req.Image] = r.done[req.Image].image.Ref
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return Image{}, ctx.Err()
	}
	if _, undecided := a.State.(plan.Undecided); undecided {
		image, found, err := r.lateLook(ctx, &a, refs)
		if found || err != nil {
			return image, err
		}
	}
	return r.make(ctx, a, refs)
}

// lateLook decides an artifact that had to wait for what it requires.
func (r *builds) lateLook(ctx context.Context, a *plan.Artifact, refs map[string]string) (Image, bool, error) {
	m, err := r.read(ctx, a.Draft, refs)
	if err != nil {
		return Image{}, false, err
	}
	a.Inputs = m
	lookups := r.Cache.Lookups(ctx, r.askedFor([]plan.Draft{a.Draft}))
	defer lookups.Close()
	found, err := r.lookUp(ctx, lookups, *a)
	if err != nil {
		return Image{}, false, err
	}
	decided := plan.Decide(a.Draft, a.Ref, m, found, nil)
	is, ok := decided.State.(plan.UpToDate)
	if !ok {
		return Image{}, false, nil
	}
	*a = decided
	r.retag(ctx, *a)
	r.Sink.Emit(event.CacheChecked{Image: a.Image, Found: true, Where: is.Where, Digest: is.Digest})
	return r.image(*a, is.Digest), true, nil
}

// make runs the hooks and the builder, and remembers what came of it.
func (r *builds) make(ctx context.Context, a plan.Artifact, refs map[string]string) (made Image, err error) {
	builder, where, err := r.Builder(ctx, a)
	if err != nil {
		return Image{}, err
	}
	began := r.Now()
	r.Sink.Emit(event.ArtifactStarted{Image: a.Image, Where: where})
	built := false
	defer func() {
		if err != nil && !built && ctx.Err() == nil {
			r.Sink.Emit(event.ArtifactFailed{Image: a.Image, Error: err.Error(), Took: r.Now().Sub(began)})
		}
	}()
	if err := r.around[a.Around].before(); err != nil {
		return Image{}, err
	}
	env := r.buildEnv(a)
	if err := hook.Run(ctx, a.Before, a.Image, env, r.Environ, r.Sink); err != nil {
		return Image{}, fmt.Errorf("building %s: %w", a.Image, err)
	}
	m, products, err := r.settle(ctx, a, refs) // before the build: what somebody saves meanwhile is no product
	if err != nil {
		return Image{}, err
	}
	for _, required := range a.Requires {
		if err := r.pin(ctx, r.done[required.Image].image); err != nil {
			return Image{}, fmt.Errorf("building %s: %w", a.Image, err)
		}
	}
	result, err := builder.Build(ctx, r.request(a, m.Key(), refs), r.Sink)
	if err != nil {
		return Image{}, err
	}
	built = true
	r.Sink.Emit(event.ArtifactBuilt{Image: a.Image, Ref: a.Ref.String(), Digest: result.Digest, Pushed: a.Push, Took: r.Now().Sub(began)})
	if err := hook.Run(ctx, a.After, a.Image, env, r.Environ, r.Sink); err != nil {
		return Image{}, fmt.Errorf("after building %s: %w", a.Image, err)
	}
	r.Cache.Record(ctx, []cache.Built{{
		Image: a.Image, Identity: identity(a.Draft), Key: m.Key(), Manifest: m, Products: products,
		Ref: a.Ref.String(), Digest: result.Digest, ImageID: result.ImageID, Pushed: a.Push,
	}})
	return r.image(a, result.Digest), nil
}

// settle gives the inputs that a build is remembered under: those from before its hooks ran, less what they made.
func (r *builds) settle(ctx context.Context, a plan.Artifact, refs map[string]string) (inputs.Manifest, []inputs.Product, error) {
	if len(a.HooksBefore()) == 0 {
		return a.Inputs, nil, nil
	}
	after, err := r.read(ctx, a.Draft, refs)
	if err != nil {
		return inputs.Manifest{}, nil, err
	}
	last, _ := r.Cache.Last(identity(a.Draft))
	products := inputs.Produced(a.Inputs, after, last.Products)
	return inputs.Settle(a.Inputs, products), products, nil
}

func (p *Pipeline) request(a plan.Artifact, key inputs.Key, refs map[string]string) build.Request {
	r := build.Request{
		Image: a.Image, Ref: a.Ref.String(), Key: string(key), Push: a.Push, Insecure: a.Insecure, Platforms: a.Platforms, Attest: a.Attest, Spec: a.Spec,
	}
	switch spec := a.Spec.(type) {
	case build.Docker:
		spec.BuildArgs = maps.Clone(spec.BuildArgs)
		maps.Copy(spec.BuildArgs, a.Required(refs))
		spec.CacheFrom = slices.Clone(spec.CacheFrom)
		for i, from := range spec.CacheFrom {
			if from == a.Image && !a.KeepCacheFrom {
				spec.CacheFrom[i] = a.Ref.String() // the artifact itself, where it is pushed
			}
		}
		r.Spec = spec
	case build.Custom:
		spec.Environ = custom.Environ(p.Environ, custom.Variables{
			Name: a.Ref.Name, Tag: a.Ref.Tag, Push: a.Push, Context: a.Context, Platforms: a.Platforms, SkipTests: p.SkipTests,
			Required: a.Required(refs), Docker: p.DockerEnviron,
		})
		r.Spec = spec
	}
	return r
}

// buildEnv is what hooks of a build see, in Skaffold's names. IMAGE_REPO is the reference less its last element.
func (p *Pipeline) buildEnv(a plan.Artifact) hook.Env {
	repo, _ := a.Ref.Split()
	env := hook.Env{
		"IMAGE": a.Ref.String(), "PUSH_IMAGE": fmt.Sprint(a.Push), "IMAGE_REPO": repo, "IMAGE_TAG": a.Ref.Tag,
		"BUILD_CONTEXT": a.Context,
	}
	maps.Copy(env, p.HookEnv)
	return env
}
