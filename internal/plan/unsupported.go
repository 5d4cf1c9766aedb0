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
	if slices.Contains([]string{"render", "deploy", "delete"}, mode) {
		return nil
	}
	var errs []error
	for _, c := range configs {
		if _, local := c.Model.Build.Environment.(*model.LocalBuild); !local {
			errs = append(errs, c.Error("davit does not carry out builds elsewhere than with BuildKit yet", "remove it or use a profile without it, or use skaffold for this config", "build"))
		}
	}
	return errors.Join(errs...)
}
