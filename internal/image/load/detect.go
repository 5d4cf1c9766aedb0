// Package load brings images into clusters on this machine without a registry: into the nodes of kind, k3d and minikube, or nowhere when the
// cluster runs what is in the Docker Engine.
//
// [Detect] says what a kube context leads to, a [Loader] loads.
package load

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Kind is a kind of cluster.
type Kind string

// The kinds. Shared is a cluster that runs what is in the Docker Engine: Docker Desktop's, or one that the user's settings call local.
const (
	Remote   Kind = "remote"
	KinD     Kind = "kind"
	K3d      Kind = "k3d"
	Minikube Kind = "minikube"
	Shared   Kind = "shared"
)

// Cluster is what a kube context leads to.
type Cluster struct {
	Kind Kind
	Name string // of kind's or k3d's cluster, of minikube's profile
	// Local clusters need no registry; Push says whether images are pushed all the same when nothing else is said.
	Local, Push bool
	// Load says that images have to be brought into the nodes.
	Load bool
	// Profile is minikube's, where it is known.
	Profile Profile
}

// Facts is what Detect decides from.
type Facts struct {
	Context   string // the kube context's name; "" without one
	Cluster   string // the name of its cluster in the kubeconfig
	Server    string // the URL of its API server
	Authority string // the path of its certificate authority; "" when the kubeconfig holds the data

	// The user's settings for the context.
	LocalCluster, KindDisableLoad, K3dDisableLoad *bool

	MinikubeProfile string // --minikube-profile
	DetectMinikube  bool   // --detect-minikube
	MinikubeHome    string // see MinikubeHome
	Profiles        []Profile
}

// Detect says what a kube context leads to, and why. The rules are Skaffold's, but for minikube's program, which need not be there.
func Detect(f Facts) (Cluster, string) {
	c, why := recognize(f)
	if f.LocalCluster != nil && f.MinikubeProfile == "" {
		c.Local, why = *f.LocalCluster, fmt.Sprintf("the setting local-cluster is %t", *f.LocalCluster)
		if c.Local && c.Kind == Remote {
			c.Kind = Shared
		}
	}
	if !c.Local {
		return Cluster{Kind: Remote, Push: true}, why
	}
	disabled := c.Kind == KinD && isTrue(f.KindDisableLoad) || c.Kind == K3d && isTrue(f.K3dDisableLoad)
	if disabled {
		why += fmt.Sprintf(", and the setting %s-disable-load is true", c.Kind)
	}
	inNodes := c.Kind == KinD || c.Kind == K3d || c.Kind == Minikube && !c.Profile.runsDocker()
	c.Load, c.Push = inNodes && !disabled, disabled
	return c, why
}

func isTrue(b *bool) bool { return b != nil && *b }

// recognize goes by names first, as they cost nothing.
func recognize(f Facts) (Cluster, string) {
	named := func(kind Kind, name string) (Cluster, string) {
		return Cluster{Kind: kind, Name: name, Local: true}, fmt.Sprintf("the kube context is %s", f.Context)
	}
	switch {
	case f.MinikubeProfile != "":
		return minikube(f, f.MinikubeProfile), "--minikube-profile is " + f.MinikubeProfile
	case strings.HasPrefix(f.Context, "kind-"), strings.HasSuffix(f.Context, "@kind"):
		return named(KinD, strings.TrimPrefix(strings.TrimSuffix(f.Cluster, "@kind"), "kind-"))
	case strings.HasPrefix(f.Context, "k3d-"):
		return named(K3d, strings.TrimPrefix(f.Cluster, "k3d-"))
	case f.Context == "docker-desktop", f.Context == "docker-for-desktop":
		return named(Shared, "")
	case f.Context == "minikube":
		return minikube(f, f.Context), "the kube context is minikube"
	case f.Context == "":
		return Cluster{Kind: Remote}, "there is no kube context"
	case f.DetectMinikube && inside(f.MinikubeHome, f.Authority):
		return minikube(f, f.Context), "its certificate is minikube's"
	case f.DetectMinikube && slices.ContainsFunc(f.Profiles, func(p Profile) bool { return p.serves(f.Server) }):
		return minikube(f, f.Context), "its server is a node of minikube"
	default:
		return Cluster{Kind: Remote}, fmt.Sprintf("the kube context %s is none of a local cluster; if it is one: davit config set local-cluster true", f.Context)
	}
}

func minikube(f Facts, profile string) Cluster {
	c := Cluster{Kind: Minikube, Name: profile, Local: true, Profile: Profile{Name: profile}}
	for _, p := range f.Profiles {
		if p.Name == profile {
			c.Profile = p
		}
	}
	return c
}

func inside(dir, path string) bool {
	if dir == "" || path == "" {
		return false
	}
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// Profile is one of minikube's clusters.
type Profile struct {
	Name    string
	Driver  string // "docker", "kvm2", "none", ...; "" when nothing is known
	Runtime string // "docker", "containerd", "cri-o"
	Nodes   []Node
}

// Node is where a node's API server listens.
type Node struct {
	IP   string
	Port int
}

// runsDocker says whether pods run what is in the cluster's own Docker Engine.
func (p Profile) runsDocker() bool { return p.Runtime == "" || p.Runtime == "docker" }

func (p Profile) serves(server string) bool {
	u, err := url.Parse(server)
	return err == nil && slices.ContainsFunc(p.Nodes, func(n Node) bool {
		return n.IP != "" && u.Host == net.JoinHostPort(n.IP, strconv.Itoa(n.Port))
	})
}
