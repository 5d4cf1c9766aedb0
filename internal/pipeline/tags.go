package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/image"
	"github.com/davit-dev/davit/internal/inputs"
	"github.com/davit-dev/davit/internal/plan"
	"github.com/davit-dev/davit/internal/tag"
)

// references tags the drafts: their names with the tags that their policies make, in order. Where a policy fails, Skaffold's fallback is taken and
// said so.
func (p *Pipeline) references(ctx context.Context, drafts []plan.Draft) ([]image.Reference, error) {
	folders := make([]string, len(drafts))
	for i, d := range drafts {
		folders[i] = d.Context
	}
	run := tag.Exec(p.Environ)
	maker := policies{Pipeline: p, git: tag.NewGit(run, folders), env: tag.Environment{Environ: p.Environ, Now: p.Now, Run: run}}
	jobs := make([]tag.Job, len(drafts))
	for i, d := range drafts {
		policy, err := maker.policy(ctx, d.Policy)
		if err != nil {
			return nil, fmt.Errorf("tagging %s: %w", d.Image, err)
		}
		if d.Tag != "" {
			policy = tag.Fixed(d.Tag)
		}
		jobs[i] = tag.Job{Policy: policy, Artifact: tag.Artifact{
			Image: d.Image, Workspace: d.Context,
			InputDigest: func(ctx context.Context) (string, error) { return p.inputDigest(ctx, d, drafts) },
		}}
	}
	made, err := tag.Generate(ctx, jobs)
	if err != nil {
		return nil, err
	}
	p.warnFallbacks(made)
	refs := make([]image.Reference, len(drafts))
	for i, m := range made {
		ref, err := image.Parse(m.Ref)
		if err != nil {
			return nil, err
		}
		refs[i] = drafts[i].Name
		refs[i].Tag, refs[i].Digest = ref.Tag, ""
	}
	return refs, nil
}

// warnFallbacks says once that policies could not tag some images, and why not the first; the rest is for -v debug.
func (p *Pipeline) warnFallbacks(made []tag.Made) {
	failed := slices.DeleteFunc(slices.Clone(made), func(m tag.Made) bool { return m.Fallback == nil })
	if len(failed) == 0 {
		return
	}
	for _, m := range failed {
		p.Sink.Emit(event.Debug{Message: fmt.Sprintf("tag of %s: %v", m.Image, m.Fallback)})
	}
	more := ""
	if n := len(failed) - 1; n > 0 {
		more = fmt.Sprintf(", and for %d more", n)
	}
	cause, _, _ := strings.Cut(failed[0].Fallback.Error(), "\n")
	p.warn("the tag policy has no tag for %s%s: %s: the tag is %s", failed[0].Image, more, cause, failed[0].Ref[strings.LastIndexByte(failed[0].Ref, ':')+1:])
}

// inputDigest is the digest over the files of an artifact and of all that it requires.
func (p *Pipeline) inputDigest(ctx context.Context, d plan.Draft, drafts []plan.Draft) (string, error) {
	digest := inputs.Digest{Folder: d.Written.Folder, Workspace: d.Written.Context, Dockerfile: d.Written.Dockerfile}
	if docker, ok := d.Spec.(build.Docker); ok {
		digest.Target = docker.Target
	}
	for _, part := range withRequired(d, drafts) {
		part.Before, part.Around = nil, nil
		m, err := p.read(ctx, findDockerfile(part), nil)
		if err != nil {
			return "", err
		}
		digest.Parts = append(digest.Parts, inputs.DigestPart{Workspace: part.Written.Context, Manifest: m})
	}
	return inputs.InputDigest(ctx, digest)
}

// withRequired lists an artifact and what it requires, directly or not, each once.
func withRequired(d plan.Draft, drafts []plan.Draft) []plan.Draft {
	all := []plan.Draft{d}
	for i := 0; i < len(all); i++ {
		for _, r := range all[i].Requires {
			known := slices.ContainsFunc(all, func(a plan.Draft) bool { return a.Image == r.Image })
			if at := slices.IndexFunc(drafts, func(a plan.Draft) bool { return a.Image == r.Image }); at >= 0 && !known {
				all = append(all, drafts[at])
			}
		}
	}
	return all
}

// policies makes policies of what the config says. They share one git.
type policies struct {
	*Pipeline
	git *tag.Git
	env tag.Environment
}

func (m policies) policy(ctx context.Context, t model.Tagger) (tag.Policy, error) {
	switch t := t.(type) {
	case *model.GitCommit:
		return tag.GitCommit{Prefix: t.Prefix, Variant: t.Variant, IgnoreChanges: t.IgnoreChanges, Git: m.git}, nil
	case *model.Sha256:
		return tag.SHA256{}, nil
	case *model.InputDigest:
		return tag.InputDigest{}, nil
	case *model.DateTime:
		return tag.DateTime{Format: t.Format, Zone: t.Timezone, Now: m.Now}, nil
	case *model.EnvTemplate:
		return tag.NewEnvTemplate(ctx, t.Template, m.env)
	case *model.CustomTemplate:
		components := make([]tag.Component, len(t.Components))
		for i, c := range t.Components {
			policy, err := m.policy(ctx, c.Tagger)
			if err != nil {
				return nil, err
			}
			components[i] = tag.Component{Name: c.Name, Policy: policy}
		}
		return tag.NewCustomTemplate(t.Template, components, m.git, m.Now)
	}
	return nil, fmt.Errorf("the tag policy %T is not known", t)
}
