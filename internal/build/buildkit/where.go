package buildkit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// Kind is a kind of place where BuildKit runs.
type Kind int

// The kinds, in the order in which they are preferred.
const (
	Daemon    Kind = iota + 1 // a buildkitd that the user named by its address
	Engine                    // the BuildKit inside a Docker Engine
	Carried                   // the BuildKit inside davit
	Replica                   // one of a pool's; only package pool chooses it
	OldEngine                 // a Docker Engine without BuildKit, whose own builder builds; no Builder of this package does
)

// Where says which BuildKit builds.
type Where struct {
	Kind    Kind
	Address string // of the buildkitd, for Daemon; what people call it, for Replica
	// Dial connects to the buildkitd, for Replica.
	Dial   func(context.Context) (net.Conn, error)
	TLSDir string // for Daemon: a folder with ca.pem, cert.pem and key.pem; empty for none
	// Docker is the Docker Engine: for Engine the one that builds, else the one into which images are loaded that are not pushed.
	Docker Endpoint
	// Note says why a better place was passed over; it may be empty.
	Note string
}

// String names the place for people.
func (w Where) String() string {
	switch w.Kind {
	case Daemon, Replica:
		return "buildkitd at " + w.Address
	case Engine, OldEngine:
		return "Docker Engine at " + w.Docker.Host
	default:
		return "BuildKit carried by davit"
	}
}

// Facts is what is known about where images could be built. Look finds it out.
type Facts struct {
	Wanted       Kind   // Engine or Carried, when the user named that one; 0 for any
	BuildkitHost string // the address that the user named; empty for none
	TLSDir       string
	Docker       Endpoint
	DockerError  error // why the Docker Engine cannot build, nil when it can
	NoBuildKit   bool  // the Docker Engine answers, and has no BuildKit
	CarriedError error // why the carried BuildKit cannot, nil when it can
}

// schemes of addresses that Daemon bears.
var schemes = []string{"unix", "tcp", "ssh", "kube-pod", "docker-container"}

// Choose decides where to build: at the address that the user named, else in the Docker Engine when it answers, else in
// the BuildKit that davit carries.
func Choose(f Facts) (Where, error) {
	switch {
	case f.Wanted == Engine && f.DockerError != nil:
		return Where{}, fmt.Errorf("%w; start it, or build elsewhere (--builder)", f.DockerError)
	case f.Wanted == Carried && f.CarriedError != nil:
		return Where{}, f.CarriedError
	case f.Wanted == Carried:
		return Where{Kind: Carried, Docker: f.Docker}, nil
	case f.BuildkitHost != "":
		u, err := url.Parse(f.BuildkitHost)
		if err != nil || !slices.Contains(schemes, u.Scheme) {
			return Where{}, fmt.Errorf("the BuildKit address %q is none of %s://", f.BuildkitHost, strings.Join(schemes, "://, "))
		}
		return Where{Kind: Daemon, Address: f.BuildkitHost, TLSDir: f.TLSDir, Docker: f.Docker}, nil
	case f.DockerError == nil && f.NoBuildKit:
		return Where{Kind: OldEngine, Docker: f.Docker, Note: fmt.Sprintf(
			"the Docker Engine at %s has no BuildKit: its own builder builds, which is slower and knows less", f.Docker.Host)}, nil
	case f.DockerError == nil:
		return Where{Kind: Engine, Docker: f.Docker}, nil
	case f.Docker.Explicit:
		return Where{}, fmt.Errorf("%s names a Docker Engine that cannot build: %w; start it, or unset %s",
			f.Docker.NamedBy, f.DockerError, f.Docker.NamedBy)
	case f.CarriedError == nil:
		w := Where{Kind: Carried, Docker: f.Docker}
		if f.Docker.NamedBy != "" {
			w.Note = fmt.Sprintf("not in the Docker Engine named by %s: %v", f.Docker.NamedBy, f.DockerError)
		}
		return w, nil
	default:
		return Where{}, errors.Join(fmt.Errorf("no BuildKit to build images with: %w", f.DockerError), f.CarriedError)
	}
}
