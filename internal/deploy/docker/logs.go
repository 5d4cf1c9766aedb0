package docker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// Line is a line of a container's log, without its newline.
type Line struct {
	Container, Image string // Image as in the config
	Text             string
}

// Pauses between attempts to read from an Engine that does not let us.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// Tail follows the logs of the containers of sets, from a time on, also of those that are started again or replaced, until ctx is done. Logs that
// break are taken up again where they broke. line is called from many goroutines.
func (d *Deployer) Tail(ctx context.Context, all []*Started, since time.Time, line func(Line)) {
	t := &tailer{Deployer: d, all: all, since: since, line: line, known: map[string]*followed{}, warned: map[string]bool{}}
	defer t.streams.Wait()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := t.watch(ctx)
		if !t.pause(ctx, pause, fmt.Errorf("asking the Docker Engine for containers: %w", err)) {
			return
		}
	}
}

// tailer follows containers.
type tailer struct {
	*Deployer
	all     []*Started
	since   time.Time
	line    func(Line)
	streams sync.WaitGroup

	mu     sync.Mutex
	known  map[string]*followed // by id
	warned map[string]bool
}

// followed is a container the log of which is read.
type followed struct {
	id               string
	container, image string
	out, err         time.Time // when what was told last of its outputs was written: one may overtake the other
	starts           int       // that were seen
	reading          bool
}

// pause waits until the next attempt, and says why that is needed, each cause once. It is false at the end.
func (t *tailer) pause(ctx context.Context, pause time.Duration, why error) bool {
	if ctx.Err() != nil {
		return false
	}
	t.mu.Lock()
	known := t.warned[why.Error()]
	t.warned[why.Error()] = true
	t.mu.Unlock()
	if !known {
		t.warn("%v: trying again", why)
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// watch takes up containers, those that are there and those that start, until that breaks.
func (t *tailer) watch(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	started := t.Client.Events(watching, client.EventsListOptions{Filters: make(client.Filters).Add("label", labelSet).Add("event", "start")})
	there, err := t.Client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", labelSet)})
	if err != nil {
		return err
	}
	for _, c := range there.Items {
		t.take(ctx, c.ID, nameOf(c), c.Labels)
	}
	for {
		select {
		case m := <-started.Messages:
			t.take(ctx, m.Actor.ID, m.Actor.Attributes["name"], m.Actor.Attributes)
		case err := <-started.Err:
			return err
		}
	}
}

// take reads the log of a container that was seen to be there or to start, if it is one of the sets'.
func (t *tailer) take(ctx context.Context, id, name string, labels map[string]string) {
	image := labels[labelImage]
	if !slices.ContainsFunc(t.all, func(s *Started) bool {
		return s.set.Name == labels[labelSet] && slices.Contains(slices.Collect(s.set.Images()), image)
	}) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.known[id]
	if f == nil {
		f = &followed{id: id, container: name, image: image, out: t.since, err: t.since}
		t.known[id] = f
	}
	f.starts++
	if !f.reading {
		f.reading = true
		t.streams.Go(func() { t.follow(ctx, f) })
	}
}

// follow reads the log of a container until it has ended for good.
func (t *tailer) follow(ctx context.Context, f *followed) {
	for pause := firstPause; ; {
		t.mu.Lock()
		starts := f.starts
		t.mu.Unlock()
		err := t.read(ctx, f)
		t.mu.Lock()
		if err == nil && f.starts == starts || errdefs.IsNotFound(err) {
			f.reading = false
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		if err != nil {
			if !t.pause(ctx, pause, fmt.Errorf("reading the log of container/%s: %w", f.container, err)) {
				return
			}
			pause = min(2*pause, longestPause)
		}
	}
}

// read tells what comes after what was told, until the container ends.
func (t *tailer) read(ctx context.Context, f *followed) error {
	since := f.out
	if f.err.Before(since) {
		since = f.err
	}
	stream, err := t.Client.ContainerLogs(ctx, f.id, client.ContainerLogsOptions{
		ShowStdout: true, ShowStderr: true, Follow: true, Timestamps: true, Since: since.Format(time.RFC3339Nano),
	})
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	after := func(last *time.Time) *messages {
		told := *last
		return &messages{line: func(at time.Time, text string) {
			if at.After(told) {
				*last = at
				t.line(Line{f.container, f.image, text})
			}
		}}
	}
	stdout, stderr := after(&f.out), after(&f.err)
	_, err = stdcopy.StdCopy(stdout, stderr, stream)
	if err == nil {
		stdout.flush()
		stderr.flush()
	}
	return err
}

// messages makes lines of what a container wrote. The Engine sends it in messages, each with its time: one for a line, or several for a long one.
type messages struct {
	line func(at time.Time, text string)
	at   time.Time
	rest []byte
}

var _ io.Writer = (*messages)(nil)

// Write takes one message.
func (m *messages) Write(p []byte) (int, error) {
	stamp, text, _ := bytes.Cut(p, []byte(" "))
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return 0, fmt.Errorf("a message without its time: %w", err)
	}
	if !at.Equal(m.at) { // the parts of a line have the same
		m.flush()
	}
	m.at, m.rest = at, append(m.rest, text...)
	if bytes.HasSuffix(m.rest, []byte("\n")) {
		m.flush()
	}
	return len(p), nil
}

func (m *messages) flush() {
	if len(m.rest) > 0 {
		m.line(m.at, strings.TrimRight(string(m.rest), "\r\n"))
		m.rest = nil
	}
}
