package pipeline

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/davit-dev/davit/internal/config/template"
	releases "github.com/davit-dev/davit/internal/deploy/helm"
	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/plan"
	"github.com/davit-dev/davit/internal/render/helm"
	"github.com/davit-dev/davit/internal/render/release"
)

// Rendering is what making manifests needs.
type Rendering struct {
	LookPath func(name string) (string, error)                                 // finds commands
	Bucket   func(ctx context.Context, address string) (dir string, err error) // copies what a gs:// address names
	Helm     helm.Options                                                      // Dir is each config's own
	Cluster  func(kubeContext string) (*kube.Client, error)                    // connects with another context than that of the run
	// ContextNamespace is the namespace of the kube context, for runs that ask no cluster.
	ContextNamespace func() string
	Engine           func() (engine.Endpoint, error) // for functions of kpt, where there is no kpt
	// DockerConfig is the folder with credentials for the images of functions.
	DockerConfig string
	Templates    *template.Expander
	Home         string // what ~ stands for
	Namespace    string // of the command line; empty: the releases' own
	// KeepNamespaces leaves objects that name no namespace in none, for whoever applies them.
	KeepNamespaces bool
	Values         map[string]string // parameters of manifests, and values of all charts
}

// Rendered is a deployment with its objects.
type Rendered struct {
	plan.Deployment
	Objects []manifest.Object
	Work    *releases.Work // the releases of Helm; nil: none
}

// Render makes the objects of all deployments that do not depend on what is built: all but those of charts. Errors of all come at once.
func (p *Pipeline) Render(ctx context.Context, deployments []plan.Deployment) ([]Rendered, error) {
	rendered := make([]Rendered, len(deployments))
	if err := p.beforeRendering(ctx, deployments); err != nil {
		return nil, err
	}
	kustomizations := 0
	for _, d := range deployments {
		kustomizations += len(d.Kustomize)
	}
	err := sideBySide(len(deployments), func(i int) error {
		objects, err := p.sources(ctx, deployments[i], kustomizations > 1)
		rendered[i] = Rendered{Deployment: deployments[i], Objects: objects}
		return errors.Join(err, manifest.SetValues(objects, p.Rendering.Values))
	})
	return rendered, err
}

// sideBySide does the parts of a work, as many at a time as there are processors. The errors of all come together, in order.
func sideBySide(parts int, work func(part int) error) error {
	errs := make([]error, parts)
	var group errgroup.Group
	group.SetLimit(max(2, runtime.NumCPU()))
	for i := range parts {
		group.Go(func() error {
			errs[i] = work(i)
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs, all of them
	return errors.Join(errs...)
}

func (p *Pipeline) helm(d plan.Deployment) helm.Options {
	o := p.Rendering.Helm
	o.Dir, o.Environ, o.LookPath, o.Bucket = d.Dir, p.Environ, p.Rendering.LookPath, p.Rendering.Bucket
	return o
}

// chartNamespace is that of charts for which nothing names one: the context's, as with helm.
func (p *Pipeline) chartNamespace() string {
	if p.Kube != nil {
		return p.Kube.Namespace()
	}
	if of := p.Rendering.ContextNamespace; of != nil {
		return of()
	}
	return "default"
}

// forTemplates are the variables by which templates know images.
func forTemplates(images []Image) map[string]string {
	known := make([]template.Image, len(images))
	for i, image := range images {
		known[i] = template.Image{Name: image.Name, Reference: image.Ref}
	}
	return template.Images(known)
}

// RenderCharts adds the objects of charts, whose values may speak of the images. rendered itself stays as it is.
func (p *Pipeline) RenderCharts(ctx context.Context, rendered []Rendered, images []Image) ([]Rendered, error) {
	known := forTemplates(images)
	out := make([]Rendered, len(rendered))
	errs := make([]error, len(rendered))
	for i, r := range rendered {
		out[i] = r
		for _, charts := range []*plan.Charts{r.Charts, r.LegacyCharts} {
			if charts == nil {
				continue
			}
			made, err := p.charts(ctx, r.Deployment, charts, known)
			out[i].Objects, errs[i] = slices.Concat(out[i].Objects, made), errors.Join(errs[i], err)
		}
	}
	return out, errors.Join(errs...)
}

// charts renders the releases of a deployment side by side; their objects come in the order of the config.
func (p *Pipeline) charts(ctx context.Context, d plan.Deployment, from *plan.Charts, images map[string]string) ([]manifest.Object, error) {
	flags := from.Helm.Flags
	x := release.Context{Config: from.Config, Templates: p.Rendering.Templates, Images: images, Home: p.Rendering.Home, Namespace: p.Rendering.Namespace,
		Default: p.chartNamespace(), Overrides: p.Rendering.Values}
	charts, err := release.All(x, from.Helm.Releases, flags.Global, flags.Template, from.Path...)
	if err != nil {
		return nil, err
	}
	if _, err := helm.Order(charts); err != nil {
		return nil, err
	}
	objects := make([][]manifest.Object, len(charts))
	err = sideBySide(len(charts), func(i int) error {
		rendered, err := helm.Render(ctx, charts[i], p.helm(d), p.Sink)
		if err == nil {
			objects[i], err = rendered.Template()
		}
		if err != nil {
			return fmt.Errorf("rendering charts: %w", err)
		}
		return nil
	})
	return slices.Concat(objects...), err
}
