package plan

import (
	"errors"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/model"
)

// Supported refuses, each with its position, the parts of the configs that davit does not carry out: what would be left out silently would be
// missing in the cluster.
func Supported(configs []*config.Config) error {
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
			{!local, "builds elsewhere than with BuildKit", []any{"build"}},
			{len(m.Manifests.RemoteManifests) > 0, "remote manifests", []any{"manifests", "remoteManifests"}},
			{len(m.Manifests.Kpt) > 0, "kpt", []any{"manifests", "kpt"}},
			{m.Manifests.Transform != nil, "transform", []any{"manifests", "transform"}},
			{m.Manifests.Validate != nil, "validate", []any{"manifests", "validate"}},
			{len(m.Manifests.Hooks.Before)+len(m.Manifests.Hooks.After) > 0, "hooks around rendering", []any{"manifests", "hooks"}},
			{m.Deploy.Helm != nil && len(m.Deploy.Helm.Releases) > 0, "releases of helm", []any{"deploy", "helm"}},
			{m.Deploy.Kpt != nil, "kpt", []any{"deploy", "kpt"}},
			{m.Deploy.CloudRun != nil, "Cloud Run", []any{"deploy", "cloudrun"}},
			{len(kubectl.RemoteManifests) > 0, "remote manifests", []any{"deploy", "kubectl", "remoteManifests"}},
		} {
			if part.used {
				errs = append(errs, c.Error("davit does not carry out "+part.what+" yet", "remove it or use a profile without it, or use skaffold for this config", part.path...))
			}
		}
	}
	return errors.Join(errs...)
}
