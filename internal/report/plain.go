// Package report shows events to people.
package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/davit-dev/davit/internal/event"
)

// Level says how much is shown.
type Level int

// The levels, from little to much.
const (
	LevelWarn Level = iota
	LevelInfo
	LevelDebug
)

// Plain writes one line for each event, in the words that people and scripts know from Skaffold. With colour it marks
// what is good and what needs a look; the words are the same.
type Plain struct {
	mu     sync.Mutex
	out    io.Writer // what belongs to the run
	errs   io.Writer // warnings and debug lines
	level  Level
	colour bool
	last   map[string]string // last rollout message of a workload, to say each once
}

var _ event.Sink = (*Plain)(nil)

// NewPlain shows events on out, warnings on errs.
func NewPlain(out, errs io.Writer, level Level, colour bool) *Plain {
	return &Plain{out: out, errs: errs, level: level, colour: colour, last: map[string]string{}}
}

// Emit writes the line or lines of one event.
func (p *Plain) Emit(e event.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := e.(type) {
	case event.StageStarted:
		p.started(e.Stage)
	case event.StageDone:
		p.done(e)
	case event.TagMade:
		p.line(" - %s -> %s", e.Image, e.Ref)
	case event.CacheChecked:
		p.cache(e)
	case event.ArtifactStarted:
		p.line("Building [%s] with %s...", e.Image, e.Where)
	case event.ArtifactLog:
		p.line("[%s] %s", shortName(e.Image), e.Line)
	case event.ArtifactBuilt:
		p.line("Successfully built and tagged %s", p.green(e.Ref))
		p.line("Build [%s] succeeded in %s%s", e.Image, Seconds(e.Took), pushed(e))
	case event.ObjectApplied:
		p.line(" - %s %s", e.Resource, p.verb(e.Verb))
	case event.RolloutProgress:
		if key := e.Namespace + "/" + e.Resource; p.last[key] != e.Message {
			p.last[key] = e.Message
			p.line(" - %s: %s", e.Resource, e.Message)
		}
	case event.WorkloadReady:
		p.line(" - %s is ready.%s", p.green(e.Resource), left(e.Left))
	case event.WorkloadProved:
		p.proved(e)
	case event.Warning:
		p.warn(p.paint("33", "warning:"), e.Message)
	case event.Note:
		p.line("%s", e.Message)
	case event.Debug:
		if p.level >= LevelDebug {
			p.warn("debug:", e.Message)
		}
	}
}

func (p *Plain) started(s event.Stage) {
	switch s {
	case event.StageTags:
		p.line("Generating tags...")
	case event.StageCache:
		p.line("Checking cache...")
	case event.StageBuild:
		p.line("Starting build...")
	case event.StageDeploy:
		p.line("Starting deploy...")
	case event.StageWait:
		p.line("Waiting for deployments to stabilize...")
	case event.StageDelete:
		p.line("Cleaning up...")
	}
}

func (p *Plain) done(e event.StageDone) {
	if e.Stage == event.StageWait {
		p.line("Deployments stabilized in %s", Seconds(e.Took))
	}
}

func (p *Plain) cache(e event.CacheChecked) {
	if e.Found {
		p.line(" - %s: %s", e.Image, p.green("Found "+e.Where))
		return
	}
	p.line(" - %s: %s", e.Image, p.paint("33", "Not found. Building"))
	for _, why := range e.Why {
		p.line("     %s", why)
	}
}

func (p *Plain) proved(e event.WorkloadProved) {
	for _, c := range e.Containers {
		pods := "pods run"
		if c.Pods == 1 {
			pods = "pod runs"
		}
		p.line(" - %s: %d %s %s as built (container %s), %s", p.green(e.Resource), c.Pods, pods, c.Digest, c.Name, Seconds(e.Took))
	}
}

func (p *Plain) verb(verb string) string {
	if verb == "unchanged" {
		return verb
	}
	return p.green(verb)
}

func (p *Plain) green(s string) string { return p.paint("32", s) }

func (p *Plain) paint(code, s string) string {
	if !p.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// line drops write errors: a reader that went away must not end a deployment half-way.
func (p *Plain) line(format string, args ...any) { _, _ = fmt.Fprintf(p.out, format+"\n", args...) }

func (p *Plain) warn(mark, message string) { _, _ = fmt.Fprintln(p.errs, mark, message) }

func pushed(e event.ArtifactBuilt) string {
	if e.Pushed {
		return ", pushed as " + e.Digest
	}
	return ""
}

func left(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" [%d deployment(s) still pending]", n)
}

func shortName(image string) string { return image[strings.LastIndexByte(image, '/')+1:] }

// Seconds shows a duration the way people read it: "85ms", "1.3s", "2m5s".
func Seconds(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// ParseLevel reads Skaffold's verbosity names.
func ParseLevel(s string) (Level, error) {
	names := [][]string{LevelWarn: {"panic", "fatal", "error", "warn", "warning"}, LevelInfo: {"info"}, LevelDebug: {"debug", "trace"}}
	for level, known := range names {
		if slices.Contains(known, strings.ToLower(s)) {
			return Level(level), nil
		}
	}
	return 0, fmt.Errorf("verbosity %q is not known: use debug, info, warn, error, fatal or panic", s)
}
