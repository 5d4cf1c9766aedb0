package plan

import "github.com/davit-dev/davit/internal/config"

// Bases names the images that artifacts stand on: those need not be in a manifest.
func Bases(configs []*config.Config) map[string]bool {
	bases := map[string]bool{}
	for _, c := range configs {
		for _, a := range c.Model.Build.Artifacts {
			for _, r := range a.Requires {
				bases[r.Image] = true
			}
		}
	}
	return bases
}
