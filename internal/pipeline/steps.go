package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/hook"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/plan"
	"github.com/davit-dev/davit/internal/render"
	"github.com/davit-dev/davit/internal/render/kpt"
	"github.com/davit-dev/davit/internal/render/kustomize"
)

// sources makes what does not depend on what is built, in Skaffold's order. Each kind of source is transformed by itself. several says that there are
// several kustomizations in this run.
func (p *Pipeline) sources(ctx context.Context, d plan.Deployment, several bool) ([]manifest.Object, error) {
	kustomizations := func(ctx context.Context, d plan.Deployment) ([]manifest.Object, error) {
		return p.kustomizations(ctx, d, several)
	}
	var all []manifest.Object
	var errs []error
	for _, source := range []func(context.Context, plan.Deployment) ([]manifest.Object, error){p.packages, p.raw, kustomizations} {
		objects, err := source(ctx, d)
		for _, f := range d.Steps.Transform {
			if err == nil && len(objects) > 0 {
				objects, err = kpt.Run(ctx, f, objects, p.kpt(d), p.Sink)
			}
		}
		all, errs = append(all, objects...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

func (p *Pipeline) packages(ctx context.Context, d plan.Deployment) (all []manifest.Object, err error) {
	var errs []error
	for _, path := range d.Steps.Packages {
		objects, err := kpt.Render(ctx, path, p.kpt(d), p.Sink)
		all, errs = append(all, objects...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// raw reads manifests that are written down, and those that are in a cluster.
func (p *Pipeline) raw(ctx context.Context, d plan.Deployment) ([]manifest.Object, error) {
	all, err := render.Manifests(ctx, render.Options{Dir: d.Dir, Patterns: d.Raw, Bucket: p.Rendering.Bucket}, p.Sink)
	errs := []error{err}
	for _, l := range d.Steps.Live {
		objects, err := p.live(ctx, l)
		if err != nil {
			err = fmt.Errorf("remote manifest %s: %w", l.Object, err)
		}
		all, errs = append(all, objects...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

func (p *Pipeline) kustomizations(ctx context.Context, d plan.Deployment, several bool) (all []manifest.Object, err error) {
	objects := make([][]manifest.Object, len(d.Kustomize))
	err = sideBySide(len(d.Kustomize), func(i int) (err error) {
		objects[i], err = kustomize.Build(ctx, kustomize.Options{
			Dir: d.Dir, Path: d.Kustomize[i], Args: d.KustomizeArgs, Environ: p.Environ, LookPath: p.Rendering.LookPath, Helm: p.helm(d),
			Several: several, Values: p.Rendering.Values,
		}, p.Sink)
		return err
	})
	return slices.Concat(objects...), err
}

// live reads objects of a cluster.
func (p *Pipeline) live(ctx context.Context, l plan.Live) ([]manifest.Object, error) {
	cluster := p.Kube
	if l.Context != "" && (cluster == nil || cluster.Context() != l.Context) {
		var err error
		if cluster, err = p.Rendering.Cluster(l.Context); err != nil {
			return nil, err
		}
	}
	if cluster == nil {
		return nil, errors.New("no cluster may be asked for it: leave out --offline, or name a context with kubeContext")
	}
	namespace, what, found := strings.Cut(l.Object, ":")
	if !found {
		namespace, what = "", l.Object
	}
	objects, err := cluster.Read(ctx, namespace, what)
	if err != nil {
		return nil, err
	}
	var all []manifest.Object
	for _, o := range objects {
		made, err := written(o, l)
		if err != nil {
			return nil, err
		}
		all = append(all, made...)
	}
	return all, nil
}

// written makes a manifest of a live object.
func written(o kube.Object, l plan.Live) ([]manifest.Object, error) {
	text, err := yaml.Marshal(o.Object)
	if err != nil {
		return nil, err
	}
	return manifest.ParseMade("remote manifest "+l.Object, text)
}

func (p *Pipeline) kpt(d plan.Deployment) kpt.Options {
	return kpt.Options{
		Dir: d.Dir, Environ: p.Environ, LookPath: p.Rendering.LookPath, Engine: p.Rendering.Engine, DockerConfig: p.Rendering.DockerConfig,
	}
}

// beforeRendering runs the hooks of all configs, whose commands may write what others render.
func (p *Pipeline) beforeRendering(ctx context.Context, deployments []plan.Deployment) error {
	for _, d := range deployments {
		if err := hook.Run(ctx, d.Steps.Before, renderHooks, p.renderEnv(d), p.Environ, ofRendering{p.Sink}); err != nil {
			return fmt.Errorf("before rendering: %w", err)
		}
	}
	return nil
}

// finishManifests runs what comes last in making manifests: functions that validate them, and hooks that get them to read and may change them. rendered itself
// stays as it is.
func (p *Pipeline) finishManifests(ctx context.Context, rendered []Rendered) ([]Rendered, error) {
	out := slices.Clone(rendered)
	for i, r := range out {
		if len(r.Objects) == 0 {
			continue
		}
		for _, f := range r.Steps.Validate {
			if _, err := kpt.Run(ctx, f, r.Objects, p.kpt(r.Deployment), p.Sink); err != nil {
				return nil, fmt.Errorf("validating the manifests: %w", err)
			}
		}
		for _, h := range r.Steps.After {
			objects, err := p.afterRendering(ctx, h, out[i])
			if err != nil {
				return nil, fmt.Errorf("after rendering: %w", err)
			}
			out[i].Objects = objects
		}
	}
	return out, nil
}

func (p *Pipeline) afterRendering(ctx context.Context, h plan.AfterRendering, r Rendered) ([]manifest.Object, error) {
	var text bytes.Buffer
	if err := manifest.Stream(&text, r.Objects); err != nil {
		return nil, err
	}
	h.Stdin = text.Bytes()
	if !h.Changes {
		return r.Objects, hook.Run(ctx, []hook.Host{h.Host}, renderHooks, p.renderEnv(r.Deployment), p.Environ, ofRendering{p.Sink})
	}
	out, ran, err := hook.Output(ctx, h.Host, renderHooks, p.renderEnv(r.Deployment), p.Environ, ofRendering{p.Sink})
	if err != nil || !ran {
		return r.Objects, err
	}
	name := fmt.Sprintf("hook %q", strings.Join(h.Command, " "))
	if len(out) == 0 {
		return nil, fmt.Errorf("%s printed nothing: with withChange, it must print the manifests as they are to be", name)
	}
	objects, err := manifest.ParseMade(name, out)
	return manifest.Inherit(objects, r.Objects), err
}

// renderHooks is whose lines the output of hooks around rendering are.
const renderHooks = "render"

// ofRendering says of log lines that they belong to the rendering.
type ofRendering struct{ event.Sink }

func (s ofRendering) Emit(e event.Event) {
	if log, ok := e.(event.ArtifactLog); ok {
		log.Stage = event.StageRender
		e = log
	}
	s.Sink.Emit(e)
}

// renderEnv is what hooks around rendering see, in Skaffold's names.
func (p *Pipeline) renderEnv(d plan.Deployment) hook.Env {
	env := maps.Clone(p.HookEnv)
	if env == nil {
		env = hook.Env{}
	}
	env["KUBE_CONTEXT"], env["NAMESPACES"] = "", d.Namespace
	if p.Kube != nil {
		env["KUBE_CONTEXT"], env["NAMESPACES"] = p.Kube.Context(), p.namespace(d)
	}
	return env
}
