package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
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
	if err := checkContexts(drafts); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d := &decisions{
		Pipeline: p, drafts: drafts, lookups: p.Cache.Lookups(ctx, p.askedFor(drafts)), tags: make(chan struct{}),
		refs: map[string]string{}, artifacts: make([]plan.Artifact, len(drafts)),
	}
	defer d.lookups.Close()
	first := make(chan error, 1)
	go func() { first <- d.decide(ctx, levels[0]) }() // reads while git works
	d.tagged, err = p.references(ctx, drafts)
	if err != nil {
		cancel()
		return nil, cmp.Or(err, <-first) // which was cancelled
	}
	close(d.tags)
	p.announceTags(drafts, d.tagged)
	p.warnOnce(drafts)
	return d.artifacts, p.stage(event.StageCache, func() error {
		err := <-first
		for _, level := range levels[1:] {
			if err == nil {
				err = d.decide(ctx, level)
			}
		}
		if err == nil {
			p.announceCache(d.artifacts)
		}
		return err
	})
}

// askedFor names the registries' repositories that are asked what they have.
func (p *Pipeline) askedFor(drafts []plan.Draft) []string {
	var names []string
	for _, d := range drafts {
		if d.Push && !p.NoCache {
			names = append(names, d.Name.String())
		}
	}
	return names
}

// decisions are what is on the way from drafts to artifacts.
type decisions struct {
	*Pipeline
	drafts    []plan.Draft
	lookups   *cache.Lookups
	tags      chan struct{}     // closed once tagged is there
	tagged    []image.Reference // of the drafts
	refs      map[string]string // of images that exist, from levels before
	artifacts []plan.Artifact
}

// decide decides about the drafts of a level, side by side: each is looked for as soon as it is read and tagged. Errors of all come at once.
func (d *decisions) decide(ctx context.Context, level []int) error {
	errs := make([]error, len(d.drafts))
	var group errgroup.Group
	for _, i := range level {
		group.Go(func() error {
			errs[i] = d.one(ctx, i)
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs, all of them
	for _, i := range level {
		if s, ok := d.artifacts[i].State.(plan.UpToDate); ok {
			d.refs[d.drafts[i].Image] = d.image(d.artifacts[i], s.Digest).Ref
		}
	}
	return errors.Join(errs...)
}

// one decides about a draft.
func (d *decisions) one(ctx context.Context, i int) error {
	draft := d.drafts[i]
	if draft.Tagged != nil { // what is built speaks of the tag
		if err := d.untilTagged(ctx); err != nil {
			return err
		}
		spec, err := draft.Tagged(d.tagged[i])
		if err != nil {
			return err
		}
		draft.Spec = spec
	}
	draft = findDockerfile(draft)
	waits := draft.Waits(d.refs)
	var made inputs.Manifest
	var err error
	if len(waits) == 0 {
		if made, err = d.read(ctx, draft, d.refs); err != nil {
			return err
		}
	}
	if err := d.untilTagged(ctx); err != nil {
		return err
	}
	var found plan.Found
	if len(waits) == 0 {
		if found, err = d.lookUp(ctx, d.lookups, plan.Decide(draft, d.tagged[i], made, found, nil)); err != nil {
			return err
		}
	}
	d.artifacts[i] = plan.Decide(draft, d.tagged[i], made, found, waits)
	return nil
}

// untilTagged waits for the tags.
func (d *decisions) untilTagged(ctx context.Context) error {
	select {
	case <-d.tags:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// checkContexts wants the build contexts to be there.
func checkContexts(drafts []plan.Draft) error {
	for _, d := range drafts {
		if err := checkContext(d); err != nil {
			return err
		}
	}
	return nil
}

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

// findDockerfile completes the draft of a Dockerfile artifact by what there is on disk: a Dockerfile below the config's own folder counts when the context has
// none of that name, as in Skaffold.
func findDockerfile(d plan.Draft) plan.Draft {
	spec, ok := d.Spec.(build.Docker)
	if !ok {
		return d
	}
	if rel, err := filepath.Rel(spec.Context, spec.Dockerfile); err == nil && !exists(spec.Dockerfile) {
		if other := filepath.Join(d.Dir, rel); exists(other) {
			spec.Dockerfile = other
		}
	}
	d.Spec = withRunMode(spec, d.Mode)
	return d
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
		reads.BuildCommand, reads.Platforms, reads.Required, reads.Run = spec.Command, d.Platforms, d.Required(refs), p.ListFiles
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

// ListFiles runs the command of a custom artifact that lists its files in a folder, and gives what it prints. As in Skaffold no shell is between, so that quotes reach it as they are written.
func (p *Pipeline) ListFiles(ctx context.Context, command, folder string) ([]byte, error) {
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

// lookUp asks the cache for an artifact.
func (p *Pipeline) lookUp(ctx context.Context, lookups *cache.Lookups, a plan.Artifact) (plan.Found, error) {
	if p.NoCache {
		return plan.Found{Why: []string{"the cache is switched off"}}, nil
	}
	hit, err := lookups.Find(ctx, p.query(a))
	return found(hit), err
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
