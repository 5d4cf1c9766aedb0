package plan

import (
	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/model"
)

// Workers says how many artifacts are built at a time. given is the command line's word (negative: none, 0: all at once); then the configs' count, the
// least of them, with 0 for all at once. Skaffold's default of one at a time is not taken over: without a word, it is as many as the machine bears.
func Workers(configs []*config.Config, given, artifacts, machine int) int {
	workers := given
	if workers < 0 {
		for _, c := range configs {
			local, ok := c.Model.Build.Environment.(*model.LocalBuild)
			if !ok || local.Concurrency == nil || !c.Written("build", "local", "concurrency") {
				continue
			}
			if n := *local.Concurrency; workers < 0 || n > 0 && (workers == 0 || n < workers) {
				workers = n
			}
		}
	}
	switch {
	case workers < 0:
		return machine
	case workers == 0:
		return max(1, artifacts)
	}
	return workers
}
