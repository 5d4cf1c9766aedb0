package report

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/davit-dev/davit/internal/event"
)

// jsonLines writes each event as one line of JSON. The shape is described in docs/output.md and only grows: fields are added, none is renamed
// and none changes its meaning.
type jsonLines struct {
	mu    sync.Mutex
	out   io.Writer
	file  io.Closer // closed at the end; may be nil
	level Level
	now   func() time.Time
	began time.Time
}

var _ Report = (*jsonLines)(nil)

func newJSONLines(out io.Writer, level Level, now func() time.Time) *jsonLines {
	return &jsonLines{out: out, level: level, now: now, began: now()}
}

// record is one line. Empty fields are left out.
type record struct {
	Time  string `json:"time"` // RFC 3339, UTC, to the millisecond
	Event string `json:"event"`

	Stage   event.Stage `json:"stage,omitempty"`
	Image   string      `json:"image,omitempty"`
	Ref     string      `json:"ref,omitempty"`
	Digest  string      `json:"digest,omitempty"`
	Pushed  *bool       `json:"pushed,omitempty"`
	Found   *bool       `json:"found,omitempty"`
	Where   string      `json:"where,omitempty"`
	Why     []string    `json:"why,omitempty"`
	Step    int         `json:"step,omitempty"`
	Name    string      `json:"name,omitempty"`
	State   string      `json:"state,omitempty"`
	What    string      `json:"what,omitempty"`
	Bytes   int64       `json:"bytes,omitempty"`
	Line    *string     `json:"line,omitempty"`
	Message string      `json:"message,omitempty"`

	Resource   string            `json:"resource,omitempty"`
	Namespace  string            `json:"namespace,omitempty"`
	Verb       string            `json:"verb,omitempty"`
	Pod        string            `json:"pod,omitempty"`
	Pending    *int              `json:"pending,omitempty"`
	Containers []recordContainer `json:"containers,omitempty"`

	OK      *bool    `json:"ok,omitempty"`
	Errors  []string `json:"errors,omitempty"`
	Seconds *float64 `json:"seconds,omitempty"`
}

type recordContainer struct {
	Name   string `json:"name"`
	Image  string `json:"image"`
	Digest string `json:"digest"`
	Pods   int    `json:"pods"`
}

// Emit writes an event's line.
func (l *jsonLines) Emit(e event.Event) {
	switch e.(type) {
	case event.Info:
		if l.level < LevelInfo {
			return
		}
	case event.Debug:
		if l.level < LevelDebug {
			return
		}
	}
	if t, ok := e.(event.StepTransfer); ok && !t.Done {
		return // many a second
	}
	l.write(recordOf(e))
}

// Close writes the last line, which says how the run ended.
func (l *jsonLines) Close(err error) {
	ok := err == nil
	l.write(record{Event: "end", OK: &ok, Errors: Messages(err), Seconds: seconds(l.now().Sub(l.began))})
	if l.file != nil {
		_ = l.file.Close()
	}
}

// Messages gives the text of each error that was joined into one, the same text once. What was cancelled says so only where nothing else went
// wrong.
func Messages(err error) []string {
	if err == nil {
		return nil
	}
	var all []string
	cancelled := false
	for _, e := range flatten(err) {
		if errors.Is(e, context.Canceled) {
			cancelled = true
			continue
		}
		if text := e.Error(); !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	if cancelled && len(all) == 0 {
		return []string{"interrupted"}
	}
	return all
}

func flatten(err error) []error {
	joined, many := err.(interface{ Unwrap() []error }) // what wraps a join has words of its own
	if !many {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flatten(e)...)
	}
	return all
}

func (l *jsonLines) write(r record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Time = l.now().UTC().Format("2006-01-02T15:04:05.000Z07:00")
	// A reader that went away must not end a deployment half-way, and a record can always be encoded.
	encoder := json.NewEncoder(l.out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(r)
}

func seconds(d time.Duration) *float64 { return new(d.Round(time.Millisecond).Seconds()) }

func recordOf(e event.Event) record {
	switch e := e.(type) {
	case event.StageStarted:
		return record{Event: "stageStarted", Stage: e.Stage}
	case event.StageDone:
		return record{Event: "stageDone", Stage: e.Stage, Seconds: seconds(e.Took)}
	case event.ObjectApplied:
		return record{Event: "objectApplied", Resource: e.Resource, Namespace: e.Namespace, Verb: e.Verb}
	case event.RolloutProgress:
		return record{Event: "rolloutProgress", Resource: e.Resource, Namespace: e.Namespace, Pod: e.Pod, Message: e.Message}
	case event.WorkloadReady:
		return record{Event: "workloadReady", Resource: e.Resource, Namespace: e.Namespace, Pending: &e.Left, Seconds: seconds(e.Took)}
	case event.WorkloadProved:
		r := record{Event: "workloadProved", Resource: e.Resource, Namespace: e.Namespace, Seconds: seconds(e.Took)}
		for _, c := range e.Containers {
			r.Containers = append(r.Containers, recordContainer(c))
		}
		return r
	case event.PodLog:
		return record{Event: "podLog", Namespace: e.Namespace, Pod: e.Pod, Name: e.Container, Image: e.Image, Stage: e.Stage, Line: &e.Line}
	case event.PortForwarded:
		return record{Event: "portForwarded", Resource: e.Resource, Namespace: e.Namespace, Name: e.Port, Where: e.Address, Pod: e.Pod}
	case event.Warning:
		return record{Event: "warning", Message: e.Message}
	case event.Note:
		return record{Event: "note", Message: e.Message}
	case event.Info:
		return record{Event: "info", Message: e.Message}
	case event.Debug:
		return record{Event: "debug", Message: e.Message}
	}
	return recordOfArtifact(e)
}

func recordOfArtifact(e event.Event) record {
	switch e := e.(type) {
	case event.TagMade:
		return record{Event: "tagMade", Image: e.Image, Ref: e.Ref}
	case event.CacheChecked:
		return record{Event: "cacheChecked", Image: e.Image, Found: &e.Found, Where: e.Where, Digest: e.Digest, Why: e.Why}
	case event.ArtifactStarted:
		return record{Event: "artifactStarted", Image: e.Image, Where: e.Where}
	case event.BuildStep:
		r := record{Event: "buildStep", Image: e.Image, Step: e.Step, Name: e.Name, State: string(e.State), Message: e.Error}
		if e.State != event.StepStarted {
			r.Seconds = seconds(e.Took)
		}
		return r
	case event.StepTransfer:
		return record{Event: "stepTransfer", Image: e.Image, Step: e.Step, What: e.What, Bytes: e.Current}
	case event.ArtifactLog:
		return record{Event: "log", Image: e.Image, Step: e.Step, Stage: e.Stage, Line: &e.Line}
	case event.ArtifactBuilt:
		return record{Event: "artifactBuilt", Image: e.Image, Ref: e.Ref, Digest: e.Digest, Pushed: &e.Pushed, Seconds: seconds(e.Took)}
	case event.ArtifactFailed:
		return record{Event: "artifactFailed", Image: e.Image, Message: e.Error, Seconds: seconds(e.Took)}
	}
	return record{Event: "unknown"}
}
