package docker

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/davit-dev/davit/internal/event"
)

// logLines is how many of the last lines of a container that failed are shown.
const logLines = 10

// ContainerError says why a container does not run.
type ContainerError struct {
	Container, Image string
	Cause            string   // "it ended with exit code 3"
	Next             string   // what to try
	Logs             []string // its last lines
}

func (e *ContainerError) Error() string {
	text := fmt.Sprintf("container/%s of image %s does not run: %s: %s", e.Container, e.Image, e.Cause, e.Next)
	if len(e.Logs) > 0 {
		text += "\n  its last log lines:\n    " + strings.Join(e.Logs, "\n    ")
	}
	return text
}

// Settle waits until all containers are up, if that is wanted, says where their ports are, and proves what they run. Errors of several are joined; each that is the
// container's own is a [*ContainerError].
func (d *Deployer) Settle(ctx context.Context, s *Started) error {
	var left atomic.Int64
	left.Store(int64(len(s.tasks)))
	return forAll(s.tasks, func(t task) error {
		now, err := d.await(ctx, s.set, t)
		if err != nil {
			return err
		}
		if s.set.Wait {
			d.Sink.Emit(event.WorkloadReady{Resource: t.resource(), Took: d.Now().Sub(t.began), Left: int(left.Add(-1))})
		}
		for port, bindings := range now.NetworkSettings.Ports {
			for _, b := range bindings {
				d.Sink.Emit(event.Note{Message: fmt.Sprintf("%s: port %d is at %s:%s", t.resource(), port.Num(), b.HostIP, b.HostPort)})
			}
		}
		if now.Image != t.image {
			return fmt.Errorf("%s runs %s, but %s was built as %s: remove the container and run again", t.resource(), now.Image, t.Image, t.image)
		}
		proved := event.ProvedContainer{Name: t.name, Image: t.Image, Digest: t.image}
		d.Sink.Emit(event.WorkloadProved{Resource: t.resource(), Containers: []event.ProvedContainer{proved}, Took: d.Now().Sub(t.began)})
		return nil
	})
}

// await gives a container once it is up, or as it is now when nothing is to be waited for. One that ended with exit code 0 did what it had to.
func (d *Deployer) await(ctx context.Context, set Set, t task) (container.InspectResponse, error) {
	deadline := set.Deadline
	if deadline == 0 {
		deadline = defaultDeadline
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	events := d.Client.Events(ctx, client.EventsListOptions{Filters: make(client.Filters).Add("container", t.id)})
	settled := time.NewTimer(cmp.Or(d.StaysUp, time.Second) - d.Now().Sub(t.began))
	defer settled.Stop()
	stayed := t.verb == "unchanged"
	for {
		found, err := d.Client.ContainerInspect(ctx, t.id, client.ContainerInspectOptions{})
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return found.Container, d.failed(t, fmt.Sprintf("it is not healthy after %s", deadline), "see docker inspect "+t.name+", or give it more time with statusCheckDeadlineSeconds")
		}
		if err != nil {
			return found.Container, fmt.Errorf("asking the Docker Engine for %s: %w", t.resource(), err)
		}
		now := found.Container
		if up, err := d.up(t, now.State, stayed); up || err != nil || !set.Wait {
			return now, err
		}
		select {
		case <-ctx.Done():
		case <-settled.C:
			stayed = true
		case <-events.Messages:
		case err := <-events.Err:
			if ctx.Err() == nil {
				return now, fmt.Errorf("waiting for %s: the Docker Engine does not tell events any more: %w", t.resource(), err)
			}
		}
	}
}

// up says whether a container is up; stayed, whether it has run for long enough to be believed.
func (d *Deployer) up(t task, s *container.State, stayed bool) (bool, error) {
	switch {
	case s.Status == container.StateExited && s.ExitCode == 0:
		return true, nil
	case s.Status == container.StateExited || s.Status == container.StateDead:
		cause := fmt.Sprintf("it ended with exit code %d", s.ExitCode)
		if s.OOMKilled {
			cause = "it was killed because it used too much memory"
		}
		if s.Error != "" {
			cause += ": " + s.Error
		}
		return false, d.failed(t, cause, "mend the program and run again; docker logs "+t.name+" has all it said")
	case s.Status != container.StateRunning:
		return false, nil
	case s.Health == nil || s.Health.Status == container.NoHealthcheck:
		return stayed, nil
	case s.Health.Status == container.Unhealthy:
		cause := "its health check fails"
		if n := len(s.Health.Log); n > 0 {
			cause += ": " + strings.TrimSpace(s.Health.Log[n-1].Output)
		}
		return false, d.failed(t, cause, "mend the program or the image's HEALTHCHECK and run again")
	}
	return s.Health.Status == container.Healthy, nil
}

// failed makes the error of a container, with the last that it said.
func (d *Deployer) failed(t task, cause, next string) error {
	e := &ContainerError{Container: t.name, Image: t.Image, Cause: cause, Next: next}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // the caller's may be over
	defer cancel()
	stream, err := d.Client.ContainerLogs(ctx, t.id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: fmt.Sprint(logLines)})
	if err != nil {
		return e
	}
	defer func() { _ = stream.Close() }()
	var text bytes.Buffer
	if _, err := stdcopy.StdCopy(&text, &text, stream); err != nil { // without its words, the error is still true
		return e
	}
	e.Logs = slices.DeleteFunc(strings.Split(text.String(), "\n"), func(line string) bool { return line == "" })
	return e
}

// forAll calls do for each side by side and joins their errors, in order.
func forAll[T any](all []T, do func(T) error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, t := range all {
		wg.Go(func() { errs[i] = do(t) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
