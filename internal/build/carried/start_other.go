//go:build !linux

package carried

import (
	"context"
	"net"
	"runtime"
)

// Daemon is a daemon in use. There is none on this system.
type Daemon struct{}

// Use fails: BuildKit's daemon runs on Linux only.
func Use(context.Context, Options) (*Daemon, error) { return nil, Possible(Options{}) }

// Possible says why the daemon cannot run here.
func Possible(Options) error {
	return &UnavailableError{Reason: "it needs Linux, this is " + runtime.GOOS}
}

// Dial is never reached.
func (*Daemon) Dial(context.Context) (net.Conn, error) { return nil, net.ErrClosed }

// Release is never reached.
func (*Daemon) Release() error { return nil }

// Running says that none runs.
func Running(context.Context, Options) (version string, running bool, err error) {
	return "", false, nil
}

// Stop has nothing to stop.
func Stop(context.Context, Options, bool) (stopped bool, err error) { return false, nil }
