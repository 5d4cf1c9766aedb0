package cli

import (
	"context"
	"strings"

	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/internal/pipeline"
)

// nodeFlags say what is done where a cluster's nodes differ.
type nodeFlags struct {
	affinity bool
	tolerate bool
}

// addTo adds the flags; affinity is whether the command adds node affinity when it is not told.
func (n *nodeFlags) addTo(f *pflag.FlagSet, affinity bool) {
	f.BoolVar(&n.affinity, "enable-platform-node-affinity", affinity, "in a cluster of several platforms, keep pods on nodes that their images are made for")
	f.BoolVar(&n.tolerate, "enable-gke-arm-node-toleration", true, "on GKE, let pods whose images are made for it run on Arm nodes")
	f.Lookup("enable-gke-arm-node-toleration").Hidden = true
}

// options asks for the cluster's nodes, where nobody has: one whose nodes are all alike is left as it is.
func (n *nodeFlags) options(ctx context.Context, s *session) (pipeline.NodeOptions, error) {
	if s.kube == nil {
		return pipeline.NodeOptions{}, nil
	}
	o := pipeline.NodeOptions{Tolerate: n.tolerate && strings.HasPrefix(s.kube.Context(), "gke")}
	if !n.affinity {
		return o, nil
	}
	nodes := s.options.Platforms.Nodes
	if nodes == nil {
		var err error
		if nodes, err = s.kube.NodePlatforms(ctx); err != nil {
			return o, err
		}
	}
	o.Affinity = len(nodes) > 1
	return o, nil
}
