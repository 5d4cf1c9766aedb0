package plan

import (
	"errors"
	"slices"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/model"
)

// Supported refuses, each with its position, the parts of the configs that davit does not carry out: what would be left out silently would be
// missing in the cluster. A command of which a part is none of its business does not mind it: render and deploy build nothing.
func Supported(configs []*config.Config, mode string) error {
	builds := !slices.Contains([]string{"render", "deploy", "delete"}, mode)
	var errs []error
	for _, c := range configs {
		m := c.Model
		_, local := m.Build.Environment.(*model.LocalBuild)
		for _, part := range []struct {
			used bool
			what string
			path []any
		}{
			{builds && !local, "builds elsewhere than with BuildKit", []any{"build"}},
		} {
			if part.used {
				errs = append(errs, c.Error("davit does not carry out "+part.what+" yet", "remove it or use a profile without it, or use skaffold for this config", part.path...))
			}
		}
	}
	return errors.Join(errs...)
}
