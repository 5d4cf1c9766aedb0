package buildkit

import (
	"bytes"
	"fmt"
	"strings"
	"sync"

	"github.com/docker/go-units"
	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"

	"github.com/davit-dev/davit/internal/event"
)

// keptLines is how many of a step's last lines are kept for the error should it fail.
const keptLines = 20

// progress turns BuildKit's status stream into log lines: one when a step starts or was cached, what it prints, what it
// transferred, and one when it ends. Lines of steps that run side by side are told apart by the step's number.
type progress struct {
	image string
	sink  event.Sink

	mu     sync.Mutex
	steps  map[digest.Digest]*step
	shown  int   // steps that have a number
	failed *step // the step that failed last, if any
}

// step is one vertex of BuildKit's graph.
type step struct {
	number   int // 0 until it is shown
	name     string
	done     bool
	partial  map[int][]byte // by stream, a line that was not ended yet
	tail     []string
	finished map[string]bool // transfers that were told
}

func newProgress(image string, sink event.Sink) *progress {
	return &progress{image: image, sink: sink, steps: map[digest.Digest]*step{}}
}

// line tells one line.
func (p *progress) line(s string) { p.sink.Emit(event.ArtifactLog{Image: p.image, Line: s}) }

// update tells what is new.
func (p *progress) update(s *client.SolveStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range s.Vertexes {
		p.started(v)
	}
	for _, status := range s.Statuses {
		p.transferred(status)
	}
	for _, l := range s.Logs {
		p.printed(l)
	}
	for _, v := range s.Vertexes {
		p.ended(v)
	}
	for _, w := range s.Warnings {
		p.line("WARN: " + string(w.Short))
	}
}

func (p *progress) step(id digest.Digest) *step {
	s := p.steps[id]
	if s == nil {
		s = &step{partial: map[int][]byte{}, finished: map[string]bool{}}
		p.steps[id] = s
	}
	return s
}

func (p *progress) started(v *client.Vertex) {
	s := p.step(v.Digest)
	s.name = v.Name
	if s.number > 0 || v.Started == nil {
		return
	}
	p.shown++
	s.number = p.shown
	if v.Cached {
		s.done = true
		p.line(fmt.Sprintf("#%d CACHED %s", s.number, s.name))
		return
	}
	p.line(fmt.Sprintf("#%d %s", s.number, s.name))
}

func (p *progress) transferred(t *client.VertexStatus) {
	s := p.step(t.Vertex)
	if t.Completed == nil || s.number == 0 || s.finished[t.ID] {
		return
	}
	s.finished[t.ID] = true
	amount := ""
	if t.Current > 0 {
		amount = " " + units.HumanSize(float64(t.Current))
	}
	p.line(fmt.Sprintf("#%d %s%s done", s.number, t.ID, amount))
}

func (p *progress) printed(l *client.VertexLog) {
	s := p.step(l.Vertex)
	data := append(s.partial[l.Stream], l.Data...)
	for {
		line, rest, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			s.partial[l.Stream] = data
			return
		}
		data = rest
		p.print(s, line)
	}
}

func (p *progress) print(s *step, line []byte) {
	text := string(bytes.TrimRight(line, "\r"))
	p.line(fmt.Sprintf("#%d %s", s.number, text))
	s.tail = append(s.tail, text)
	if len(s.tail) > keptLines {
		s.tail = s.tail[len(s.tail)-keptLines:]
	}
}

func (p *progress) ended(v *client.Vertex) {
	s := p.step(v.Digest)
	if v.Completed == nil || v.Started == nil || s.done {
		return
	}
	s.done = true
	for stream, line := range s.partial {
		if len(line) > 0 {
			p.print(s, line)
		}
		delete(s.partial, stream)
	}
	switch {
	case strings.HasSuffix(v.Error, "context canceled"):
		p.line(fmt.Sprintf("#%d CANCELED", s.number))
	case v.Error != "":
		p.failed = s
		p.line(fmt.Sprintf("#%d ERROR: %s", s.number, v.Error))
	case v.Cached:
		p.line(fmt.Sprintf("#%d CACHED", s.number))
	case strings.HasPrefix(v.Name, "[internal]"):
		// What it transferred is told, and often later.
	default:
		p.line(fmt.Sprintf("#%d DONE %.1fs", s.number, v.Completed.Sub(*v.Started).Seconds()))
	}
}

// forgetFailure begins another try.
func (p *progress) forgetFailure() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = nil
}

// failure returns the name and last lines of the step that BuildKit's error is about: the one named by id or, since old
// BuildKits name none, the one that failed last.
func (p *progress) failure(id digest.Digest) (name string, tail []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.steps[id]
	if s == nil {
		s = p.failed
	}
	if s == nil {
		return "", nil
	}
	return s.name, s.tail
}
