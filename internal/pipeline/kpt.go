package pipeline

import (
	"bytes"
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/internal/deploy/kpt"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
)

// deployKpt lets kpt deploy the package of a deployment, the place of which among all is i. What of it was rendered here is waited for and proved as if
// davit had applied it.
func (p *Pipeline) deployKpt(ctx context.Context, rolling *rollouts, i int, r Rendered) error {
	if r.Kpt == nil {
		return nil
	}
	if r.Kpt.File == "" {
		return kpt.Apply(ctx, *r.Kpt, nil, p.deployingKpt())
	}
	objects, err := p.objects(r)
	if err != nil {
		return err
	}
	before, text, err := p.forKpt(ctx, objects)
	if err != nil {
		return fmt.Errorf("deploying: %w", err)
	}
	known := map[string]*unstructured.Unstructured{}
	for _, b := range before {
		known[b.Object.GetNamespace()+"/"+b.Resource] = b.Live
	}
	if err := kpt.Apply(ctx, *r.Kpt, text, p.deployingKpt()); err != nil {
		return fmt.Errorf("deploying: %w", err)
	}
	after, err := p.Kube.Compare(ctx, [][]kube.Object{objects}, p.Sink)
	if err != nil {
		return fmt.Errorf("deploying: %w", err)
	}
	for n := range after[0] {
		a := &after[0][n]
		was := known[a.Object.GetNamespace()+"/"+a.Resource]
		switch {
		case a.Live == nil:
			return fmt.Errorf("deploying: kpt left %s out: see what it said with -v info", a.Resource)
		case was == nil:
			a.Verb = kube.VerbCreated
		case was.GetResourceVersion() != a.Live.GetResourceVersion():
			a.Verb = kube.VerbConfigured
		default:
			a.Verb = kube.VerbUnchanged
		}
		p.Sink.Emit(event.ObjectApplied{Resource: a.Resource, Namespace: a.Live.GetNamespace(), Verb: a.Verb})
	}
	rolling.add(i, r.Deployment, after[0])
	return nil
}

// forKpt gives objects with what the cluster has of them, and their manifests with the namespaces that they go to.
func (p *Pipeline) forKpt(ctx context.Context, objects []kube.Object) ([]kube.Applied, []byte, error) {
	found, err := p.Kube.Compare(ctx, [][]kube.Object{objects}, p.Sink)
	if err != nil {
		return nil, nil, err
	}
	var text bytes.Buffer
	for _, f := range found[0] {
		one, err := yaml.Marshal(f.Object.Object)
		if err != nil {
			return nil, nil, fmt.Errorf("writing the manifests for kpt: %w", err)
		}
		text.WriteString("---\n" + string(one))
	}
	return found[0], text.Bytes(), nil
}

func (p *Pipeline) deleteKpt(ctx context.Context, r Rendered) error {
	if r.Kpt == nil {
		return nil
	}
	return kpt.Destroy(ctx, *r.Kpt, p.deployingKpt())
}

func (p *Pipeline) deployingKpt() kpt.Options {
	return kpt.Options{LookPath: p.Rendering.LookPath, Environ: p.Environ, Sink: p.Sink, Cluster: p.clusterFlags("--context")}
}
