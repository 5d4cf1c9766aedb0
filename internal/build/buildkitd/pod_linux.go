package buildkitd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/cmd/buildkitd/config"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// The first arguments by which the hidden command stands in for BuildKit's own programs in an image: buildkitd, and as much of buildctl
// as a pool calls.
const (
	asDaemon = "daemon"
	asCtl    = "ctl"
)

// podFlags are those of BuildKit's programs that a pool gives.
type podFlags struct {
	address, config, root string
	noProcessSandbox      bool
	rest                  []string
}

func parsePod(args []string) (podFlags, error) {
	var p podFlags
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&p.address, "addr", "unix:///run/buildkit/buildkitd.sock", "address of the daemon")
	flags.StringVar(&p.config, "config", "", "buildkitd.toml")
	flags.StringVar(&p.root, "root", "/var/lib/buildkit", "folder of the state")
	flags.BoolVar(&p.noProcessSandbox, "oci-worker-no-process-sandbox", false, "steps see all processes")
	if err := flags.Parse(args[1:]); err != nil {
		return p, err
	}
	p.rest = flags.Args()
	if !strings.HasPrefix(p.address, "unix://") {
		return p, fmt.Errorf("--addr %s: want unix://PATH", p.address)
	}
	p.address = strings.TrimPrefix(p.address, "unix://")
	return p, nil
}

// mainInPod runs what args begin with; done is false when that is neither of the two programs.
func mainInPod(ctx context.Context, args []string) (done bool, err error) {
	if len(args) == 0 || args[0] != asDaemon && args[0] != asCtl {
		return false, nil
	}
	p, err := parsePod(args)
	switch {
	case err != nil:
		return true, err
	case args[0] == asDaemon:
		return true, p.serve(ctx)
	case strings.Join(p.rest, " ") == "debug workers":
		return true, p.listWorkers(ctx)
	case strings.Join(p.rest, " ") == "dial-stdio":
		return true, p.dialStdio(os.Stdin, os.Stdout)
	}
	return true, fmt.Errorf("%q: only debug workers and dial-stdio are known", p.rest)
}

// serve runs the daemon until the process is told to stop.
func (p podFlags) serve(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGTERM, unix.SIGINT)
	defer stop()
	settings, err := config.LoadFile(p.config)
	if err != nil {
		return fmt.Errorf("reading %s: %w", p.config, err)
	}
	registries := newRegistries()
	for name, r := range settings.Registries {
		if r.Insecure != nil && *r.Insecure || r.PlainHTTP != nil && *r.PlainHTTP {
			registries.add([]string{name}, 1)
		}
	}
	if err := os.MkdirAll(p.root, 0o700); err != nil {
		return err
	}
	o := Options{Dir: p.root, Version: libraryVersion(), noProcessSandbox: p.noProcessSandbox, gc: settings.Workers.OCI.GCConfig}
	controller, err := newController(ctx, p.root, o, registries.hosts)
	if err != nil {
		return fmt.Errorf("opening %s: %w", p.root, err)
	}
	defer controller.Close()
	if err := os.MkdirAll(filepath.Dir(p.address), 0o755); err != nil {
		return err
	}
	if err := os.Remove(p.address); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the socket of an earlier daemon: %w", err)
	}
	l, err := net.Listen("unix", p.address)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", p.address, err)
	}
	server := newServer(controller, registries)
	go func() {
		<-ctx.Done()
		server.Stop()
	}()
	logrus.Infof("serving %s", p.address)
	return server.Serve(l)
}

func (p podFlags) listWorkers(ctx context.Context) error {
	c, err := client.New(ctx, "unix://"+p.address)
	if err != nil {
		return err
	}
	_, err = c.ListWorkers(ctx)
	return errors.Join(err, c.Close())
}

// dialStdio connects the process's streams to the daemon until either side ends.
func (p podFlags) dialStdio(in io.Reader, out io.Writer) error {
	conn, err := net.Dial("unix", p.address)
	if err != nil {
		return err
	}
	var once sync.Once
	ended := make(chan error, 1)
	end := func(err error) { once.Do(func() { ended <- err }) }
	go func() {
		_, err := io.Copy(conn, in)
		if err != nil {
			end(err)
			return
		}
		_ = conn.(*net.UnixConn).CloseWrite() // what the daemon still says is passed on
	}()
	go func() {
		_, err := io.Copy(out, conn)
		end(err)
	}()
	return errors.Join(<-ended, conn.Close())
}

// libraryVersion is that of the BuildKit that this program is made of.
func libraryVersion() string {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/moby/buildkit" {
			return m.Version
		}
	}
	return ""
}
