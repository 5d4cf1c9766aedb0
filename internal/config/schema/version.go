package schema

import (
	"cmp"
	"strconv"
	"strings"
)

// Prefix starts every apiVersion of a skaffold.yaml.
const Prefix = "skaffold/"

// Newest is the apiVersion that the model speaks, without Prefix.
const Newest = "v4beta14"

// CompareVersions orders names such as v1alpha3, v2beta29 and v3 by release.
func CompareVersions(a, b string) int {
	am, as, an := splitVersion(a)
	bm, bs, bn := splitVersion(b)
	return cmp.Or(cmp.Compare(am, bm), cmp.Compare(as, bs), cmp.Compare(an, bn))
}

// splitVersion takes v2beta10 apart into 2, the stage's rank (alpha, beta, final) and 10.
// The one oddity of the history is kept: v1 came after v1beta17, v2alpha1 after v1.
func splitVersion(v string) (major, stage, minor int) {
	v = strings.TrimPrefix(v, "v")
	stage = 2
	rest := v
	for rank, name := range []string{"alpha", "beta"} {
		if m, n, ok := strings.Cut(v, name); ok {
			rest, stage = m, rank
			minor, _ = strconv.Atoi(n)
		}
	}
	major, _ = strconv.Atoi(rest)
	return major, stage, minor
}
