package helm

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/render/helm"
)

// byCommand has the helm command deploy a release, and finds out what it made.
func (w *Work) byCommand(ctx context.Context, it *item) error {
	by := helm.By{Upgrade: it.installed(), Args: slices.Clone(w.options.Cluster), DepBuild: it.DepBuild}
	if it.CreateNamespace && !by.Upgrade {
		by.Args = append(by.Args, "--create-namespace")
	}
	if w.options.Force && by.Upgrade {
		by.Args = append(by.Args, "--force")
	}
	if it.Wait {
		by.Args = append(by.Args, "--wait")
	}
	if w.options.Edits {
		by.Transform = func(ctx context.Context, text []byte) ([]byte, error) {
			objects, err := manifest.ParseMade("release "+it.Name, text)
			if err != nil {
				return nil, err
			}
			if err := w.transform(ctx, objects); err != nil {
				return nil, err
			}
			var out bytes.Buffer
			err = manifest.Write(&out, objects)
			return out.Bytes(), err
		}
	}
	o := w.options.Render
	if err := helm.DeployByCommand(ctx, it.Release.Release, o, it.foreign, by, w.sink); err != nil {
		return err
	}
	found, err := w.store.latest(ctx, it.Namespace, []string{it.Name})
	if err != nil {
		return err
	}
	records := found[it.Name]
	if len(records) == 0 {
		return fmt.Errorf("the helm command left no record of it in namespace %s", it.Namespace)
	}
	it.made = records[len(records)-1]
	objects, err := it.made.objects()
	if err != nil {
		return err
	}
	made, err := clusterObjects(it.Name, it.Namespace, objects, false)
	if err != nil {
		return err
	}
	all, err := w.kube.Compare(ctx, [][]kube.Object{made}, w.sink)
	if err != nil {
		return err
	}
	it.applied = all[0]
	for i := range it.applied { // what the command did to each is not known
		it.applied[i].Verb = kube.VerbConfigured
	}
	if it.RecreatePods && by.Upgrade {
		if err := w.recreatePods(ctx, it.applied); err != nil {
			return err
		}
	}
	if by.Upgrade {
		w.tell(it, kube.VerbConfigured)
	} else {
		w.tell(it, kube.VerbCreated)
	}
	return nil
}
