package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"

	"github.com/davit-dev/davit/internal/event"
)

// liveStage is a stage that goes on.
type liveStage struct {
	stage event.Stage
	began time.Time
}

func (s liveStage) doing() string {
	switch s.stage {
	case event.StageCache:
		return "Looking for images"
	case event.StageBuild:
		return "Building"
	case event.StageTest:
		return "Testing"
	case event.StageLoad:
		return "Loading images"
	case event.StageRender:
		return "Rendering"
	case event.StageDeploy:
		return "Deploying"
	case event.StageWait:
		return "Waiting"
	case event.StageDelete:
		return "Deleting"
	}
	return string(s.stage)
}

// liveBuild is an artifact that is being built.
type liveBuild struct {
	image, where string
	began        time.Time
	steps        []*liveStep
	log          []string // what it printed outside of its steps: hooks, pushes, builders that tell no steps
}

// liveStep is a step that has begun.
type liveStep struct {
	number int
	name   string
	state  event.StepState
	began  time.Time
	took   time.Duration
	moves  map[string]event.StepTransfer
	log    []string // the last lines, up to keptLog
}

// keptLog bounds what is kept of a step's output, to be shown in full should it fail.
const keptLog = 1000

// liveWorkload is what is waited for.
type liveWorkload struct {
	resource, namespace string
	message             string
	began               time.Time
}

func (w *liveWorkload) is(resource, namespace string) bool {
	return w.resource == resource && w.namespace == namespace
}

func (t *terminal) workload(e event.RolloutProgress) {
	at := slices.IndexFunc(t.workloads, func(w *liveWorkload) bool { return w.is(e.Resource, e.Namespace) })
	if at < 0 {
		at = len(t.workloads)
		t.workloads = append(t.workloads, &liveWorkload{resource: e.Resource, namespace: e.Namespace, began: t.o.Now()})
	}
	t.workloads[at].message = e.Message
}

func (t *terminal) settled(resource, namespace string) {
	t.workloads = slices.DeleteFunc(t.workloads, func(w *liveWorkload) bool { return w.is(resource, namespace) })
}

// noteBuild keeps what is shown of builds, and says whether that is all that an event is good for.
func (t *terminal) noteBuild(e event.Event) bool {
	switch e := e.(type) {
	case event.ArtifactStarted:
		t.builds = append(t.builds, &liveBuild{image: e.Image, where: e.Where, began: t.o.Now()})
		return true
	case event.BuildStep:
		t.step(e)
		return true
	case event.StepTransfer:
		if s := t.find(e.Image, e.Step); s != nil {
			s.moves[e.What] = e
		}
		return true
	case event.ArtifactLog:
		return t.log(e)
	case event.ArtifactBuilt:
		t.built(e)
		return true
	case event.ArtifactFailed:
		t.failed(e)
	}
	return false
}

func (t *terminal) build(image string) *liveBuild {
	for _, b := range t.builds {
		if b.image == image {
			return b
		}
	}
	return nil
}

func (t *terminal) find(image string, step int) *liveStep {
	if b := t.build(image); b != nil {
		return b.find(step)
	}
	return nil
}

func (b *liveBuild) find(step int) *liveStep {
	for _, s := range b.steps {
		if s.number == step {
			return s
		}
	}
	return nil
}

// log keeps a line of a build. A test's, and what comes after the build, is shown as it comes.
func (t *terminal) log(e event.ArtifactLog) bool {
	b := t.build(e.Image)
	if b == nil || e.Stage != "" && e.Stage != event.StageBuild {
		return false
	}
	log := &b.log
	if s := b.find(e.Step); s != nil {
		log = &s.log
	}
	if *log = append(*log, e.Line); len(*log) > keptLog {
		*log = (*log)[1:]
	}
	return true
}

func (t *terminal) drop(image string) *liveBuild {
	b := t.build(image)
	t.builds = slices.DeleteFunc(t.builds, func(other *liveBuild) bool { return other == b })
	return b
}

func (t *terminal) step(e event.BuildStep) {
	b := t.build(e.Image)
	if b == nil {
		return
	}
	s := t.find(e.Image, e.Step)
	if s == nil {
		// BuildKit tells a step that several builds share once for each of them.
		b.steps = slices.DeleteFunc(b.steps, func(o *liveStep) bool { return o.state != event.StepStarted && o.instruction() == instruction(e.Name) })
		s = &liveStep{number: e.Step, name: e.Name, began: t.o.Now(), moves: map[string]event.StepTransfer{}}
		b.steps = append(b.steps, s)
	}
	s.state, s.took = e.State, e.Took
}

// failed scrolls up what a build that failed printed outside of its steps, and what the step printed that failed; less the last lines where the
// error repeats them.
func (t *terminal) failed(e event.ArtifactFailed) {
	b := t.drop(e.Image)
	if b == nil {
		return
	}
	repeated := func(l string) bool { return strings.Contains(e.Error, strings.TrimSpace(l)) }
	for _, l := range withoutTail(b.log, repeated) {
		t.words.line("[%s] %s", shortName(b.image), l)
	}
	for _, s := range b.steps {
		if s.state != event.StepFailed {
			continue
		}
		lines := withoutTail(s.log, repeated)
		if len(lines) > 0 {
			t.words.numbered(b.image, s.number, s.name)
		}
		for _, l := range lines {
			t.words.numbered(b.image, s.number, l)
		}
	}
}

// withoutTail leaves out the last lines for which drop is true.
func withoutTail(lines []string, drop func(string) bool) []string {
	n := len(lines)
	for n > 0 && drop(lines[n-1]) {
		n--
	}
	return lines[:n]
}

// shortDigest is as much of a digest as people look at: "sha256:" and twelve digits.
const shortDigest = 19

// built makes one line of a build.
func (t *terminal) built(e event.ArtifactBuilt) {
	e.Digest = e.Digest[:min(len(e.Digest), shortDigest)]
	of := ""
	if b := t.drop(e.Image); b != nil {
		of = b.cached()
	}
	t.words.line("Build [%s] %s in %s%s -> %s%s", e.Image, t.words.green("succeeded"), Seconds(e.Took), of, e.Ref, pushed(e))
}

// cached says how many of the Dockerfile's steps were not run.
func (b *liveBuild) cached() string {
	steps, cached := 0, 0
	for _, s := range b.steps {
		switch {
		case internal(s.name) || !strings.HasPrefix(s.name, "["):
		case s.state == event.StepCached:
			cached++
			fallthrough
		default:
			steps++
		}
	}
	if cached == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d of %d steps cached)", cached, steps)
}

// lines are what is shown in place, in so many rows.
func (t *terminal) lines(rows int) []line {
	var all []line
	now := t.o.Now()
	for _, s := range t.stages {
		all = append(all, line{text: s.doing(), right: clock(now.Sub(s.began)), code: t.code(t.o.Heading)})
	}
	for i, b := range t.builds {
		if len(all) == rows-1 && len(t.builds) > i+1 {
			return append(all, line{text: fmt.Sprintf("and %d more builds", len(t.builds)-i)})
		}
		all = append(all, t.buildLines(b, now, (rows-len(all)-(len(t.builds)-i))/(len(t.builds)-i))...)
	}
	for i, w := range t.workloads {
		if len(all) == rows-1 && len(t.workloads) > i+1 {
			return append(all, line{text: fmt.Sprintf("and %d more that are not ready", len(t.workloads)-i)})
		}
		all = append(all, line{text: " - " + w.resource + ": " + w.message, right: clock(now.Sub(w.began))})
	}
	return all
}

// mostSteps is how many rows a build gets for its steps where there is room.
const mostSteps = 8

// buildLines are those of one build: its name, and in up to so many rows more its steps.
func (t *terminal) buildLines(b *liveBuild, now time.Time, rows int) []line {
	head := line{text: "[" + shortName(b.image) + "]", right: clock(now.Sub(b.began)), code: t.code("1")}
	switch last := b.last(); {
	case last == nil && b.where != "":
		head.text += " with " + b.where
	case last != nil && rows <= 0:
		head.text += " " + last.text()
	}
	if rows <= 0 {
		return []line{head}
	}
	rows = min(rows, mostSteps)
	all := []line{head}
	for _, s := range b.pick(rows) {
		all = append(all, t.stepLine(s, now))
	}
	for _, l := range b.tail(min(rows-len(all)+1, 3)) {
		all = append(all, line{text: "    " + l, code: t.code("2")})
	}
	return all
}

// tail is the last lines of the step that runs, or of what is outside of steps.
func (b *liveBuild) tail(n int) []string {
	log := b.log
	if s := b.last(); s != nil && s.state == event.StepStarted {
		log = s.log
	}
	return log[max(0, len(log)-max(n, 0)):]
}

func (t *terminal) stepLine(s *liveStep, now time.Time) line {
	l := line{text: " => " + s.text()}
	switch s.state {
	case event.StepStarted:
		l.right = clock(now.Sub(s.began))
	case event.StepFailed:
		l.right, l.code = clock(s.took), t.code("31")
	case event.StepCached:
		l.code = t.code("36")
	default:
		l.right, l.code = clock(s.took), t.code("36")
	}
	return l
}

func (t *terminal) code(sgr string) string {
	if t.o.Colour {
		return sgr
	}
	return ""
}

// last is the running step that began last, or the step that began last where none runs.
func (b *liveBuild) last() *liveStep {
	for _, s := range slices.Backward(b.steps) {
		if s.state == event.StepStarted {
			return s
		}
	}
	if len(b.steps) == 0 {
		return nil
	}
	return b.steps[len(b.steps)-1]
}

// pick chooses so many steps in the order of their beginnings: first what runs, then what failed or ended last.
func (b *liveBuild) pick(n int) []*liveStep {
	chosen := map[*liveStep]bool{}
	for _, want := range []func(*liveStep) bool{
		func(s *liveStep) bool { return s.state == event.StepStarted },
		func(s *liveStep) bool { return !internal(s.name) },
	} {
		for _, s := range slices.Backward(b.steps) {
			if len(chosen) < n && want(s) {
				chosen[s] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(b.steps), func(s *liveStep) bool { return !chosen[s] })
}

func (s *liveStep) instruction() string { return instruction(s.name) }

// instruction is the name of a step without its place, "RUN make" of "[web 2/5] RUN make".
func instruction(step string) string {
	if _, after, found := strings.Cut(step, "] "); found && strings.HasPrefix(step, "[") && !internal(step) {
		return after
	}
	return step
}

// text is the step's name with what can be said of it.
func (s *liveStep) text() string {
	name := strings.Join(strings.Fields(s.name), " ")
	switch s.state {
	case event.StepCached:
		return "CACHED " + name
	case event.StepFailed:
		return "ERROR " + name
	case event.StepCanceled:
		return "CANCELED " + name
	case event.StepDone:
		return name
	}
	var current, total int64
	for _, m := range s.moves {
		current += m.Current
		total += max(m.Total, m.Current)
	}
	switch {
	case current == 0:
		return name
	case total > current:
		return name + " " + units.HumanSize(float64(current)) + " / " + units.HumanSize(float64(total))
	}
	return name + " " + units.HumanSize(float64(current))
}

// clock shows how long something takes, in tenths so that it moves.
func clock(d time.Duration) string {
	d = max(d, 0)
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return fmt.Sprintf("%dm%04.1fs", int(d.Minutes()), (d % time.Minute).Seconds())
}
