package cloudrun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/davit-dev/davit/internal/event"
)

// state is what every kind says about itself.
type state struct {
	Metadata struct{ Generation int64 }
	Spec     json.RawMessage
	Status   struct {
		ObservedGeneration                                 int64
		Conditions                                         []condition
		URL                                                string
		LatestCreatedRevisionName, LatestReadyRevisionName string
	}
}

type condition struct{ Type, Status, Reason, Message string }

// ready is the condition of this name, nil as long as it speaks of what was there before.
func (s state) ready() *condition {
	i := slices.IndexFunc(s.Status.Conditions, func(c condition) bool { return c.Type == "Ready" })
	if i < 0 || s.Status.ObservedGeneration != s.Metadata.Generation {
		return nil
	}
	return &s.Status.Conditions[i]
}

// Image is an artifact that was built.
type Image struct {
	Name   string // as in the config
	Ref    string // as the manifests name it
	Digest string // "sha256:..."; empty when it is not known
}

// Settle waits until all objects are ready, if that is wanted, and proves that what is ready names the images by their digests. Errors are joined.
func (d *Deployer) Settle(ctx context.Context, a *Applied, images []Image) error {
	var left atomic.Int64
	left.Store(int64(len(a.items)))
	return forAll(a.items, func(it *item) error {
		now, err := d.await(ctx, a.target, it)
		if err != nil || !a.target.Wait {
			return err
		}
		d.Sink.Emit(event.WorkloadReady{Resource: it.resource(), Namespace: it.project, Took: d.Now().Sub(it.began), Left: int(left.Add(-1))})
		if now.Status.URL != "" {
			d.Sink.Emit(event.Note{Message: it.resource() + " is at " + now.Status.URL})
		}
		return d.prove(it, now, images)
	})
}

// await looks again and again until an object is ready: Cloud Run cannot be watched.
func (d *Deployer) await(ctx context.Context, t Target, it *item) (state, error) {
	deadline := t.Deadline
	if deadline == 0 {
		deadline = defaultDeadline
	}
	late, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	message, said := "waiting for it to start", ""
	for {
		now, err := it.look(late)
		if err == nil && !t.Wait {
			return now, nil
		}
		if r := now.ready(); err == nil && r != nil {
			if r.Status == "True" {
				return now, nil
			}
			if r.Message != "" {
				message = r.Message
			}
			if r.Status == "False" && !t.Tolerate {
				return now, it.fail("deploying", fmt.Errorf("it does not get ready: %s", message))
			}
		}
		if err == nil && message != said {
			d.Sink.Emit(event.RolloutProgress{Resource: it.resource(), Namespace: it.project, Message: message})
			said = message
		}
		if err == nil {
			err = d.pause(late)
		}
		if errors.Is(late.Err(), context.DeadlineExceeded) && ctx.Err() == nil {
			return now, it.fail("deploying", fmt.Errorf("it is not ready after %s: %s: see its logs, or give it more time with statusCheckDeadlineSeconds", deadline.Round(time.Second), message))
		}
		if err != nil {
			return now, it.fail("waiting for", err)
		}
	}
}

func (it *item) look(ctx context.Context) (s state, err error) {
	live, err := it.kind.get(ctx, it.service, it.path)
	if err != nil {
		return s, err
	}
	text, err := json.Marshal(live)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(text, &s)
}

// prove compares the images that the ready object names with those that were built. Cloud Run runs an image that is named by its digest, or none.
func (d *Deployer) prove(it *item, now state, images []Image) error {
	if now.Status.LatestReadyRevisionName != now.Status.LatestCreatedRevisionName {
		return it.fail("proving", fmt.Errorf("revision %s serves, but %s was made last", now.Status.LatestReadyRevisionName, now.Status.LatestCreatedRevisionName))
	}
	var proved []event.ProvedContainer
	for _, i := range images {
		switch sent, _ := json.Marshal(it.Fields); { // it was sent: it can be written
		case i.Digest == "" || !strings.Contains(i.Ref, "@") || !strings.Contains(string(sent), i.Ref):
		case !strings.Contains(string(now.Spec), i.Ref):
			return it.fail("proving", fmt.Errorf("it does not name %s any more, which was built as %s: somebody else changes it", i.Ref, i.Name))
		default:
			proved = append(proved, event.ProvedContainer{Name: it.name, Image: i.Name, Digest: i.Digest})
		}
	}
	if len(proved) > 0 {
		d.Sink.Emit(event.WorkloadProved{Resource: it.resource(), Namespace: it.project, Containers: proved, Took: d.Now().Sub(it.began)})
	}
	return nil
}
