package box

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/davit-dev/davit/kubebox/internal/host"
)

// Folders that components make outside the box because they are written into their sources.
const (
	kubeletFolder = "/var/lib/kubelet"
	volumeFolder  = "/tmp/hostpath_pv"
)

// Down stops the box and removes all that it made on the machine, but for the registry's
// images unless dropRegistry is set. It does not matter in what
// state the box is, or whether there is one.
func (b Box) Down(ctx context.Context, dropRegistry bool, report func(step string)) error {
	if err := host.CheckRoot(); err != nil {
		return err
	}
	lock, err := host.Lock(operationLock, patience)
	if err != nil {
		return fmt.Errorf("another kubebox up or down is at work: %w", err)
	}
	defer lock.Close()
	if err := b.checkClaim(); err != nil {
		return err
	}
	for _, step := range []struct {
		done string
		do   func() error
	}{
		{"the supervisor has stopped", func() error { return stopSupervisor(ctx) }},
		{"no process is left", host.KillAll},
		{"nothing is mounted", func() error { return host.Unmount(b.Run, b.State) }},
		{"the firewall's rules are removed", host.CloseFirewall},
		{"the bridge is removed", host.RemoveBridge},
		{"the cgroups are removed", host.RemoveCgroups},
		{"the files are removed", func() error { return b.removeFiles(dropRegistry) }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%w (call kubebox down again once that is mended)", err)
		}
		report(step.done)
	}
	return nil
}

func stopSupervisor(ctx context.Context) error {
	signal := unix.SIGTERM
	for asked := time.Now(); ; {
		pid, err := host.Holder(supervisorLock)
		if err != nil || pid == 0 {
			return err
		}
		if time.Since(asked) > time.Minute {
			signal = unix.SIGKILL
		}
		if err := unix.Kill(pid, signal); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("cannot stop the supervisor, process %d: %w", pid, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("interrupted while the supervisor stops: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// removeFiles removes the box's folders and what components leave in others.
func (b Box) removeFiles(dropRegistry bool) error {
	c, configErr := b.Config()
	if err := removeLogLinks(b.state("pod-logs")); err != nil {
		return err
	}
	if err := removeShimSockets(); err != nil {
		return err
	}
	results, err := filepath.Glob("/var/lib/cni/results/" + host.Bridge + "-*")
	if err != nil {
		return err
	}
	doomed := append(results, b.Run)
	if configErr == nil && c.KubeletFolder {
		doomed = append(doomed, kubeletFolder)
	}
	if configErr == nil && c.VolumeFolder {
		doomed = append(doomed, volumeFolder)
	}
	entries, err := os.ReadDir(b.State)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot list the box's files: %w", err)
	}
	for _, entry := range entries {
		if path := b.state(entry.Name()); path != b.Registry() || dropRegistry {
			doomed = append(doomed, path)
		}
	}
	for _, path := range doomed {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("cannot remove the box's files: %w", err)
		}
	}
	for _, empty := range []string{
		b.State, "/var/log/containers", "/var/lib/cni/results", "/var/lib/cni", "/run/containerd/s", "/run/containerd",
	} {
		_ = os.Remove(empty) // stays where others have something in it
	}
	if err := os.Truncate(supervisorLock, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot give up the claim on this machine: %w", err)
	}
	return nil
}

// removeLogLinks removes the links that the kubelet makes to the logs of containers.
func removeLogLinks(logs string) error {
	links, err := filepath.Glob("/var/log/containers/*.log")
	if err != nil {
		return err
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(target, logs+"/") {
			continue
		}
		if err := os.Remove(link); err != nil {
			return fmt.Errorf("cannot remove a link to a log: %w", err)
		}
	}
	return nil
}

// removeShimSockets removes the sockets of containers' shims that nobody listens
// on any more. Every containerd of a machine has them in the same folder.
func removeShimSockets() error {
	sockets, err := filepath.Glob("/run/containerd/s/*")
	if err != nil {
		return err
	}
	for _, socket := range sockets {
		connection, err := net.DialTimeout("unix", socket, time.Second)
		if err == nil {
			connection.Close()
			continue
		}
		if !errors.Is(err, unix.ECONNREFUSED) {
			continue
		}
		if err := os.Remove(socket); err != nil {
			return fmt.Errorf("cannot remove the socket of a container that is gone: %w", err)
		}
	}
	return nil
}
