package engine

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/davit-dev/davit/internal/render/helm/chart"
)

// Capabilities is .Capabilities: what the cluster can do.
type Capabilities struct {
	KubeVersion KubeVersion
	APIVersions VersionSet
	HelmVersion HelmVersion
}

// KubeVersion is the version of Kubernetes, "v1.33.4-gke.1245".
type KubeVersion struct {
	Version      string
	Major, Minor string
	plain        string // v1.33.4
}

// String is the version without what a vendor added, which ranges can be checked against.
func (k *KubeVersion) String() string { return k.plain }

// GitVersion is the old name of Version.
func (k *KubeVersion) GitVersion() string { return k.Version }

// ParseKubeVersion reads a version of Kubernetes, with or without a v.
func ParseKubeVersion(text string) (KubeVersion, error) {
	v, err := version.ParseGeneric(text)
	if err != nil {
		return KubeVersion{}, fmt.Errorf("%q is not a version of Kubernetes: %w", text, err)
	}
	return KubeVersion{
		Version: "v" + strings.TrimPrefix(text, "v"), plain: "v" + v.String(), Major: fmt.Sprint(v.Major()), Minor: fmt.Sprint(v.Minor()),
	}, nil
}

// VersionSet are API versions: "apps/v1", and with a cluster also "apps/v1/Deployment".
type VersionSet []string

// Has says whether there is such a version.
func (v VersionSet) Has(apiVersion string) bool { return slices.Contains(v, apiVersion) }

// HelmVersion is the version of Helm that the templates meet.
type HelmVersion struct {
	Version      string `json:"version,omitempty"`
	GitCommit    string `json:"git_commit,omitempty"`
	GitTreeState string `json:"git_tree_state,omitempty"`
	GoVersion    string `json:"go_version,omitempty"`
}

// DefaultCapabilities are those of `helm template`, which knows no cluster: Kubernetes as of the client library that davit is made with.
func DefaultCapabilities() *Capabilities {
	return &Capabilities{
		KubeVersion: KubeVersion{Version: "v1.37.0", plain: "v1.37.0", Major: "1", Minor: "37"},
		HelmVersion: HelmVersion{Version: "v4.3.1"},
		APIVersions: strings.Fields(builtIn),
	}
}

// builtIn are the API versions of Kubernetes 1.37, past ones included.
const builtIn = `v1
admissionregistration.k8s.io/v1 admissionregistration.k8s.io/v1alpha1 admissionregistration.k8s.io/v1beta1
internal.apiserver.k8s.io/v1alpha1 apps/v1 apps/v1beta1 apps/v1beta2
authentication.k8s.io/v1 authentication.k8s.io/v1alpha1 authentication.k8s.io/v1beta1
authorization.k8s.io/v1 authorization.k8s.io/v1beta1 autoscaling/v1 autoscaling/v2 batch/v1 batch/v1beta1
certificates.k8s.io/v1 certificates.k8s.io/v1beta1 certificates.k8s.io/v1alpha1
coordination.k8s.io/v1alpha2 coordination.k8s.io/v1beta1 coordination.k8s.io/v1
discovery.k8s.io/v1 discovery.k8s.io/v1beta1 events.k8s.io/v1 events.k8s.io/v1beta1 extensions/v1beta1
flowcontrol.apiserver.k8s.io/v1 flowcontrol.apiserver.k8s.io/v1beta1 flowcontrol.apiserver.k8s.io/v1beta2
flowcontrol.apiserver.k8s.io/v1beta3 lifecycle.k8s.io/v1alpha1 networking.k8s.io/v1 networking.k8s.io/v1beta1
node.k8s.io/v1 node.k8s.io/v1alpha1 node.k8s.io/v1beta1 policy/v1 policy/v1beta1
rbac.authorization.k8s.io/v1 rbac.authorization.k8s.io/v1beta1 rbac.authorization.k8s.io/v1alpha1
resource.k8s.io/v1 resource.k8s.io/v1beta2 resource.k8s.io/v1beta1 resource.k8s.io/v1alpha3
scheduling.k8s.io/v1alpha3 scheduling.k8s.io/v1beta1 scheduling.k8s.io/v1
storage.k8s.io/v1beta1 storage.k8s.io/v1 storage.k8s.io/v1alpha1
storagemigration.k8s.io/v1 storagemigration.k8s.io/v1beta1 apiextensions.k8s.io/v1beta1 apiextensions.k8s.io/v1`

// metadata is .Chart.
func metadata(c *chart.Chart) map[string]any {
	m := c.Metadata
	people := make([]any, len(m.Maintainers))
	for i, p := range m.Maintainers {
		people[i] = map[string]any{"Name": p.Name, "Email": p.Email, "URL": p.URL}
	}
	wanted := make([]any, len(m.Dependencies))
	for i, d := range m.Dependencies {
		wanted[i] = map[string]any{
			"Name": d.Name, "Version": d.Version, "Repository": d.Repository, "Condition": d.Condition, "Tags": list(d.Tags),
			"Enabled": d.Enabled, "ImportValues": append([]any{}, d.ImportValues...), "Alias": d.Alias,
		}
	}
	return map[string]any{
		"Name": m.Name, "Home": m.Home, "Sources": list(m.Sources), "Version": m.Version, "Description": m.Description,
		"Keywords": list(m.Keywords), "Maintainers": people, "Icon": m.Icon, "APIVersion": m.APIVersion, "Condition": m.Condition,
		"Tags": m.Tags, "AppVersion": m.AppVersion, "Deprecated": m.Deprecated, "Annotations": m.Annotations,
		"KubeVersion": m.KubeVersion, "Dependencies": wanted, "Type": m.Type, "IsRoot": c.IsRoot(),
	}
}

func list(texts []string) []any {
	out := make([]any, len(texts))
	for i, t := range texts {
		out[i] = t
	}
	return out
}
