// Package report shows events: to people, with what goes on redrawn in place on a terminal and a line for each event in a pipe, and to
// programs as JSON lines.
package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
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

// Report shows what it is told until it is closed.
type Report interface {
	event.Sink

	// Close ends the report of a run that ended with err, nil for success. Showing the error to people is the caller's.
	Close(err error)
}

// Options says how to show what happens, and where.
type Options struct {
	Out io.Writer // what belongs to the run
	Err io.Writer // warnings and debug lines

	JSON       bool // one JSON object a line, all of it on Out
	Level      Level
	Colour     bool
	Heading    string // SGR code of headings, "34" for blue; empty: no colour
	Timestamps bool   // before every line; then nothing is redrawn in place

	// Screen is the size of the terminal that Out is, in columns and rows, asked for at each drawing; nil when Out is none, or one on
	// which nothing can be redrawn. With it, Err is taken to be the same terminal unless ErrElsewhere. Whoever wants to know more than
	// warnings gets lines all the same.
	Screen       func() (columns, rows int)
	ErrElsewhere bool

	Bell io.Writer // rung when everything is deployed; may be nil

	// Mute lists the stages whose details go to files below LogDir; a line says which.
	Mute   []event.Stage
	LogDir string

	Events io.WriteCloser // gets the JSON lines as well; may be nil
	Now    func() time.Time
}

// New makes a report.
func New(o Options) Report {
	var all tee
	switch {
	case o.JSON:
		all = append(all, newJSONLines(o.Out, o.Level, o.Now))
	case o.Screen != nil && !o.Timestamps && o.Level < LevelInfo:
		all = append(all, newMute(newTerminal(o), o))
	default:
		all = append(all, newMute(newPlain(o), o))
	}
	if o.Events != nil {
		events := newJSONLines(o.Events, o.Level, o.Now)
		events.file = o.Events
		all = append(all, events)
	}
	if len(all) == 1 {
		return all[0]
	}
	return all
}

// tee shows everything in several ways.
type tee []Report

func (t tee) Emit(e event.Event) {
	for _, r := range t {
		r.Emit(e)
	}
}

func (t tee) Close(err error) {
	for _, r := range t {
		r.Close(err)
	}
}
