package buildkitd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"time"

	"github.com/containerd/containerd/v2/defaults"
	"github.com/gofrs/flock"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/util/grpcerrors"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	// BuildKit's messages have their own fast encoding, which both ends of a connection must know.
	_ "github.com/moby/buildkit/util/grpcutil/encoding/proto"

	"github.com/davit-dev/davit/internal/build/carried"
)

// Serve runs the daemon until it was idle for o.Idle, ctx ends or the process is told to stop. It calls ready once it
// serves. The state of o.Dir is locked meanwhile: a second daemon on it is an error.
func Serve(ctx context.Context, o Options, ready func() error) error {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGTERM, unix.SIGINT)
	defer stop()

	state := carried.StatePath(o.Dir)
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	lock := flock.New(carried.StateLockPath(o.Dir), flock.SetPermissions(0o600))
	if ok, err := lock.TryLock(); !ok {
		return errors.Join(fmt.Errorf("another carried BuildKit has %s", state), err)
	}
	defer lock.Close()

	if err := os.WriteFile(carried.VersionPath(o.Dir), []byte(o.Version), 0o600); err != nil {
		return err
	}
	removeCgroups(o.Dir)
	defer removeCgroups(o.Dir)
	registries := newRegistries()
	controller, err := newController(ctx, state, o, registries.hosts)
	if err != nil {
		return fmt.Errorf("opening %s: %w", state, err)
	}
	defer controller.Close()

	listener, err := listen(o.Dir)
	if err != nil {
		return err
	}
	server := newServer(controller, registries)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if err := ready(); err != nil {
		return fmt.Errorf("telling that the daemon serves: %w", err)
	}
	logrus.Infof("serving %s", carried.SocketPath(o.Dir))

	use := flock.New(carried.UseLockPath(o.Dir), flock.SetPermissions(0o600))
	defer use.Close()
	err = waitIdle(ctx, listener, use, o.Idle, served)
	server.Stop()
	logrus.Info("stopped")
	return err
}

func newServer(controller *control.Controller, r *registries) *grpc.Server {
	server := grpc.NewServer(
		grpc.UnaryInterceptor(grpcerrors.UnaryServerInterceptor),
		grpc.ChainStreamInterceptor(r.sessionInterceptor, grpcerrors.StreamServerInterceptor),
		grpc.MaxRecvMsgSize(defaults.DefaultMaxRecvMsgSize),
		grpc.MaxSendMsgSize(defaults.DefaultMaxSendMsgSize),
	)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	controller.Register(server)
	return server
}

// waitIdle returns when the daemon shall stop. To stop for idleness it must get use.lock for itself: nobody builds, and
// those who come meanwhile wait until the daemon is gone.
func waitIdle(ctx context.Context, l *countingListener, use *flock.Flock, idle time.Duration, served <-chan error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-served:
			return err
		case <-time.After(max(idle-l.unused(), time.Millisecond)):
		}
		if l.unused() < idle {
			continue
		}
		alone, err := use.TryLock()
		if err != nil {
			return fmt.Errorf("locking %s: %w", use.Path(), err)
		}
		if alone {
			logrus.Infof("nobody was connected for %s", idle)
			return nil
		}
		l.touch()
	}
}

// listen makes the socket anew: the lock on the state says that no other daemon serves an old one.
func listen(dir string) (*countingListener, error) {
	// Through a descriptor, since a socket's address holds 107 bytes only. It stays open: closing the socket removes the path.
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", dir, err)
	}
	path := carried.SocketPath(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("removing the socket of an earlier daemon: %w", err)
	}
	// The folder is closed to others already, so nobody connects before the mode is set.
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", carried.SocketPath(dir), err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, err
	}
	return &countingListener{Listener: l, since: time.Now()}, nil
}
