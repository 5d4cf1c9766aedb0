package kustomize

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
)

// settings are the flags of `kustomize build` that can be honoured in this process.
type settings struct {
	reorder        string
	loadRestrictor string
	managedBy      bool
	plugins        bool
	functions      types.FnPluginLoadingOptions
	helm           helmSettings
}

type helmSettings struct {
	enabled     bool
	command     string // empty: davit's own Helm
	apiVersions []string
	kubeVersion string
	debug       bool
}

// errForeign marks flags that only the kustomize command itself can make sense of.
var errForeign = errors.New("not a flag that davit knows")

// parseArgs reads buildArgs. As in Skaffold, each may hold several words.
func parseArgs(buildArgs []string) (settings, error) {
	var s settings
	var output string
	flags := pflag.NewFlagSet("kustomize build", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.StringVar(&s.reorder, "reorder", string(krusty.ReorderOptionUnspecified), "")
	flags.StringVar(&s.loadRestrictor, "load-restrictor", types.LoadRestrictionsRootOnly.String(), "")
	flags.StringVar(&s.loadRestrictor, "load_restrictor", types.LoadRestrictionsRootOnly.String(), "") // its name before kustomize 4
	flags.BoolVar(&s.managedBy, "enable-managedby-label", false, "")
	flags.BoolVar(&s.plugins, "enable-alpha-plugins", false, "")
	flags.BoolVar(&s.plugins, "enable_alpha_plugins", false, "")
	flags.BoolVar(&s.functions.Network, "network", false, "")
	flags.StringVar(&s.functions.NetworkName, "network-name", "bridge", "")
	flags.StringArrayVar(&s.functions.Mounts, "mount", nil, "")
	flags.StringArrayVarP(&s.functions.Env, "env", "e", nil, "")
	flags.BoolVar(&s.functions.AsCurrentUser, "as-current-user", false, "")
	flags.BoolVar(&s.functions.EnableExec, "enable-exec", false, "")
	flags.BoolVar(&s.helm.enabled, "enable-helm", false, "")
	flags.StringVar(&s.helm.command, "helm-command", "", "")
	flags.StringArrayVar(&s.helm.apiVersions, "helm-api-versions", nil, "")
	flags.StringVar(&s.helm.kubeVersion, "helm-kube-version", "", "")
	flags.BoolVar(&s.helm.debug, "helm-debug", false, "")
	flags.StringVarP(&output, "output", "o", "", "")

	words := words(buildArgs)
	if err := flags.Parse(words); err != nil {
		if _, unknown := errors.AsType[*pflag.NotExistError](err); unknown {
			return settings{}, fmt.Errorf("%w: %w", errForeign, err)
		}
		return settings{}, err
	}
	switch {
	case flags.NArg() > 0:
		return settings{}, fmt.Errorf("%q is not a flag: folders go into `paths`", flags.Arg(0))
	case output != "":
		return settings{}, errors.New("--output would send the objects elsewhere than to the cluster: leave it out")
	case !slices.Contains([]string{"legacy", "none", "unspecified"}, s.reorder):
		return settings{}, fmt.Errorf("--reorder must be legacy or none, not %q", s.reorder)
	case !slices.Contains([]string{types.LoadRestrictionsNone.String(), types.LoadRestrictionsRootOnly.String(), "none", "rootOnly", ""}, s.loadRestrictor):
		return settings{}, fmt.Errorf("--load-restrictor must be %s or %s, not %q", types.LoadRestrictionsNone, types.LoadRestrictionsRootOnly, s.loadRestrictor)
	}
	s.helm.enabled = s.helm.enabled || s.plugins
	return s, nil
}

func words(buildArgs []string) []string {
	var out []string
	for _, arg := range buildArgs {
		out = append(out, strings.Fields(arg)...)
	}
	return out
}
