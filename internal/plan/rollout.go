package plan

import (
	"cmp"
	"regexp"
	"slices"
	"time"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/hook"
)

// Rollout is what happens around a deployment.
type Rollout struct {
	Requires      []int // the deployments that must be ready before it begins, by their places among all
	Before, After []hook.Item
	Logs          Logs
	LoadBalancers bool          // wait for the addresses of Services of type LoadBalancer
	Kinds         []AwaitedKind // what is waited for by its conditions; nil: all custom resources
}

// RolloutOptions is what the command line says of it.
type RolloutOptions struct {
	Together      bool // deployments do not wait for one another
	LoadBalancers bool
	Kinds         []AwaitedKind
	Deletions     time.Duration // how long objects that are being deleted may take to go; zero: davit's own
	ChartTests    *bool         // nil: as the config says
}

// AwaitedKind picks kinds by regular expressions, which may match anywhere in a group and a kind. One that is nil matches all.
type AwaitedKind struct{ Group, Kind *regexp.Regexp }

// Match says whether a kind is meant.
func (k AwaitedKind) Match(group, kind string) bool {
	return (k.Group == nil || k.Group.MatchString(group)) && (k.Kind == nil || k.Kind.MatchString(kind))
}

// rollout says what happens around the deployment of a config by kubectl.
func rollout(c *config.Config, o Options) Rollout {
	r := Rollout{Logs: logs(c), LoadBalancers: o.LoadBalancers, Kinds: o.Kinds}
	if k := c.Model.Deploy.Kubectl; k != nil {
		r.Before, r.After = DeployHooks(c, k.Hooks.Before, o), DeployHooks(c, k.Hooks.After, o)
	}
	return r
}

// DeployHooks makes hooks around a deployment of a config.
func DeployHooks(c *config.Config, items []model.DeployHookItem, o Options) []hook.Item {
	var out []hook.Item
	for _, item := range items {
		switch h := item.Hook.(type) {
		case *model.HostHook:
			out = append(out, hostHooks(c.Dir, []model.HostHook{*h}, o.WorkDir)[0])
		case *model.NamedContainerHook:
			out = append(out, hook.Container{Command: h.Command, Pod: h.PodName, Name: h.ContainerName})
		}
	}
	return out
}

// inOrder says which deployments each one waits for: those of the configs that its config requires, and of what these require. of are the configs of
// the deployments.
func inOrder(deployments []Deployment, of []*config.Config, o Options) {
	for i := range deployments {
		deployments[i].Replaced.Timeout = cmp.Or(deployments[i].Replaced.Timeout, o.Deletions)
	}
	if o.Together {
		return
	}
	for i := range deployments {
		seen := map[*config.Config]bool{of[i]: true}
		var follow func(*config.Config)
		follow = func(c *config.Config) {
			for _, required := range c.Requires {
				if seen[required] {
					continue
				}
				seen[required] = true
				if at := slices.Index(of[:i], required); at >= 0 { // in a circle, what comes later is not waited for
					deployments[i].Requires = append(deployments[i].Requires, at)
				}
				follow(required)
			}
		}
		follow(of[i])
	}
}
