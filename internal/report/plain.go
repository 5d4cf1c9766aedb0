package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/docker/go-units"

	"github.com/davit-dev/davit/internal/event"
)

// plain writes one line for each event, in the words that people and scripts know from Skaffold. With colour it marks
// what is good and what needs a look; the words are the same.
type plain struct {
	mu   sync.Mutex
	o    Options
	last map[string]string // last rollout message of a workload, to say each once

	colours map[string]string // of the logs of an image
}

var _ Report = (*plain)(nil)

func newPlain(o Options) *plain {
	return &plain{o: o, last: map[string]string{}, colours: map[string]string{}}
}

// Close implements Report.
func (p *plain) Close(error) {}

// Emit writes the line or lines of one event.
func (p *plain) Emit(e event.Event) {
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
	case event.BuildStep:
		p.step(e)
	case event.StepTransfer:
		p.transfer(e)
	case event.ArtifactLog:
		p.log(e)
	case event.ArtifactBuilt:
		p.line("Successfully built and tagged %s", p.green(e.Ref))
		p.line("Build [%s] succeeded in %s%s", e.Image, Seconds(e.Took), pushed(e))
	case event.ArtifactFailed:
		p.line("Build [%s] %s after %s", e.Image, p.red("failed"), Seconds(e.Took))
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
	case event.PodLog:
		p.pod(e)
	case event.PortForwarded:
		p.line("%s", p.green(fmt.Sprintf("Port forwarding %s in namespace %s, remote port %s -> http://%s", e.Resource, e.Namespace, e.Port, e.Address)))
	case event.Warning:
		p.warn(p.yellow("warning:"), e.Message)
	case event.Note:
		p.line("%s", e.Message)
	case event.Info:
		if p.o.Level >= LevelInfo {
			p.warn("info:", e.Message)
		}
	case event.Debug:
		if p.o.Level >= LevelDebug {
			p.warn("debug:", e.Message)
		}
	}
}

func (p *plain) started(s event.Stage) {
	if h := heading(s); h != "" {
		p.line("%s", p.paint(p.o.Heading, h+"..."))
	}
}

func heading(s event.Stage) string {
	switch s {
	case event.StageTags:
		return "Generating tags"
	case event.StageCache:
		return "Checking cache"
	case event.StageBuild:
		return "Starting build"
	case event.StageTest:
		return "Starting test"
	case event.StageLoad:
		return "Loading images into cluster nodes"
	case event.StageRender:
		return "Starting render"
	case event.StageDeploy:
		return "Starting deploy"
	case event.StageWait:
		return "Waiting for deployments to stabilize"
	case event.StageDelete:
		return "Cleaning up"
	}
	return ""
}

func (p *plain) done(e event.StageDone) {
	switch e.Stage {
	case event.StageDeploy:
		if p.o.Bell != nil {
			_, _ = io.WriteString(p.o.Bell, "\a")
		}
	case event.StageWait:
		p.line("Deployments stabilized in %s", Seconds(e.Took))
	case event.StageLoad:
		p.line("Images loaded in %s", Seconds(e.Took))
	}
}

func (p *plain) cache(e event.CacheChecked) {
	if e.Found {
		p.line(" - %s: %s", e.Image, p.green("Found "+e.Where))
		return
	}
	p.line(" - %s: %s", e.Image, p.yellow("Not found. Building"))
	for _, why := range e.Why {
		p.line("     %s", why)
	}
}

// step writes what begins and how it ended, as BuildKit's own plain progress does.
func (p *plain) step(e event.BuildStep) {
	switch e.State {
	case event.StepStarted:
		p.numbered(e.Image, e.Step, e.Name)
	case event.StepCached:
		p.numbered(e.Image, e.Step, "CACHED "+e.Name)
	case event.StepFailed:
		p.numbered(e.Image, e.Step, p.red("ERROR")+": "+e.Error)
	case event.StepCanceled:
		p.numbered(e.Image, e.Step, "CANCELED")
	case event.StepDone:
		if !internal(e.Name) { // what such a step transferred is told, and often later
			p.numbered(e.Image, e.Step, fmt.Sprintf("DONE %.1fs", e.Took.Seconds()))
		}
	}
}

// internal says whether a step is not one of the Dockerfile's.
func internal(step string) bool { return strings.HasPrefix(step, "[internal]") }

func (p *plain) transfer(e event.StepTransfer) {
	if !e.Done {
		return
	}
	amount := ""
	if e.Current > 0 {
		amount = " " + units.HumanSize(float64(e.Current))
	}
	p.numbered(e.Image, e.Step, e.What+amount+" done")
}

func (p *plain) log(e event.ArtifactLog) {
	if e.Step > 0 {
		p.numbered(e.Image, e.Step, e.Line)
		return
	}
	p.line("[%s] %s", shortName(e.Image), e.Line)
}

func (p *plain) numbered(image string, step int, text string) {
	p.line("[%s] #%d %s", shortName(image), step, text)
}

// podColours are those of the prefixes of logs, one after another for each image.
var podColours = [...]string{"36", "35", "34", "33", "32", "96", "95", "94", "93", "92"}

// pod writes a line of a container behind its prefix, in the colour of its image.
func (p *plain) pod(e event.PodLog) {
	if e.Prefix == "" {
		p.line("%s", e.Line)
		return
	}
	if _, known := p.colours[e.Image]; !known {
		p.colours[e.Image] = podColours[len(p.colours)%len(podColours)]
	}
	p.line("%s %s", p.paint(p.colours[e.Image], e.Prefix), e.Line)
}

func (p *plain) proved(e event.WorkloadProved) {
	for _, c := range e.Containers {
		runs := fmt.Sprintf("%d pods run", c.Pods)
		switch c.Pods {
		case 0:
			runs = "runs"
		case 1:
			runs = "1 pod runs"
		}
		p.line(" - %s: %s %s as built (container %s), %s", p.green(e.Resource), runs, c.Digest, c.Name, Seconds(e.Took))
	}
}

func (p *plain) verb(verb string) string {
	if verb == "unchanged" {
		return verb
	}
	return p.green(verb)
}

func (p *plain) red(s string) string    { return p.paint("31", s) }
func (p *plain) green(s string) string  { return p.paint("32", s) }
func (p *plain) yellow(s string) string { return p.paint("33", s) }

func (p *plain) paint(code, s string) string {
	if !p.o.Colour || code == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// timeFormat is that of Skaffold's --timestamps.
const timeFormat = "2006-01-02 15:04:05 "

// line drops write errors: a reader that went away must not end a deployment half-way.
func (p *plain) line(format string, args ...any) { p.write(p.o.Out, fmt.Sprintf(format, args...)) }

func (p *plain) warn(mark, message string) { p.write(p.o.Err, mark+" "+message) }

func (p *plain) write(w io.Writer, text string) {
	if p.o.Timestamps {
		stamp := p.o.Now().Format(timeFormat)
		text = stamp + strings.ReplaceAll(text, "\n", "\n"+stamp)
	}
	_, _ = io.WriteString(w, text+"\n")
}

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

func shortName(image string) string {
	return cmp.Or(image[strings.LastIndexByte(image, '/')+1:], image)
}

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
