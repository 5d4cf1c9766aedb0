package box

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/davit-dev/davit/kubebox/internal/host"
	"github.com/davit-dev/davit/kubebox/internal/supervise"
)

// supervisorName is the name of the supervisor's log.
const supervisorName = "supervisor"

// Supervise keeps the components of the box running until ctx ends. Its children end with it.
func (b Box) Supervise(ctx context.Context, log *slog.Logger) error {
	lock, err := host.Lock(supervisorLock, time.Second)
	if err != nil {
		return fmt.Errorf("another supervisor runs: %w", err)
	}
	defer lock.Close()
	if err := b.claim(lock); err != nil {
		return err
	}
	if err := host.MakeCgroups(); err != nil {
		return err
	}
	c, err := b.Config()
	if err != nil {
		return err
	}
	components, err := b.components(c)
	if err != nil {
		return err
	}
	go keepHost(ctx, c, log)
	return supervise.New(components, environment(), b.Logs(), b.statusFile(), log).Run(ctx)
}

// keepHost puts back what others may take from the box while it runs: a firewall
// that is loaded anew has none of its rules.
func keepHost(ctx context.Context, c Config, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(15 * time.Second):
		}
		if err := openHost(c); err != nil {
			log.Error("cannot keep the network in order", "cause", err)
		}
	}
}

// openHost makes the network of the box. It may be called again.
func openHost(c Config) error {
	if err := host.ForwardPackets(); err != nil {
		return err
	}
	if err := host.RaiseBridge(c.Pods, c.Services); err != nil {
		return err
	}
	return host.OpenFirewall(c.Pods, c.APIPort)
}

// environment of everything in the box: nothing of what the caller of kubebox up
// happened to have set, a proxy for instance, may change how the cluster works.
func environment() []string {
	return []string{"PATH=" + host.Path, "HOME=/root", "LANG=C.UTF-8"}
}

// claim writes into the supervisor's lock whose box it is that this machine has.
func (b Box) claim(lock *os.File) error {
	content, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("cannot write the claim: %w", err)
	}
	if err := lock.Truncate(0); err != nil {
		return fmt.Errorf("cannot write the claim: %w", err)
	}
	if _, err := lock.WriteAt(content, 0); err != nil {
		return fmt.Errorf("cannot write the claim: %w", err)
	}
	return nil
}

// checkClaim returns an error if the machine has a box in other folders, up or crashed.
func (b Box) checkClaim() error {
	content, err := os.ReadFile(supervisorLock)
	if errors.Is(err, os.ErrNotExist) || len(content) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot see whether there is another box: %w", err)
	}
	var other Box
	if err := json.Unmarshal(content, &other); err != nil || other == b {
		return nil // half-written by a crash counts as no claim
	}
	if _, err := os.Stat(filepath.Join("/sys/class/net", host.Bridge)); err != nil {
		return nil // it did not outlive a reboot
	}
	return fmt.Errorf("this machine has a box in %s, and there can be only one: remove it first with kubebox down --state-dir %[1]s --run-dir %s",
		other.State, other.Run)
}
