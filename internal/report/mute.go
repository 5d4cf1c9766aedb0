package report

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/davit-dev/davit/internal/event"
)

// mute keeps the details of some stages out of a report, and writes them to files.
type mute struct {
	Report
	o Options

	mu       sync.Mutex
	deleting bool // what happens to objects is no part of a deployment
	files    map[string]*logFile
}

type logFile struct {
	*plain
	file *os.File
}

// newMute gives the report itself where nothing is muted.
func newMute(next Report, o Options) Report {
	if len(o.Mute) == 0 {
		return next
	}
	return &mute{Report: next, o: o, files: map[string]*logFile{}}
}

// Emit passes an event on, or writes it to its stage's file.
func (m *mute) Emit(e event.Event) {
	stage, name, detail := m.place(e)
	if !slices.Contains(m.o.Mute, stage) {
		m.Report.Emit(e)
		return
	}
	log, first := m.log(stage, name)
	if log == nil || !detail {
		m.Report.Emit(e)
	}
	if first {
		m.Report.Emit(event.Note{Message: " - writing logs to " + log.file.Name()})
	}
	if log != nil {
		log.Emit(e)
	}
}

// Close closes the files as well.
func (m *mute) Close(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.files {
		if l != nil {
			_ = l.file.Close()
		}
	}
	m.Report.Close(err)
}

// place says which stage an event is a part of, the name of the file that tells of it, and whether it is a detail or something that is shown
// even so.
func (m *mute) place(e event.Event) (stage event.Stage, name string, detail bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	run := m.o.Now().Format("2006-01-02_15-04-05")
	switch e := e.(type) {
	case event.StageStarted:
		m.deleting = e.Stage == event.StageDelete
		if e.Stage == event.StageBuild || m.deleting {
			return "", "", false // every artifact has its own file
		}
		return e.Stage, run, false
	case event.ArtifactStarted:
		return event.StageBuild, e.Image, false
	case event.BuildStep:
		return event.StageBuild, e.Image, true
	case event.StepTransfer:
		return event.StageBuild, e.Image, true
	case event.ArtifactLog:
		if e.Stage == "" || e.Stage == event.StageBuild {
			return event.StageBuild, e.Image, true
		}
		return e.Stage, run, true
	case event.PodLog:
		return e.Stage, run, e.Stage != ""
	case event.ObjectApplied:
		if m.deleting {
			return "", "", false
		}
		return event.StageDeploy, run, true
	case event.RolloutProgress, event.WorkloadReady:
		return event.StageWait, run, true
	}
	return "", "", false
}

// log gives the file for a stage, or for one artifact's build. A file that cannot be made mutes nothing. first says that it is new.
func (m *mute) log(stage event.Stage, name string) (l *logFile, first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := string(stage)
	if stage == event.StageBuild {
		key += "/" + name
	}
	if l, known := m.files[key]; known {
		return l, false
	}
	m.files[key] = nil
	folder := string(stage)
	if stage == event.StageWait {
		folder = "status-check"
	}
	path := filepath.Join(m.o.LogDir, folder, fileName(name)+".log")
	if os.MkdirAll(filepath.Dir(path), 0o700) != nil {
		return nil, false
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, false
	}
	o := Options{Out: file, Err: file, Level: m.o.Level, Timestamps: m.o.Timestamps, Now: m.o.Now}
	m.files[key] = &logFile{newPlain(o), file}
	return m.files[key], true
}

// fileName replaces what does not belong into a file's name.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '-'
	}, s)
}
