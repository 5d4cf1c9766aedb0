package box

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/davit-dev/davit/kubebox/internal/host"
	"github.com/davit-dev/davit/kubebox/internal/program"
	"github.com/davit-dev/davit/kubebox/internal/supervise"
)

// patience is how long a box may take to be of use. It takes some ten seconds on an idle
// machine; this is for a busy one.
const patience = 10 * time.Minute

// Up brings the box up, or on if it was interrupted, and waits until the cluster
// is of use. Called again it only waits. Report is told each step that is
// done. Its errors say what to do.
func (b Box) Up(ctx context.Context, report func(step string)) (Config, error) {
	if err := host.CheckRoot(); err != nil {
		return Config{}, err
	}
	lock, err := host.Lock(operationLock, patience)
	if err != nil {
		return Config{}, fmt.Errorf("another kubebox up or down is at work: %w", err)
	}
	defer lock.Close()
	if err := b.checkClaim(); err != nil {
		return Config{}, err
	}
	running, err := host.Holder(supervisorLock)
	if err != nil {
		return Config{}, err
	}
	var c Config
	if running != 0 {
		c, err = b.Config()
		report(known(running))
	} else {
		if c, err = b.start(); err == nil {
			report("the components are started")
		}
	}
	if err != nil {
		return c, err
	}
	return c, b.await(ctx, c, report)
}

// known says that there is a box, and whether it is of this build of the program.
func known(supervisor int) string {
	its, err := os.Stat(fmt.Sprintf("/proc/%d/exe", supervisor))
	mine, errMine := os.Stat(self)
	if err == nil && errMine == nil && !os.SameFile(its, mine) {
		return "the box is up, by another build of kubebox (to change it: kubebox down, then up)"
	}
	return "the box is up"
}

// start makes the box and starts its supervisor.
func (b Box) start() (Config, error) {
	if err := host.Check(b.State); err != nil {
		return Config{}, err
	}
	other, err := host.OtherCluster()
	if err != nil {
		return Config{}, err
	}
	if other {
		return Config{}, errors.New("another Kubernetes runs on this machine (there are iptables chains KUBE-* that are not kubebox's): stop it first, the two would undo each other's rules")
	}
	if err := b.forgetEarlierBoot(); err != nil {
		return Config{}, err
	}
	c, err := b.choose()
	if err != nil {
		return c, err
	}
	for _, step := range []func() error{
		b.makeFolders,
		func() error { return writeJSON(b.configFile(), 0o644, c) },
		func() error { return b.writeFiles(c) },
		func() error { return openHost(c) },
		b.startSupervisor,
	} {
		if err := step(); err != nil {
			return c, err
		}
	}
	return c, nil
}

// forgetEarlierBoot removes what only meant something before the machine was
// started again: sockets, network namespaces, the addresses of pods.
func (b Box) forgetEarlierBoot() error {
	earlier, err := b.Config()
	if errors.Is(err, ErrNoBox) {
		return nil
	}
	if err != nil {
		return err
	}
	boot, err := host.BootID()
	if err != nil || boot == earlier.BootID {
		return err
	}
	if err := host.Unmount(b.Run); err != nil {
		return err
	}
	if err := os.RemoveAll(b.Run); err != nil {
		return fmt.Errorf("cannot remove what was left from before the reboot: %w", err)
	}
	return nil
}

// startSupervisor starts the supervisor so that it outlives this process.
func (b Box) startSupervisor() error {
	log, err := os.OpenFile(b.logFile(supervisorName), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("cannot open the supervisor's log: %w", err)
	}
	defer log.Close()
	_ = os.Remove(b.statusFile()) // of an earlier supervisor
	cmd := exec.Command(self)
	cmd.Args = []string{program.Supervisor, b.State, b.Run}
	cmd.Dir, cmd.Env = "/", environment()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start the supervisor: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for range time.Tick(20 * time.Millisecond) {
		select {
		case err := <-ended:
			return fmt.Errorf("the supervisor ended at once (%v):\n%s", err, b.tail(supervisorName, 5))
		default:
		}
		if pid, err := host.Holder(supervisorLock); err != nil || pid != 0 {
			return err
		}
	}
	return nil
}

// await waits until the cluster is of use.
func (b Box) await(ctx context.Context, c Config, report func(string)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := b.client()
	if err != nil {
		return err
	}
	for _, step := range []struct {
		done  string
		check func(context.Context, kubernetes.Interface) error
	}{
		{"the API server answers", func(ctx context.Context, _ kubernetes.Interface) error { return b.apiReady(ctx) }},
		{"the cluster is furnished", func(ctx context.Context, k kubernetes.Interface) error { return b.prepare(ctx, k, c) }},
		{"the node is ready", nodeReady},
		{"pods have a service account", defaultAccount},
		{"DNS answers", func(ctx context.Context, _ kubernetes.Interface) error { return dnsAnswers(ctx, c) }},
	} {
		if err := b.awaitStep(ctx, step.done, func(ctx context.Context) error { return step.check(ctx, client) }); err != nil {
			return err
		}
		report(step.done)
	}
	return nil
}

// awaitStep calls check until it succeeds, ctx ends or the box turns out to be broken.
func (b Box) awaitStep(ctx context.Context, what string, check func(context.Context) error) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, 20*time.Second)
		err := check(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if broken := b.broken(); broken != nil {
			return broken
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return fmt.Errorf("interrupted; the box goes on starting, end it with kubebox down: %w", ctx.Err())
			}
			return fmt.Errorf("gave up after %s waiting until %s: %w: look at kubebox status and kubebox logs", patience, what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// broken returns an error if waiting for the box makes no sense any more.
func (b Box) broken() error {
	pid, err := host.Holder(supervisorLock)
	if err != nil {
		return err
	}
	if pid == 0 {
		return fmt.Errorf("the supervisor has ended; its last lines are:\n%s", b.tail(supervisorName, 10))
	}
	status, err := supervise.Read(b.statusFile())
	if err != nil {
		return nil // not written yet
	}
	for _, state := range status.Components {
		if state.Phase == supervise.BackOff && state.Restarts >= 4 {
			return fmt.Errorf("%s does not stay up (%s); if its log does not help, begin anew with kubebox down and up; its last lines are:\n%s",
				state.Name, state.LastExit, b.tail(state.Name, 10))
		}
	}
	return nil
}

// tail returns the last lines of a component's log.
func (b Box) tail(name string, lines int) []byte {
	content, err := os.ReadFile(b.logFile(name))
	if err != nil {
		return []byte(err.Error())
	}
	all := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
	return bytes.Join(all[max(0, len(all)-lines):], []byte("\n"))
}

func (b Box) logFile(name string) string { return b.state("log/" + name + ".log") }

// GiveKubeconfig makes the user and group the owners of the kubeconfig, which only its owner can read.
func (b Box) GiveKubeconfig(uid, gid int) error {
	if err := os.Chown(b.Kubeconfig(), uid, gid); err != nil {
		return fmt.Errorf("cannot hand over the kubeconfig: %w", err)
	}
	return nil
}
