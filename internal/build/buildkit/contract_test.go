//go:build linux

package buildkit_test

import (
	"os"
	"testing"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/buildkit"
	"github.com/davit-dev/davit/internal/build/buildtest"
	"github.com/davit-dev/davit/internal/build/carried"
)

// at makes Builders at a place.
func at(where buildkit.Where) func(*testing.T, func(string) string) build.Builder {
	return func(_ *testing.T, getenv func(string) string) build.Builder {
		return buildkit.New(where, buildkit.Options{Getenv: getenv, DockerConfig: shared.noLogin, Carried: shared.carried})
	}
}

func TestContractOfTheCarriedDaemon(t *testing.T) {
	buildtest.Run(t, buildtest.Place{New: at(buildkit.Where{Kind: buildkit.Carried}), Registry: shared.registry})
}

func TestContractOfADaemonByTLS(t *testing.T) {
	daemon, err := carried.Use(t.Context(), shared.carried)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = daemon.Release() })
	certificates, address := forwardTLS(t, daemon)
	buildtest.Run(t, buildtest.Place{New: at(buildkit.Where{Kind: buildkit.Daemon, Address: address, TLSDir: certificates}), Registry: shared.registry})
}

func TestContractOfTheDockerEngine(t *testing.T) {
	where := buildkit.Where{Kind: buildkit.Engine, Docker: buildkit.Endpoint{Host: startEngine(t)}}
	buildtest.Run(t, buildtest.Place{New: at(where), Registry: shared.registry, Network: "host", Old: true})
}

var _ = os.Getenv
