// Package validate checks what a configuration means: rules over the whole model, each error with the
// position of the value it is about.
package validate

import (
	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/diag"
)

// All checks the configs of one load, each alone and all together, and gives everything that is wrong.
func All(configs []*config.Config) diag.List {
	var errs diag.List
	for _, c := range configs {
		errs = append(errs, structure(c)...)
	}
	return errs
}
