package box

import (
	"context"
	"time"

	"github.com/davit-dev/davit/kubebox/internal/host"
	"github.com/davit-dev/davit/kubebox/internal/supervise"
)

// Status is how a box is.
type Status struct {
	Supervisor int               `json:"supervisor"` // its process id, 0 if it does not run
	Config     Config            `json:"config"`
	Components []supervise.State `json:"components"`
	Since      time.Time         `json:"since"`
	// Trouble says what keeps the cluster from being of use; it is empty if nothing does.
	Trouble string `json:"trouble,omitempty"`
}

// Status returns how the box is, or ErrNoBox. It needs no rights but to the kubeconfig, without
// which it cannot ask the cluster and says so in Trouble.
func (b Box) Status(ctx context.Context) (*Status, error) {
	c, err := b.Config()
	if err != nil {
		return nil, err
	}
	pid, err := host.Holder(supervisorLock)
	if err != nil {
		return nil, err
	}
	status := &Status{Supervisor: pid, Config: c}
	if pid == 0 {
		status.Trouble = "the supervisor does not run: kubebox up goes on where it ended"
		return status, nil
	}
	supervised, err := supervise.Read(b.statusFile())
	if err != nil {
		return nil, err
	}
	status.Components, status.Since = supervised.Components, supervised.Since
	if err := b.use(ctx, c); err != nil {
		status.Trouble = err.Error()
	}
	return status, nil
}

// use returns nil if the cluster is of use.
func (b Box) use(ctx context.Context, c Config) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	client, err := b.client()
	if err != nil {
		return err
	}
	if err := b.apiReady(ctx); err != nil {
		return err
	}
	if err := nodeReady(ctx, client); err != nil {
		return err
	}
	return dnsAnswers(ctx, c)
}
