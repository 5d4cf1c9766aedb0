package helm

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/render/helm/chart"
)

// Deployment is what the flags of `helm install` and `helm upgrade` say about how a release gets into the cluster. The zero value of a field is
// Helm's own default, but for those that [Release.Deployment] fills in.
type Deployment struct {
	RollbackOnFailure bool
	Wait, WaitForJobs bool
	Timeout           time.Duration // 5 minutes
	CleanupOnFail     bool
	CreateNamespace   bool
	Description       string
	ForceReplace      bool
	ForceConflicts    bool
	TakeOwnership     bool
	NoHooks           bool
	NoValidation      bool
	SkipCRDs          bool
	HideNotes         bool
	HistoryMax        int // 10; 0: no limit
	Labels            map[string]string
}

// DefaultDeployment is that of a release without flags.
func DefaultDeployment() Deployment {
	return Deployment{Timeout: defaultTimeout, HistoryMax: defaultHistory}
}

const (
	defaultTimeout = 5 * time.Minute
	defaultHistory = 10
)

// Deployment reads the flags. foreign is the cause why only the helm command itself can serve the release; empty when davit can.
func (r Release) Deployment() (d Deployment, foreign string, err error) {
	set := newFlagSet()
	addFlags(set)
	set.BoolVar(&d.RollbackOnFailure, "rollback-on-failure", false, "")
	set.BoolVar(&d.RollbackOnFailure, "atomic", false, "")
	set.BoolVar(&d.WaitForJobs, "wait-for-jobs", false, "")
	set.DurationVar(&d.Timeout, "timeout", defaultTimeout, "")
	set.BoolVar(&d.CleanupOnFail, "cleanup-on-fail", false, "")
	set.BoolVar(&d.CreateNamespace, "create-namespace", false, "")
	set.StringVar(&d.Description, "description", "", "")
	set.BoolVar(&d.ForceReplace, "force", false, "")
	set.BoolVar(&d.ForceReplace, "force-replace", false, "")
	set.BoolVar(&d.ForceConflicts, "force-conflicts", false, "")
	set.BoolVar(&d.TakeOwnership, "take-ownership", false, "")
	set.BoolVar(&d.NoValidation, "disable-openapi-validation", false, "")
	set.BoolVar(&d.SkipCRDs, "skip-crds", false, "")
	set.BoolVar(&d.HideNotes, "hide-notes", false, "")
	set.IntVar(&d.HistoryMax, "history-max", defaultHistory, "")
	set.StringToStringVarP(&d.Labels, "labels", "l", nil, "")
	wait := set.String("wait", "false", "")
	set.Lookup("wait").NoOptDefVal = "true"
	serverSide := set.String("server-side", "auto", "")
	set.Lookup("server-side").NoOptDefVal = "true"
	// What davit does anyway, or what concerns only the helm command.
	for name := range strings.FieldsSeq("debug dependency-update hide-secret replace skip-refresh") {
		set.Bool(name, false, "")
	}
	set.BoolP("install", "i", false, "")
	for name := range strings.FieldsSeq("burst-limit color qps registry-config repository-cache") {
		set.String(name, "", "")
	}
	set.StringP("namespace", "n", "", "")
	if err := parse(set, r); err != nil {
		if foreign, ok := errors.AsType[*foreignError](err); ok {
			return d, foreign.Error(), nil
		}
		return d, "", err
	}
	if r.Secrets {
		foreign = "useHelmSecrets needs the helm command with its plugin helm-secrets"
	}
	switch *serverSide {
	case "auto", "true":
	case "false":
		foreign = "davit applies on the server's side only, and --server-side=false asks for the other way"
	default:
		return d, "", fmt.Errorf("flags of helm: --server-side=%s: want true, false or auto", *serverSide)
	}
	switch *wait {
	case "true", "watcher", "legacy":
		d.Wait = true
	case "false", "hookOnly":
	default:
		return d, "", fmt.Errorf("flags of helm: --wait=%s: want watcher, legacy or hookOnly", *wait)
	}
	d.NoHooks = given(set, "no-hooks")
	d.Wait = d.Wait || d.RollbackOnFailure
	return d, foreign, nil
}

func given(set *pflag.FlagSet, name string) bool {
	value, err := set.GetBool(name)
	return err == nil && value
}

// apply gives a chart the versions of the package.
func (p *Package) apply(c *chart.Chart) error {
	if p == nil {
		return nil
	}
	if p.Version != "" {
		if _, err := semver.NewVersion(p.Version); err != nil {
			return fmt.Errorf("packaged.version %q: %w: want a version such as 1.2.3", p.Version, err)
		}
		c.Metadata.Version = p.Version
	}
	if p.AppVersion != "" {
		c.Metadata.AppVersion = p.AppVersion
	}
	return nil
}

// reuse adds the values of the release before, as the flags say. Without a flag Helm keeps all of them when no value is set any more.
func (p *Previous) reuse(r Release, c *chart.Chart, values map[string]any, f flags, sink event.Sink) (map[string]any, error) {
	switch {
	case p == nil || f.resetValues:
		return values, nil
	case f.reuseValues:
		own, err := p.Chart.Coalesce(p.Values, func(string) {})
		if err != nil {
			return nil, fmt.Errorf("--reuse-values: the values of revision %d: %w", p.Revision, err)
		}
		c.Values = own
		return chart.Merge(p.Values, values), nil
	case f.resetThenReuse:
		return chart.Merge(p.Values, values), nil
	case len(values) == 0 && len(p.Values) > 0:
		sink.Emit(event.Warning{Message: fmt.Sprintf("release %s: the config sets no values any more, so those of revision %d stay, as Helm has it: "+
			"--reset-values in flags.upgrade drops them", r.Name, p.Revision)})
		return p.Values, nil
	}
	return values, nil
}
