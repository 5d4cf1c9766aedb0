package plan

import (
	"errors"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/hook"
	"github.com/davit-dev/davit/internal/render/kpt"
)

// Steps is what making the manifests of a config takes besides files, kustomizations and charts.
type Steps struct {
	Packages  []string         // folders of kpt packages
	Live      []Live           // objects read from a cluster
	Transform []kpt.Function   // run on everything but charts
	Validate  []kpt.Function   // run on everything
	Before    []hook.Host      // run before anything is rendered
	After     []AfterRendering // run on the manifests
}

// Live names objects of a cluster.
type Live struct {
	Context string // of the kubeconfig; empty: the one that is deployed to
	Object  string // "namespace:kind/name" or "kind/name"
}

// AfterRendering is a hook that gets the manifests to read.
type AfterRendering struct {
	hook.Host
	Changes bool // what it prints takes the place of the manifests
}

// renders says whether a config has manifests, or hooks that may make some.
func renders(c *config.Config) bool {
	m := c.Model.Manifests
	return len(m.RawYAML)+len(m.RemoteManifests)+len(m.Kpt)+len(m.Hooks.Before) > 0 || m.Kustomize != nil || m.Helm != nil ||
		c.Model.Deploy.Kubectl != nil && len(c.Model.Deploy.Kubectl.RemoteManifests) > 0
}

func steps(c *config.Config, o Options) (Steps, error) {
	m := c.Model.Manifests
	s := Steps{Packages: m.Kpt}
	for _, r := range m.RemoteManifests {
		s.Live = append(s.Live, Live{r.KubeContext, r.Manifest})
	}
	if k := c.Model.Deploy.Kubectl; k != nil {
		for _, object := range k.RemoteManifests {
			s.Live = append(s.Live, Live{Object: object})
		}
	}
	for _, h := range m.Hooks.Before {
		if h.Host != nil {
			s.Before = append(s.Before, hostHooks(c.Dir, []model.HostHook{*h.Host}, o.WorkDir)...)
		}
	}
	for _, h := range m.Hooks.After {
		if h.Host != nil {
			host := model.HostHook{Command: h.Host.Command, OS: h.Host.OS, Dir: h.Host.Dir}
			s.After = append(s.After, AfterRendering{hostHooks(c.Dir, []model.HostHook{host}, o.WorkDir)[0], h.Host.WithChange})
		}
	}
	var errs []error
	for _, list := range []struct {
		field     string
		functions *[]model.KptFunction
		find      func(string, []string) (kpt.Function, error)
		into      *[]kpt.Function
	}{{"transform", m.Transform, kpt.Transformer, &s.Transform}, {"validate", m.Validate, kpt.Validator, &s.Validate}} {
		if list.functions == nil {
			continue
		}
		for i, f := range *list.functions {
			found, err := list.find(f.Name, f.ConfigMap)
			if err != nil {
				errs = append(errs, c.Error(err.Error(), "mend it; other functions run in a kpt package, see manifests.kpt", "manifests", list.field, i))
			}
			*list.into = append(*list.into, found)
		}
	}
	return s, errors.Join(errs...)
}
