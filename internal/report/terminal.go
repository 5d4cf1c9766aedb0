package report

import (
	"slices"
	"sync"
	"time"

	"github.com/davit-dev/davit/internal/event"
)

// frame is the time between two drawings.
const frame = 100 * time.Millisecond

// terminal shows what goes on in place: each build with its steps, each workload that is waited for. What is over scrolls up, in the words of
// plain; a build as one line.
type terminal struct {
	mu     sync.Mutex
	words  *plain // writes what scrolls
	region *region
	o      Options

	stages    []liveStage // open ones
	builds    []*liveBuild
	workloads []*liveWorkload

	stop, stopped chan struct{} // nil while nothing is redrawn
	closed        bool
}

var _ Report = (*terminal)(nil)

func newTerminal(o Options) *terminal {
	t := &terminal{o: o, region: &region{out: o.Out, size: o.Screen}}
	words := o
	words.Out = &t.region.above
	if !o.ErrElsewhere {
		words.Err = &t.region.above
	}
	t.words = newPlain(words)
	return t
}

// Emit shows an event.
func (t *terminal) Emit(e event.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.note(e) {
		t.words.Emit(e)
	}
	t.show()
}

// Close leaves what scrolled, and nothing else.
func (t *terminal) Close(error) {
	t.mu.Lock()
	t.closed = true
	t.region.draw(nil)
	stop := t.stop
	t.mu.Unlock()
	if stop != nil {
		close(stop)
		<-t.stopped
	}
}

// note keeps what is shown in place, and says whether that is all that an event is good for.
func (t *terminal) note(e event.Event) bool {
	switch e := e.(type) {
	case event.StageStarted:
		if e.Stage != event.StageTags { // that one is over at once
			t.stages = append(t.stages, liveStage{e.Stage, t.o.Now()})
		}
	case event.StageDone:
		t.stages = slices.DeleteFunc(t.stages, func(s liveStage) bool { return s.stage == e.Stage })
		t.forget(e.Stage)
	case event.RolloutProgress:
		t.workload(e)
		return true
	case event.WorkloadReady:
		t.settled(e.Resource, e.Namespace)
	case event.ObjectApplied:
		t.settled(e.Resource, e.Namespace)
	default:
		return t.noteBuild(e)
	}
	return false
}

// forget drops what a stage left.
func (t *terminal) forget(s event.Stage) {
	switch s {
	case event.StageBuild:
		t.builds = nil
	case event.StageDeploy, event.StageWait, event.StageDelete:
		t.workloads = nil
	}
}

// show draws at once where nothing is redrawn in place, and lets the next frame do it otherwise.
func (t *terminal) show() {
	switch {
	case t.closed || len(t.stages) == 0:
		t.region.draw(nil)
	case t.stop == nil:
		t.region.draw(nil)
		t.stop, t.stopped = make(chan struct{}), make(chan struct{})
		go t.redraw(t.stop, t.stopped)
	}
}

func (t *terminal) redraw(stop <-chan struct{}, stopped chan<- struct{}) {
	defer close(stopped)
	tick := time.NewTicker(frame)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			t.mu.Lock()
			if !t.closed {
				_, rows := t.region.fit()
				t.region.draw(t.lines(rows - 1))
			}
			t.mu.Unlock()
		}
	}
}
