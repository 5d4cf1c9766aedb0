package buildkit

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/moby/buildkit/client"

	"github.com/davit-dev/davit/internal/build"
)

// BuildKit waits for a registry that takes a connection and does not answer for as long as it takes. Its status stream says what it waits for, and how
// many bytes came: so it is this side that gives up.

const (
	// probed bounds how long a registry may take to answer this side, which asks it nothing but whether it is there.
	probed = 20 * time.Second
	// bulk is how many times as long an upload may be silent, since BuildKit does not tell how many bytes of it went.
	bulk = 6
)

// listener hears what BuildKit tells, and since when it tells nothing.
type listener struct {
	mu      sync.Mutex
	last    time.Time // of what was new
	names   map[string]string
	waiting map[string]wait  // by vertex, and status where it has one
	bytes   map[string]int64 // that came, by vertex and status
}

// wait is something that BuildKit wants of a registry.
type wait struct {
	doing, image string // "pulling", "docker.io/library/alpine:3"; without an image it is the one that is built
	upload       bool
}

func newListener() *listener {
	return &listener{last: time.Now(), names: map[string]string{}, waiting: map[string]wait{}, bytes: map[string]int64{}}
}

func (l *listener) update(s *client.SolveStatus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	news := len(s.Vertexes)+len(s.Logs)+len(s.Warnings) > 0
	for _, v := range s.Vertexes {
		id := v.Digest.String()
		l.names[id] = v.Name
		l.note(id, waitOfVertex(v.Name), v.Started != nil && v.Completed == nil)
	}
	for _, st := range s.Statuses {
		id := st.Vertex.String() + " " + st.ID
		before, known := l.bytes[id]
		// What is going on is told again and again, also when nothing goes.
		news = news || !known || st.Current != before || st.Completed != nil
		l.bytes[id] = st.Current
		l.note(id, waitOfStatus(l.names[st.Vertex.String()], st.ID), st.Completed == nil)
	}
	if news {
		l.last = time.Now()
	}
}

func (l *listener) note(id string, w *wait, runs bool) {
	if w != nil && runs {
		l.waiting[id] = *w
		return
	}
	delete(l.waiting, id)
}

// waitOfVertex says what a step of BuildKit's own waits for while it runs; nil when that is no registry.
func waitOfVertex(step string) *wait {
	for _, words := range []string{"[internal] load metadata for ", "resolve image config for docker-image://", "resolve image config for ", "importing cache manifest from "} {
		if image, ok := strings.CutPrefix(step, words); ok {
			return &wait{doing: "pulling", image: image}
		}
	}
	return nil
}

// waitOfStatus says what a part of a step waits for while it runs.
func waitOfStatus(step, part string) *wait {
	switch {
	case strings.HasPrefix(part, "pushing "):
		return &wait{doing: "pushing", upload: true}
	case strings.HasPrefix(part, "writing "), part == "sending cache export":
		return &wait{doing: "pushing the build cache beside", upload: true}
	case strings.HasPrefix(part, "resolve "):
		return &wait{doing: "pulling", image: strings.TrimPrefix(part, "resolve ")}
	case strings.HasPrefix(part, "sha256:"):
		if from := find(`\bFROM (\S+)`, step); from != nil {
			return &wait{doing: "pulling", image: from[1]}
		}
	}
	return nil
}

// silence is how long nothing was told, and what BuildKit waits for meanwhile; nil when that is no registry.
func (l *listener) silence() (time.Duration, *wait) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.waiting {
		return time.Since(l.last), &w
	}
	return 0, nil
}

// untilSilent returns the error about a registry that does not answer, or nil when the context ends.
func (j *job) untilSilent(ctx context.Context, l *listener) error {
	patience := cmp.Or(j.options.Patience, build.Patience)
	for round := 1; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(patience / 10):
		}
		silent, w := l.silence()
		if w == nil || silent < patience {
			round = 1
			continue
		}
		image := cmp.Or(w.image, j.ref.String())
		if !w.upload || silent >= bulk*patience {
			return build.Silent(w.doing, image, silent)
		}
		if silent >= time.Duration(round)*patience {
			round++
			if j.isMute(ctx, image, min(probed, patience)) {
				return build.Silent(w.doing, image, silent)
			}
		}
	}
}

// isMute says whether an image's registry takes a connection from here and says nothing.
func (j *job) isMute(ctx context.Context, image string, patience time.Duration) bool {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return false
	}
	var opts []name.Option
	if isInsecure(j.request, reference.Domain(named)) {
		opts = append(opts, name.Insecure)
	}
	host, err := name.NewRegistry(reference.Domain(named), opts...)
	if err != nil {
		return false
	}
	var reached atomic.Bool
	ask, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ask = httptrace.WithClientTrace(ask, &httptrace.ClientTrace{ConnectDone: func(_, _ string, err error) {
		if err == nil {
			reached.Store(true)
		}
	}})
	fresh := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	_, err = transport.Ping(ask, host, fresh)
	return errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && reached.Load()
}
