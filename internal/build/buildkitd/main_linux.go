package buildkitd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"

	"github.com/moby/sys/userns"
	"golang.org/x/sys/unix"

	"github.com/davit-dev/davit/internal/build/carried"
)

// Main is the hidden command: args are what package carried gives after its Command. It returns when the daemon stopped. With daemon or
// ctl as its first argument it stands in for BuildKit's buildkitd or buildctl instead, in images for pools.
//
// Started as the first process of a process namespace, it is that namespace's init and runs the daemon as its child: a
// first process must collect the orphans of build steps, which would disturb the daemon's own waiting for its runcs.
func Main(ctx context.Context, args []string) error {
	if done, err := mainInPod(ctx, args); done {
		return err
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.unmapped {
		return becomeRoot()
	}
	ready := os.NewFile(carried.ReadyFD, "ready")
	unix.CloseOnExec(carried.ReadyFD)
	if os.Getpid() == 1 {
		err = initProcess(o, ready)
	} else {
		err = Serve(ctx, o, func() error {
			_, err := ready.WriteString(carried.Ready)
			return errors.Join(err, ready.Close())
		})
	}
	if err != nil {
		// Nobody reads any more when the daemon already served.
		_, _ = fmt.Fprintln(ready, err)
	}
	return err
}

// becomeRoot waits until the process's user namespace has ids and starts the program anew: only then the kernel gives it
// the namespace's capabilities.
func becomeRoot() error {
	mapped := os.NewFile(carried.MappedFD, "mapped")
	if _, err := io.ReadAll(mapped); err != nil {
		return fmt.Errorf("waiting for the user namespace: %w", err)
	}
	if err := mapped.Close(); err != nil {
		return err
	}
	args := slices.Clone(os.Args)
	for i, arg := range args {
		if arg == carried.Rootless {
			args[i] = carried.RootlessMapped
		}
	}
	return os.NewSyscallError("exec", unix.Exec("/proc/self/exe", args, os.Environ()))
}

// initProcess gives the namespaces their own mounts, runs the daemon and ends with it; the kernel then ends whatever else
// runs in the process namespace.
func initProcess(o Options, ready *os.File) error {
	// Mounts of the host appear here, ours do not appear there.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("separating mounts from the host's: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc of the daemon's process namespace: %w", err)
	}
	if err := mountRuncState(o.Dir); err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{ready}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM, unix.SIGINT)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the daemon: %w", err)
	}
	if err := ready.Close(); err != nil {
		return err
	}
	go func() {
		for s := range stop {
			_ = cmd.Process.Signal(s)
		}
	}()
	return reapUntil(cmd.Process.Pid)
}

// mountRuncState gives runc memory for what it knows of running steps, so that nothing of it stays when all are killed.
func mountRuncState(dir string) error {
	state := "/run/runc"
	if userns.RunningInUserNS() {
		state = carried.RuncPath(dir)
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return fmt.Errorf("making runc's folder: %w", err)
	}
	if err := unix.Mount("tmpfs", state, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0700,size=64m"); err != nil {
		return fmt.Errorf("mounting runc's folder %s: %w", state, err)
	}
	return nil
}

// reapUntil collects dead processes until it has collected pid.
func reapUntil(pid int) error {
	for {
		var status unix.WaitStatus
		dead, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("waiting for the daemon: %w", err)
		case dead == pid && status.Signaled():
			return fmt.Errorf("the daemon was ended by signal %s", status.Signal())
		case dead == pid && status.ExitStatus() != 0:
			return fmt.Errorf("the daemon ended with exit code %d", status.ExitStatus())
		case dead == pid:
			return nil
		}
	}
}
