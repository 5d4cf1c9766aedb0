package engine

import (
	"context"
	"fmt"
	"time"

	docker "github.com/moby/moby/client"
)

// patience is how long an Engine may tell nothing of a push or a pull: it tells each piece that goes, and waits for ever for a registry that does not
// answer.
const patience = 5 * time.Minute

// LostError is a connection to an Engine that broke.
type LostError struct {
	Host string
	Err  error
}

func (e *LostError) Error() string {
	return fmt.Sprintf("the Docker Engine at %s went away: %v; start it again, then run the same once more", e.Host, e.Err)
}

func (e *LostError) Unwrap() error { return e.Err }

// lost says of an error whether the connection broke.
func lost(c *docker.Client, err error) error {
	if docker.IsErrConnectionFailed(err) {
		return &LostError{c.DaemonHost(), err}
	}
	return err
}

// listening is one exchange with an Engine, which ends when nothing is heard for too long.
type listening struct {
	ctx      context.Context
	cancel   context.CancelCauseFunc
	timer    *time.Timer
	patience time.Duration
}

func listen(ctx context.Context, patience time.Duration) *listening {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(patience, func() { cancel(fmt.Errorf("nothing was heard for %s", patience)) })
	return &listening{ctx, cancel, timer, patience}
}

// heard begins the wait anew.
func (l *listening) heard() { l.timer.Reset(l.patience) }

// why is the cause of an error: why the exchange ended, if it was ended.
func (l *listening) why(err error) error {
	if cause := context.Cause(l.ctx); cause != nil {
		return cause
	}
	return err
}

// broke is the cause of an answer that ended too early.
func (l *listening) broke(c *docker.Client, err error) error {
	if cause := context.Cause(l.ctx); cause != nil {
		return cause
	}
	return &LostError{c.DaemonHost(), err}
}

func (l *listening) stop() {
	l.timer.Stop()
	l.cancel(nil)
}
