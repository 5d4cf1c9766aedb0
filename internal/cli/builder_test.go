package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/build/buildkit"
)

func TestListOfBuilders(t *testing.T) {
	state := &buildkit.State{Version: "v0.34.2 123 456", Workers: []buildkit.Worker{{Platforms: []string{"linux/amd64", "linux/arm64"}}}}
	var out bytes.Buffer
	err := listPlaces(&out, []*builderPlace{
		{Name: "docker", Kind: "docker-engine", State: stateUnreachable},
		{Name: "davit", Kind: "davit", State: stateStopped},
		{Name: "kubernetes://builders", Kind: "pool", State: "1/2 ready", Current: true, Members: []builderMember{{Name: "b-0", Error: "not ready"}, {Name: "b-1", State: state}}},
	})
	want := []string{
		"BUILDER                   KIND            STATE         VERSION   PLATFORMS",
		"docker                    docker-engine   unreachable",
		"davit                     davit           stopped",
		"kubernetes://builders *   pool            1/2 ready     v0.34.2   linux/amd64, linux/arm64",
	}
	for i, line := range strings.Split(strings.TrimRight(out.String(), "\n"), "\n") {
		if err != nil || strings.TrimRight(line, " ") != want[i] {
			t.Errorf("%q (%v), want %q", line, err, want[i])
		}
	}
}

func TestCleanUpRulesInWords(t *testing.T) {
	for want, rule := range map[string]buildkit.GCRule{
		"source.local, exec.cachemount, unused for 2 days, beyond 512MB":      {Filters: []string{"type==source.local", "type==exec.cachemount"}, KeepFor: 48 * time.Hour, MaxUsed: 512e6},
		"all, beyond 20GB, when less is free than 51GB, but never below 10GB": {All: true, MaxUsed: 20e9, MinFree: 51e9, Reserved: 10e9},
		"all but what BuildKit keeps for itself":                              {},
	} {
		if got := ruleText(rule); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
