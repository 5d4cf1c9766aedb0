package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/local"
	"github.com/davit-dev/davit/internal/cache"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/image"
	"github.com/davit-dev/davit/internal/inputs"
	"github.com/davit-dev/davit/internal/plan"
	"github.com/davit-dev/davit/internal/tag"
)

// Prepare tags the drafts, reads what they are made of, looks for what exists already, and decides. It changes nothing.
func (p *Pipeline) Prepare(ctx context.Context, drafts []plan.Draft) ([]plan.Artifact, error) {
	if len(drafts) == 0 {
		return nil, nil
	}
	levels, err := plan.Order(drafts)
	if err != nil {
		return nil, err
	}
	if err := findSources(drafts); err != nil {
		return nil, err
	}
	artifacts := make([]plan.Artifact, len(drafts))
	var tagged []image.Reference
	first := make([]inputs.Manifest, len(drafts)) // inputs of the first level, read while git works
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		tagged, err = p.references(groupCtx, drafts)
		return err
	})
	if len(levels) > 0 {
		group.Go(func() error { return p.readInputs(groupCtx, drafts, levels[0], nil, first) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := p.tellTags(ctx, drafts, tagged, levels[0], first); err != nil {
		return nil, err
	}
	p.announceTags(drafts, tagged)
	p.warnOnce(drafts)
	return artifacts, p.stage(event.StageCache, func() error {
		refs := map[string]string{}
		for n, level := range levels {
			if n > 0 {
				if err := p.readInputs(ctx, drafts, level, refs, first); err != nil {
					return err
				}
			}
			if err := p.decide(ctx, drafts, tagged, level, refs, first, artifacts); err != nil {
				return err
			}
		}
		p.announceCache(artifacts)
		return nil
	})
}

// findSources looks where the drafts' Dockerfiles are, and what those ask for.
// tellTags gives the tags to the specifications that speak of them, and reads the inputs of those in the first level anew.
func (p *Pipeline) tellTags(ctx context.Context, drafts []plan.Draft, tagged []image.Reference, level []int, manifests []inputs.Manifest) error {
	var again []int
	for i, d := range drafts {
		if d.Tagged == nil {
			continue
		}
		spec, err := d.Tagged(tagged[i])
		if err != nil {
			return err
		}
		drafts[i].Spec = withRunMode(findDockerfile(d, spec), d.Mode)
		if slices.Contains(level, i) {
			again = append(again, i)
		}
	}
	return p.readInputs(ctx, drafts, again, nil, manifests)
}

func findSources(drafts []plan.Draft) error {
	for i := range drafts {
		if err := checkContext(drafts[i]); err != nil {
			return err
		}
		if docker, ok := drafts[i].Spec.(build.Docker); ok {
			drafts[i].Spec = withRunMode(findDockerfile(drafts[i], docker), drafts[i].Mode)
		}
	}
	return nil
}

// checkContext wants the build context to be there.
func checkContext(d plan.Draft) error {
	info, err := os.Stat(d.Context)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("the build context of %s does not exist: %s: mend `context` in skaffold.yaml or create the folder", d.Image, d.Context)
	case err != nil:
		return fmt.Errorf("the build context of %s: %w", d.Image, err)
	case !info.IsDir():
		return fmt.Errorf("the build context of %s is not a folder: %s: mend `context` in skaffold.yaml", d.Image, d.Context)
	}
	return nil
}

// findDockerfile falls back to a Dockerfile below the config's own folder when the context has none of that name, as Skaffold does.
func findDockerfile(d plan.Draft, spec build.Docker) build.Docker {
	if exists(spec.Dockerfile) {
		return spec
	}
	if rel, err := filepath.Rel(spec.Context, spec.Dockerfile); err == nil {
		if other := filepath.Join(d.Dir, rel); exists(other) {
			spec.Dockerfile = other
		}
	}
	return spec
}

// runMode is the build argument that tells a Dockerfile which command builds it.
const runMode = "SKAFFOLD_RUN_MODE"

// withRunMode adds the build argument where the Dockerfile speaks of it. Elsewhere it would make the keys of build and of run differ.
func withRunMode(spec build.Docker, mode string) build.Docker {
	text, err := os.ReadFile(spec.Dockerfile)
	if _, given := spec.BuildArgs[runMode]; err != nil || given || !bytes.Contains(text, []byte(runMode)) {
		return spec // a Dockerfile that is not there is reported where its inputs are read
	}
	spec.BuildArgs = maps.Clone(spec.BuildArgs)
	spec.BuildArgs[runMode] = mode
	return spec
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readInputs reads the inputs of some drafts into manifests, at the drafts' places. Drafts that wait for something are left out.
func (p *Pipeline) readInputs(ctx context.Context, drafts []plan.Draft, which []int, refs map[string]string, manifests []inputs.Manifest) error {
	errs := make([]error, len(drafts))
	var group errgroup.Group
	for _, i := range which {
		if len(drafts[i].Waits(refs)) > 0 {
			continue
		}
		group.Go(func() error {
			manifests[i], errs[i] = p.read(ctx, drafts[i], refs)
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs, all of them
	return errors.Join(errs...)
}

// read reads what an artifact is made of.
func (p *Pipeline) read(ctx context.Context, d plan.Draft, refs map[string]string) (inputs.Manifest, error) {
	m, err := p.readSpec(ctx, d, refs)
	if docker, ok := d.Spec.(build.Docker); ok {
		if len(docker.CLIFlags) > 0 {
			m.SetHidden("flags of docker build", strings.Join(docker.CLIFlags, "\x00"))
		}
		if docker.Squash {
			m.Set("squash", "true")
		}
	}
	if d.Way != local.BuildKit {
		m.Set("builder", fmt.Sprint(d.Way))
	}
	for _, a := range d.Attest {
		m.Set("attestation "+a.Kind, fmt.Sprint(a.Attrs)) // fmt sorts maps
	}
	return m, err
}

func (p *Pipeline) readSpec(ctx context.Context, d plan.Draft, refs map[string]string) (inputs.Manifest, error) {
	switch spec := d.Spec.(type) {
	case build.Docker:
		reader := p.Inputs
		if spec.Pull {
			reader = p.PullingInputs
		}
		return reader.Docker(ctx, dockerInputs(d, spec, refs))
	case build.Custom:
		reads := d.Reads
		reads.BuildCommand, reads.Platforms, reads.Required, reads.Run = spec.Command, d.Platforms, d.Required(refs), p.list
		if len(reads.Platforms) == 0 {
			reads.Platforms = []string{"linux/" + runtime.GOARCH} // as for Dockerfiles: what a cluster's nodes say changes no key then
		}
		m, err := p.Inputs.Custom(ctx, reads)
		for i, h := range d.HooksBefore() {
			m.SetHidden(fmt.Sprintf("hook %d", i+1), strings.Join(h.Command, "\x00"))
		}
		return m, err
	}
	return inputs.Manifest{}, fmt.Errorf("reading the inputs of %s: davit does not build a %T", d.Image, d.Spec)
}

// list runs a command that lists files. As in Skaffold no shell is between, so that quotes reach it as they are written.
func (p *Pipeline) list(ctx context.Context, command, folder string) ([]byte, error) {
	words := strings.Fields(command)
	return tag.Exec(p.Environ)(ctx, folder, words[0], words[1:]...)
}

func dockerInputs(d plan.Draft, spec build.Docker, refs map[string]string) inputs.Docker {
	in := inputs.Docker{
		Context: spec.Context, Dockerfile: spec.Dockerfile, Target: spec.Target, BuildArgs: spec.BuildArgs,
		Platforms: d.Platforms, Network: spec.Network, AddHosts: spec.AddHosts, Labels: spec.Labels,
		Contexts: spec.Contexts, Required: d.Required(refs), SSH: spec.SSH,
	}
	for _, s := range spec.Secrets {
		in.Secrets = append(in.Secrets, s.ID)
	}
	for _, h := range d.HooksBefore() {
		in.Hooks = append(in.Hooks, strings.Join(h.Command, "\x00"))
	}
	return in
}

// decide looks a level up in the cache and fills in its artifacts; the references of those that exist go into refs.
func (p *Pipeline) decide(ctx context.Context, drafts []plan.Draft, tagged []image.Reference, level []int, refs map[string]string,
	manifests []inputs.Manifest, artifacts []plan.Artifact,
) error {
	var queries []cache.Query
	var asked []int
	for _, i := range level {
		d, ref := drafts[i], tagged[i]
		if waits := d.Waits(refs); len(waits) > 0 {
			artifacts[i] = plan.Decide(d, ref, inputs.Manifest{}, plan.Found{}, waits)
			continue
		}
		artifacts[i] = plan.Decide(d, ref, manifests[i], plan.Found{}, nil)
		queries, asked = append(queries, p.query(artifacts[i])), append(asked, i)
	}
	hits, err := p.lookUp(ctx, queries)
	if err != nil {
		return err
	}
	for n, i := range asked {
		artifacts[i] = plan.Decide(drafts[i], artifacts[i].Ref, manifests[i], found(hits[n]), nil)
		if hits[n].Found {
			refs[drafts[i].Image] = p.image(artifacts[i], found(hits[n]).Digest).Ref
		}
	}
	return nil
}

// query asks for an artifact by its inputs less what its hooks are known to have made.
func (p *Pipeline) query(a plan.Artifact) cache.Query {
	m := a.Inputs
	if len(a.HooksBefore()) > 0 {
		last, _ := p.Cache.Last(identity(a.Draft))
		m = m.Without(last.Products)
	}
	return cache.Query{
		Image: a.Image, Identity: identity(a.Draft), Key: m.Key(), Manifest: m, Ref: a.Ref.String(), Push: a.Push,
		Import: a.Import && len(a.Platforms) < 2, // as for Skaffold, one that may lack a platform is none
	}
}

// identity names an artifact over time on this machine.
func identity(d plan.Draft) string {
	if docker, ok := d.Spec.(build.Docker); ok {
		return d.Image + "\x00" + docker.Dockerfile + "\x00" + docker.Target
	}
	return d.Image + "\x00" + d.Context
}

// lookUp asks the cache.
func (p *Pipeline) lookUp(ctx context.Context, queries []cache.Query) ([]cache.Hit, error) {
	if p.NoCache {
		hits := make([]cache.Hit, len(queries))
		for i := range hits {
			hits[i].Why = []string{"the cache is switched off"}
		}
		return hits, nil
	}
	hits, err := p.Cache.Lookup(ctx, queries)
	if err != nil {
		return nil, err
	}
	for i, h := range hits {
		if h.Found {
			p.remember(queries[i], h)
		}
	}
	return hits, nil
}

// remember notes a hit that this machine did not know yet, so that it is found by its digest next time.
func (p *Pipeline) remember(q cache.Query, h cache.Hit) {
	last, _ := p.Cache.Last(q.Identity)
	if last.Key == q.Key {
		return
	}
	p.Cache.Remember(cache.Built{Image: q.Image, Identity: q.Identity, Key: q.Key, Manifest: q.Manifest, Products: last.Products,
		Ref: q.Ref, Digest: h.Digest, ImageID: h.ImageID, Pushed: q.Push})
}

func found(h cache.Hit) plan.Found {
	if !h.Found {
		return plan.Found{Why: h.Why}
	}
	if h.Where == cache.InEngine {
		return plan.Found{Digest: h.ImageID, Where: "Locally", NeedsTag: h.NeedsTag}
	}
	return plan.Found{Digest: h.Digest, Where: "Remotely", NeedsTag: h.NeedsTag}
}

func (p *Pipeline) announceTags(drafts []plan.Draft, tagged []image.Reference) {
	p.Sink.Emit(event.StageStarted{Stage: event.StageTags})
	for i, d := range drafts {
		p.Sink.Emit(event.TagMade{Image: d.Image, Ref: tagged[i].String()})
	}
}

// warnOnce says what the drafts warn of, each text once.
func (p *Pipeline) warnOnce(drafts []plan.Draft) {
	said := map[string]bool{"": true}
	for _, d := range drafts {
		if !said[d.Warning] {
			said[d.Warning] = true
			p.warn("%s", d.Warning)
		}
	}
}

func (p *Pipeline) announceCache(artifacts []plan.Artifact) {
	for _, a := range artifacts {
		e := event.CacheChecked{Image: a.Image}
		switch s := a.State.(type) {
		case plan.UpToDate:
			e.Found, e.Digest, e.Where = true, s.Digest, s.Where
		case plan.Build:
			e.Why = s.Why
		case plan.Undecided:
			e.Why = []string{"it requires " + strings.Join(s.Waits, ", ")}
		}
		p.Sink.Emit(e)
	}
}
