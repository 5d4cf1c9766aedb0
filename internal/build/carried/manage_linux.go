package carried

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"
)

// Running says whether a daemon of o.Dir runs, and of which version. None is started.
func Running(ctx context.Context, o Options) (version string, running bool, err error) {
	d, err := hold(ctx, o)
	if d == nil || err != nil {
		return "", false, err
	}
	_, version, err = d.ask(ctx)
	return version, true, errors.Join(err, d.Release())
}

// Stop stops the daemon of o.Dir. One that somebody builds with is stopped only by force. Stopped is false when none runs.
func Stop(ctx context.Context, o Options, force bool) (stopped bool, err error) {
	d, err := hold(ctx, o)
	if d == nil || err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, d.Release()) }()
	pid, _, err := d.ask(ctx)
	if err != nil {
		return false, fmt.Errorf("asking the carried BuildKit who it is: %w", err)
	}
	if err := d.use.Unlock(); err != nil {
		return false, err
	}
	alone, err := d.use.TryLock()
	switch {
	case err != nil:
		return false, fmt.Errorf("locking %s: %w", d.use.Path(), err)
	case !alone && !force:
		return false, errors.New("somebody builds with the BuildKit that davit carries: wait, or stop it all the same with --force")
	}
	if err := unix.Kill(pid, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
		return false, fmt.Errorf("stopping the carried BuildKit: %w", err)
	}
	return true, waitUnlocked(ctx, StateLockPath(o.Dir))
}

// hold holds on to the daemon of o.Dir; nil when none answers.
func hold(ctx context.Context, o Options) (*Daemon, error) {
	dir, err := os.Open(o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening the folder of the carried BuildKit: %w", err)
	}
	d := &Daemon{dir: dir, use: flock.New(UseLockPath(o.Dir), flock.SetPermissions(0o600))}
	if err := lockShared(ctx, d.use); err != nil {
		return nil, errors.Join(err, d.Release())
	}
	if _, _, err := d.ask(ctx); err != nil {
		return nil, d.Release()
	}
	return d, nil
}
