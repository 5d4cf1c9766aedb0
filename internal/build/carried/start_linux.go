package carried

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"
)

// startTimeout bounds how long a daemon may take until it answers; the state of a large cache is read at its start.
const startTimeout = 60 * time.Second

// lockPoll is how often a lock that another davit holds is tried again.
const lockPoll = 20 * time.Millisecond

// Daemon is a running daemon that does not stop before Release.
type Daemon struct {
	dir *os.File
	use *flock.Flock
}

// Use finds the daemon of o.Dir or starts it, and keeps it from stopping until Release. The error is an *UnavailableError
// when this machine cannot run one.
func Use(ctx context.Context, o Options) (*Daemon, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the carried BuildKit: %w", err)
	}
	if err := os.Chmod(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("closing the folder of the carried BuildKit to others: %w", err)
	}
	dir, err := os.Open(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("opening the folder of the carried BuildKit: %w", err)
	}
	d := &Daemon{dir: dir, use: flock.New(UseLockPath(o.Dir), flock.SetPermissions(0o600))}
	if err := d.ensure(ctx, o); err != nil {
		return nil, errors.Join(err, d.Release())
	}
	return d, nil
}

// Release lets the daemon stop when nobody else uses it.
func (d *Daemon) Release() error { return errors.Join(d.use.Close(), d.dir.Close()) }

// Dial connects to the daemon. The path goes through the folder's descriptor since a socket's address holds 107 bytes
// only and a cache folder's path may be longer.
func (d *Daemon) Dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", SocketPath(fmt.Sprintf("/proc/self/fd/%d", d.dir.Fd())))
}

// ensure returns with use.lock held shared and a daemon that answers.
func (d *Daemon) ensure(ctx context.Context, o Options) error {
	if err := lockShared(ctx, d.use); err != nil {
		return err
	}
	if _, version, err := d.ask(ctx); err == nil && version == o.Version {
		return nil
	}
	start := flock.New(startLockPath(o.Dir), flock.SetPermissions(0o600))
	if ok, err := start.TryLockContext(ctx, lockPoll); !ok {
		return fmt.Errorf("waiting for another davit that starts the carried BuildKit: %w", err)
	}
	defer start.Close()

	pid, version, err := d.ask(ctx)
	if err == nil && version != o.Version {
		if err := d.stopUnused(ctx, o, pid); err != nil {
			return err
		}
		_, _, err = d.ask(ctx) // a daemon in use serves us too: BuildKit's protocol is the same
	}
	if err != nil {
		return d.start(ctx, o)
	}
	return nil
}

// stopUnused stops the daemon unless somebody builds with it.
func (d *Daemon) stopUnused(ctx context.Context, o Options, pid int) error {
	if err := d.use.Unlock(); err != nil {
		return err
	}
	alone, err := d.use.TryLock()
	if err != nil {
		return fmt.Errorf("locking %s: %w", d.use.Path(), err)
	}
	if alone {
		if err := unix.Kill(pid, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("stopping the carried BuildKit of another version: %w", err)
		}
		if err := waitUnlocked(ctx, StateLockPath(o.Dir)); err != nil {
			return err
		}
		if err := d.use.Unlock(); err != nil {
			return err
		}
	}
	return lockShared(ctx, d.use)
}

// ask says who answers at the socket: its process, as the kernel knows it, and its version, from the file that the daemon
// writes before it listens.
func (d *Daemon) ask(ctx context.Context) (pid int, version string, err error) {
	conn, err := d.Dial(ctx)
	if err != nil {
		return 0, "", err
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, "", err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, "", err
	}
	if credErr != nil {
		return 0, "", credErr
	}
	v, err := os.ReadFile(VersionPath(d.dir.Name()))
	return int(cred.Pid), string(v), err
}

// start runs the daemon and waits until it serves.
func (d *Daemon) start(ctx context.Context, o Options) error {
	if err := Possible(o); err != nil {
		return err
	}
	if err := waitUnlocked(ctx, StateLockPath(o.Dir)); err != nil {
		return err
	}
	log, err := openLog(LogPath(o.Dir))
	if err != nil {
		return fmt.Errorf("opening the log of the carried BuildKit: %w", err)
	}
	defer log.Close()
	logged, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	ready, readyW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()

	cmd := daemonCommand(o, log, readyW)
	if rootless() {
		err = startRootless(ctx, o.Dir, cmd)
	} else {
		err = cmd.Start()
	}
	readyW.Close()
	if err != nil {
		return &UnavailableError{
			Reason: fmt.Sprintf("starting %s in namespaces of its own: %v", o.Command[0], err),
			Hint:   "run davit where it may create namespaces (a container needs --privileged)",
		}
	}
	reason, err := awaitReady(ctx, cmd, ready)
	if reason != "" {
		return &UnavailableError{Reason: reason, Log: tail(log, logged, LogPath(o.Dir))}
	}
	return err
}

// daemonCommand is the daemon's process, which says at readyW that it serves.
func daemonCommand(o Options, log, readyW *os.File) *exec.Cmd {
	idle := o.Idle
	if idle == 0 {
		idle = DefaultIdle
	}
	args := append(slices.Clone(o.Command[1:]), "--dir", o.Dir, "--idle", idle.String(), "--version", o.Version)
	cmd := exec.Command(o.Command[0], args...)
	cmd.Env = withSystemPath(o.Env)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{readyW}
	// Namespaces of its own: whatever way the daemon ends, the kernel ends the build steps that it left and drops their mounts.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	return cmd
}

// awaitReady waits until the daemon serves, or says why it does not.
func awaitReady(ctx context.Context, cmd *exec.Cmd, ready *os.File) (reason string, err error) {
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }() // for as long as it runs, to leave no zombie behind
	said, err := readAll(ctx, ready, startTimeout)
	if err == nil && strings.HasPrefix(said, Ready) {
		return "", nil
	}
	_ = cmd.Process.Kill()
	<-exited //nolint:errcheck // that it was killed is known
	switch said = strings.TrimSpace(said); {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil:
		return fmt.Sprintf("no answer within %s", startTimeout), nil
	case said == "":
		return "it died", nil
	}
	return said, nil
}

// Possible says why the daemon cannot run here, as an *UnavailableError, or returns nil. It looks at the user and at PATH.
func Possible(o Options) error {
	if rootless() {
		if err := rootlessPossible(o.Env); err != nil {
			return err
		}
	}
	if !onPath("runc", o.Env) && !onPath("buildkit-runc", o.Env) {
		return &UnavailableError{
			Reason: "runc, which runs the steps of a build, is not on PATH",
			Hint:   "install it (on Debian and Ubuntu: apt-get install runc)",
		}
	}
	return nil
}

// systemPath is where runc lives; a user's PATH often leaves it out.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func withSystemPath(env []string) []string {
	path := systemPath
	if own := getenv(env, "PATH"); own != "" {
		path = own + ":" + systemPath
	}
	return append(slices.Clone(env), "PATH="+path)
}

func onPath(name string, env []string) bool {
	for _, dir := range filepath.SplitList(getenv(withSystemPath(env), "PATH")) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return true
		}
	}
	return false
}

// getenv returns the last value of a variable, as exec does.
func getenv(env []string, name string) string {
	for _, kv := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}

func lockShared(ctx context.Context, l *flock.Flock) error {
	if ok, err := l.TryRLockContext(ctx, lockPoll); !ok {
		return fmt.Errorf("waiting for the carried BuildKit to stop: %w", err)
	}
	return nil
}

// waitUnlocked waits until the daemon that is stopping has let go of its state.
func waitUnlocked(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	l := flock.New(path, flock.SetPermissions(0o600))
	defer l.Close()
	if ok, err := l.TryLockContext(ctx, lockPoll); !ok {
		return fmt.Errorf("the carried BuildKit does not answer and does not stop (its lock is %s): %w", path, err)
	}
	return nil
}

// readAll reads until the other end closes.
func readAll(ctx context.Context, r *os.File, timeout time.Duration) (string, error) {
	if err := r.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return "", err
	}
	defer context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Unix(1, 0)) })()
	b, err := io.ReadAll(r)
	return string(b), err
}

// maxLog is the size at which the log is begun anew.
const maxLog = 4 << 20

func openLog(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".old"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
}

// tail returns the last lines of what was logged since from.
func tail(log io.ReaderAt, from int64, path string) string {
	const most = 20
	b, err := io.ReadAll(io.NewSectionReader(log, from, maxLog))
	if err != nil || len(b) == 0 {
		return "(nothing in its log " + path + ")"
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	if len(lines) > most {
		lines = lines[len(lines)-most:]
	}
	return "the end of its log " + path + ":\n  " + strings.Join(lines, "\n  ")
}
