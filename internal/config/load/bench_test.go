package load_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/config/load"
)

// BenchmarkLoad measures one small file of an old version, and one of 300 artifacts.
func BenchmarkLoad(b *testing.B) {
	var many strings.Builder
	many.WriteString("apiVersion: skaffold/v4beta14\nkind: Config\nbuild:\n  artifacts:\n")
	for i := range 300 {
		fmt.Fprintf(&many, "  - image: app-%d\n    context: services/app-%d\n    docker:\n      dockerfile: Dockerfile\n      buildArgs:\n        VERSION: \"1\"\n", i, i)
	}
	for name, file := range map[string]string{"small": firstLight, "300 artifacts": many.String()} {
		b.Run(name, func(b *testing.B) {
			o := project(b, map[string]string{"skaffold.yaml": file})
			for b.Loop() {
				if _, err := load.Load(b.Context(), o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
