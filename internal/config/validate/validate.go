// Package validate checks what a configuration means: rules over the whole model, each error with the
// position of the value it is about.
package validate

import (
	"fmt"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/diag"
)

// All checks the configs of one load, each alone and all together, and gives everything that is wrong.
func All(configs []*config.Config) diag.List {
	var errs diag.List
	errs = append(errs, imageNames(configs)...)
	for _, c := range configs {
		errs = append(errs, structure(c)...)
		r := rules{c: c}
		r.artifacts()
		r.build()
		r.portForward()
		r.logs()
		r.tests()
		errs = append(errs, r.errs...)
	}
	errs = append(errs, artifactDependencies(configs)...)
	errs = append(errs, uniqueNames(configs)...)
	return errs
}

// Loadable checks what even a command that only shows the configuration refuses.
func Loadable(c *config.Config) diag.List {
	r := rules{c: c}
	for i, a := range c.Model.Build.Artifacts {
		if a == nil {
			r.add("this entry is empty", "fill it or remove it", "build", "artifacts", i)
		}
	}
	for i, p := range c.Model.PortForward {
		if p == nil {
			r.add("this entry is empty", "remove it, or give it resourceType, resourceName and port", "portForward", i)
		}
	}
	r.releases()
	return r.errs
}

// rules collects what is wrong with one config.
type rules struct {
	c    *config.Config
	errs diag.List
}

func (r *rules) add(cause, next string, path ...any) {
	r.errs = append(r.errs, r.c.Error(cause, next, path...))
}

// releases checks the order that helm releases ask for.
func (r *rules) releases() {
	helm := r.c.Model.Deploy.Helm
	if helm == nil || len(helm.Releases) < 2 {
		return
	}
	index := map[string]int{}
	for i, release := range helm.Releases {
		if _, found := index[release.Name]; found {
			r.add(fmt.Sprintf("two helm releases are named %q", release.Name), "give each its own name", "deploy", "helm", "releases", i, "name")
		}
		index[release.Name] = i
	}
	edges := make([][]int, len(helm.Releases))
	for i, release := range helm.Releases {
		for j, on := range release.DependsOn {
			target, found := index[on]
			if !found {
				r.add(fmt.Sprintf("release %q depends on release %q, which does not exist", release.Name, on), suggest(on, keys(index)), "deploy", "helm", "releases", i, "dependsOn", j)
				continue
			}
			edges[i] = append(edges[i], target)
		}
	}
	if cycle := findCycle(edges); cycle != nil {
		names := make([]string, len(cycle))
		for i, n := range cycle {
			names[i] = helm.Releases[n].Name
		}
		r.add("helm releases depend on each other in a circle: "+arrows(names), "remove one of these dependsOn", "deploy", "helm", "releases", cycle[0], "dependsOn")
	}
}
