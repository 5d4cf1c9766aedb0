package cli

import (
	"context"
	"strings"

	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/internal/pipeline"
	"github.com/davit-dev/davit/internal/plan"
	"github.com/davit-dev/davit/internal/tag"
)

// applyFlags say how objects are applied, and what becomes of a deployment that fails.
type applyFlags struct {
	prune            bool
	noForceConflicts bool
	noValidation     bool
	rollBack         bool
	preflight        bool
	revisions        int
}

func (a *applyFlags) addTo(f *pflag.FlagSet) {
	f.BoolVar(&a.prune, "prune", false, "delete what was deployed before and is not in the config any more, but for what has the annotation davit.dev/keep")
	f.BoolVar(&a.noForceConflicts, "no-force-conflicts", false, "fail where another manager owns a field, in place of taking it over")
	f.BoolVar(&a.noValidation, "no-validation", false, "let fields pass that the cluster does not know")
	f.BoolVar(&a.rollBack, "rollback-on-failure", false, "put back the last good deployment when this one fails; the exit code is that of the failure")
	f.BoolVar(&a.preflight, "preflight", false, "before anything is built, ask the cluster for its namespaces, kinds and permissions")
	f.IntVar(&a.revisions, "history-limit", 10, "how many deployments to keep for 'davit rollback'; 0 for none")
}

func (a *applyFlags) options() plan.ApplyOptions {
	return plan.ApplyOptions{Prune: a.prune, NoForceConflicts: a.noForceConflicts, NoValidation: a.noValidation}
}

// deploying says what deployments need to know beside the cluster and the plan.
func (s *session) deploying(a *applyFlags) {
	s.pipe.Deploying = pipeline.Deploying{Kubeconfig: s.flags.kubeconfig, Revisions: a.revisions, RollBack: a.rollBack, Commit: s.commit}
}

// commit names what the working folder's repository is at; empty outside of one.
func (s *session) commit(ctx context.Context) string {
	git := func(args ...string) (string, error) {
		out, err := tag.Exec(s.world.Environ)(ctx, s.world.Dir, "git", args...)
		return strings.TrimSpace(string(out)), err
	}
	commit, err := git("rev-parse", "--short", "HEAD")
	if err != nil {
		return ""
	}
	if changed, err := git("status", "--porcelain"); err == nil && changed != "" {
		commit += "-dirty"
	}
	return commit
}

// preflight asks the cluster whether it would let the deployment in.
func (s *session) preflight(ctx context.Context, artifacts []plan.Artifact, rendered []pipeline.Rendered) error {
	found, err := s.pipe.Preflight(ctx, artifacts, rendered)
	if err != nil {
		return err
	}
	return s.pipe.TellPreflight(found)
}
