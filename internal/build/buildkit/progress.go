package buildkit

import (
	"bytes"
	"strings"
	"sync"

	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"

	"github.com/davit-dev/davit/internal/event"
)

// progress turns BuildKit's status stream into events: when a step begins and ends, what it prints and what it transfers. Steps are told
// apart by their number.
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
	finished map[string]bool // transfers that are through
}

func newProgress(image string, sink event.Sink) *progress {
	return &progress{image: image, sink: sink, steps: map[digest.Digest]*step{}}
}

// line tells one line that belongs to no step.
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
		p.tell(s, event.BuildStep{State: event.StepCached})
		return
	}
	p.tell(s, event.BuildStep{State: event.StepStarted})
}

func (p *progress) tell(s *step, e event.BuildStep) {
	e.Image, e.Step, e.Name = p.image, s.number, s.name
	p.sink.Emit(e)
}

func (p *progress) transferred(t *client.VertexStatus) {
	s := p.step(t.Vertex)
	if s.number == 0 || s.finished[t.ID] {
		return
	}
	done := t.Completed != nil
	s.finished[t.ID] = done
	p.sink.Emit(event.StepTransfer{Image: p.image, Step: s.number, What: t.ID, Current: t.Current, Total: t.Total, Done: done})
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
	p.sink.Emit(event.ArtifactLog{Image: p.image, Line: text, Step: s.number})
	s.tail = append(s.tail, text)
	if len(s.tail) > event.LastLines {
		s.tail = s.tail[len(s.tail)-event.LastLines:]
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
	end := event.BuildStep{State: event.StepDone, Took: v.Completed.Sub(*v.Started)}
	switch {
	case strings.HasSuffix(v.Error, "context canceled"):
		end.State = event.StepCanceled
	case v.Error != "":
		p.failed = s
		end.State, end.Error = event.StepFailed, v.Error
	case v.Cached:
		end.State = event.StepCached
	}
	p.tell(s, end)
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
