package image

import (
	_ "embed"
	"strings"
	"testing"
)

//go:embed testdata/defaultrepo.tsv
var asSkaffold string

func TestDefaultRepoAsSkaffold(t *testing.T) {
	yes := true
	multi := map[string]*bool{"unset": nil, "true": &yes}
	for line := range strings.Lines(asSkaffold) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		c := strings.Split(strings.TrimSpace(line), "\t")
		ref, err := Parse(c[2])
		if err != nil {
			t.Fatal(err)
		}
		if got := (DefaultRepo{c[0], multi[c[1]]}).Rewrite(ref).String(); got != c[3] {
			t.Errorf("%s into %s (multi-level-repo %s): got %s, want %s", c[2], c[0], c[1], got, c[3])
		}
	}
}
