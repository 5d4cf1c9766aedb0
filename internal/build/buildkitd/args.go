// Package buildkitd is the daemon that davit carries: BuildKit's own controller, its runc worker, its Dockerfile and
// gateway frontends, and its cache importers and exporters, put together for one user of one machine. It serves on a unix socket and stops
// when nobody used it for a while.
//
// Package carried starts it, by running davit again with a hidden command that calls Main.
package buildkitd

import (
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/moby/buildkit/cmd/buildkitd/config"

	"github.com/davit-dev/davit/internal/build/carried"
)

// Options says where and for how long a daemon serves.
type Options struct {
	Dir     string        // socket, log, locks and state, laid out as package carried says
	Idle    time.Duration // stop after this long without a connection
	Version string        // this davit's version, for davits that connect
	// unmapped is set when the process is in a user namespace that has no ids yet.
	unmapped bool

	noProcessSandbox bool // steps see all processes: where /proc cannot be mounted anew
	gc               config.GCConfig
}

// parse reads the flags that package carried gives.
func parse(args []string) (Options, error) {
	var o Options
	flags := flag.NewFlagSet("buildkitd", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.Dir, "dir", "", "folder of socket, log and state")
	flags.DurationVar(&o.Idle, "idle", carried.DefaultIdle, "stop after this long without a connection")
	flags.StringVar(&o.Version, "version", "", "version of this davit")
	rootless := flags.String("rootless", "", "wait or mapped: root in a user namespace only")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.unmapped = *rootless == "wait"
	if o.Dir == "" || flags.NArg() > 0 {
		return o, fmt.Errorf("the carried BuildKit is started by davit itself: want --dir DIR, have %q", args)
	}
	return o, nil
}
