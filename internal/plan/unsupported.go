package plan

import (
	"errors"
	"slices"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/model"
)

// Supported refuses, each with its position, the parts of the configs that davit does not carry out: what would be left out silently would be
// missing in the cluster. A command of which a part is none of its business does not mind it: render and deploy build nothing, build and render
// deploy nothing.
func Supported(configs []*config.Config, mode string) error {
	builds := !slices.Contains([]string{"render", "deploy", "delete"}, mode)
	renders := !slices.Contains([]string{"build", "test"}, mode)
	deploys := renders && mode != "render"
	var errs []error
	for _, c := range configs {
		m := c.Model
		_, local := m.Build.Environment.(*model.LocalBuild)
		kubectl := m.Deploy.Kubectl
		if kubectl == nil {
			kubectl = &model.KubectlDeploy{}
		}
		for _, part := range []struct {
			used bool
			what string
			path []any
		}{
			{builds && !local, "builds elsewhere than with BuildKit", []any{"build"}},
			{renders && len(m.Manifests.RemoteManifests) > 0, "remote manifests", []any{"manifests", "remoteManifests"}},
			{renders && len(m.Manifests.Kpt) > 0, "kpt", []any{"manifests", "kpt"}},
			{renders && m.Manifests.Transform != nil, "transform", []any{"manifests", "transform"}},
			{renders && m.Manifests.Validate != nil, "validate", []any{"manifests", "validate"}},
			{renders && len(m.Manifests.Hooks.Before)+len(m.Manifests.Hooks.After) > 0, "hooks around rendering", []any{"manifests", "hooks"}},
			{deploys && m.Deploy.Helm != nil && len(m.Deploy.Helm.Releases) > 0, "releases of helm", []any{"deploy", "helm"}},
			{deploys && m.Deploy.Kpt != nil, "kpt", []any{"deploy", "kpt"}},
			{deploys && m.Deploy.CloudRun != nil, "Cloud Run", []any{"deploy", "cloudrun"}},
			{deploys && len(kubectl.RemoteManifests) > 0, "remote manifests", []any{"deploy", "kubectl", "remoteManifests"}},
		} {
			if part.used {
				errs = append(errs, c.Error("davit does not carry out "+part.what+" yet", "remove it or use a profile without it, or use skaffold for this config", part.path...))
			}
		}
	}
	return errors.Join(errs...)
}
