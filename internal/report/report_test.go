package report

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/event"
)

func fixed() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC) }

// run is a run with everything in it that happens.
func run() []event.Event {
	return []event.Event{
		event.StageStarted{Stage: event.StageTags}, event.TagMade{Image: "web", Ref: "r/web:1"},
		event.StageStarted{Stage: event.StageCache}, event.CacheChecked{Image: "api", Found: true, Where: "Remotely", Digest: "sha256:aa"},
		event.CacheChecked{Image: "web", Why: []string{"changed: main.go <&>"}}, event.StageDone{Stage: event.StageCache, Took: time.Millisecond},
		event.StageStarted{Stage: event.StageBuild}, event.ArtifactStarted{Image: "web", Where: "Docker Engine"},
		began("web", 1, "[1/2] RUN make"), event.StepTransfer{Image: "web", Step: 1, What: "sha256:1", Current: 10, Total: 2000},
		event.StepTransfer{Image: "web", Step: 1, What: "sha256:1", Current: 2000, Total: 2000, Done: true},
		event.ArtifactLog{Image: "web", Step: 1, Line: ""}, ended("web", 1, "[1/2] RUN make", event.StepDone),
		event.ArtifactLog{Image: "web", Line: "hook"},
		event.ArtifactBuilt{Image: "web", Ref: "r/web:1", Digest: "sha256:bb", Pushed: true, Took: 2500 * time.Millisecond},
		event.StageDone{Stage: event.StageBuild, Took: 3 * time.Second},
		event.StageStarted{Stage: event.StageTest}, event.ArtifactLog{Image: "web", Stage: event.StageTest, Line: "ok"}, event.StageDone{Stage: event.StageTest},
		event.StageStarted{Stage: event.StageDeploy}, event.ObjectApplied{Resource: "deployment.apps/web", Namespace: "shop", Verb: "configured"},
		event.StageDone{Stage: event.StageDeploy},
		event.StageStarted{Stage: event.StageWait}, event.RolloutProgress{Resource: "deployment.apps/web", Namespace: "shop", Pod: "web-1", Message: "pulling"},
		event.WorkloadReady{Resource: "deployment.apps/web", Namespace: "shop", Took: time.Second}, event.StageDone{Stage: event.StageWait, Took: time.Second},
		event.WorkloadProved{Resource: "deployment.apps/web", Namespace: "shop", Took: 4 * time.Second,
			Containers: []event.ProvedContainer{{Name: "web", Image: "web", Digest: "sha256:bb", Pods: 2}}},
		event.Warning{Message: "careful"}, event.Note{Message: "by the way"}, event.Info{Message: "more"}, event.Debug{Message: "details"},
	}
}

func TestEventsAsJSON(t *testing.T) {
	var out strings.Builder
	r := New(Options{Out: &out, JSON: true, Now: fixed})
	emit(r, run()...)
	r.Close(fmt.Errorf("around: %w", errors.Join(errors.New("one"), errors.New("two"))))
	want := `{"event":"stageStarted","stage":"tags"}
{"event":"tagMade","image":"web","ref":"r/web:1"}
{"event":"stageStarted","stage":"cache"}
{"event":"cacheChecked","image":"api","digest":"sha256:aa","found":true,"where":"Remotely"}
{"event":"cacheChecked","image":"web","found":false,"why":["changed: main.go <&>"]}
{"event":"stageDone","stage":"cache","seconds":0.001}
{"event":"stageStarted","stage":"build"}
{"event":"artifactStarted","image":"web","where":"Docker Engine"}
{"event":"buildStep","image":"web","step":1,"name":"[1/2] RUN make","state":"started"}
{"event":"stepTransfer","image":"web","step":1,"what":"sha256:1","bytes":2000}
{"event":"log","image":"web","step":1,"line":""}
{"event":"buildStep","image":"web","step":1,"name":"[1/2] RUN make","state":"done","seconds":2}
{"event":"log","image":"web","line":"hook"}
{"event":"artifactBuilt","image":"web","ref":"r/web:1","digest":"sha256:bb","pushed":true,"seconds":2.5}
{"event":"stageDone","stage":"build","seconds":3}
{"event":"stageStarted","stage":"test"}
{"event":"log","stage":"test","image":"web","line":"ok"}
{"event":"stageDone","stage":"test","seconds":0}
{"event":"stageStarted","stage":"deploy"}
{"event":"objectApplied","resource":"deployment.apps/web","namespace":"shop","verb":"configured"}
{"event":"stageDone","stage":"deploy","seconds":0}
{"event":"stageStarted","stage":"wait"}
{"event":"rolloutProgress","message":"pulling","resource":"deployment.apps/web","namespace":"shop","pod":"web-1"}
{"event":"workloadReady","resource":"deployment.apps/web","namespace":"shop","pending":0,"seconds":1}
{"event":"stageDone","stage":"wait","seconds":1}
{"event":"workloadProved","resource":"deployment.apps/web","namespace":"shop","containers":[{"name":"web","image":"web","digest":"sha256:bb","pods":2}],"seconds":4}
{"event":"warning","message":"careful"}
{"event":"note","message":"by the way"}
{"event":"end","ok":false,"errors":["around: one\ntwo"],"seconds":0}
`
	if got := strings.ReplaceAll(out.String(), `"time":"2026-01-02T03:04:05.678Z",`, ""); got != want {
		t.Errorf("got\n%s", got)
	}
	out.Reset()
	r = New(Options{Out: &out, JSON: true, Now: fixed, Level: LevelDebug})
	emit(r, event.Info{Message: "more"}, event.Debug{Message: "details"})
	r.Close(errors.Join(errors.New("one"), errors.New("two")))
	if got := out.String(); !strings.Contains(got, `"info","message":"more"`) || !strings.Contains(got, `"debug","message":"details"`) || !strings.Contains(got, `"ok":false,"errors":["one","two"]`) {
		t.Errorf("got\n%s", got)
	}
}

func TestHowARunEnded(t *testing.T) {
	cancelled := fmt.Errorf("building web: %w", context.Canceled)
	for want, err := range map[string]error{
		`"ok":true,"seconds":0}`:                         nil,
		`"ok":false,"errors":["interrupted"],`:           errors.Join(cancelled, cancelled),
		`"ok":false,"errors":["no such file"],"seconds"`: errors.Join(cancelled, errors.New("no such file"), errors.New("no such file")),
	} {
		var out strings.Builder
		New(Options{Out: &out, JSON: true, Now: fixed}).Close(err)
		if !strings.Contains(out.String(), want) {
			t.Errorf("%v: %s", err, out.String())
		}
	}
}

func TestEventsGoToAFileAsWell(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	r := New(Options{Out: &out, Err: &out, Now: fixed, Events: file})
	emit(r, event.Note{Message: "hello"})
	r.Close(nil)
	text, err := os.ReadFile(path)
	if err != nil || out.String() != "hello\n" || strings.Count(string(text), "\n") != 2 || !strings.Contains(string(text), `"event":"end","ok":true`) {
		t.Errorf("%q, %q, %v", out.String(), text, err)
	}
}

func TestTimestamps(t *testing.T) {
	var out strings.Builder
	r := New(Options{Out: &out, Err: &out, Now: fixed, Timestamps: true, Screen: func() (int, int) { return 80, 24 }})
	emit(r, event.StageStarted{Stage: event.StageBuild}, event.Warning{Message: "two\nlines"})
	r.Close(nil)
	want := "2026-01-02 03:04:05 Starting build...\n2026-01-02 03:04:05 warning: two\n2026-01-02 03:04:05 lines\n"
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}

func TestMutedStagesGoToFiles(t *testing.T) {
	dir := t.TempDir()
	var out strings.Builder
	r := New(Options{Out: &out, Err: &out, Now: fixed, LogDir: dir,
		Mute: []event.Stage{event.StageBuild, event.StageTest, event.StageDeploy, event.StageWait}})
	emit(r, event.ArtifactStarted{Image: "gcr.io/shop/api", Where: "Docker Engine"}, began("gcr.io/shop/api", 1, "[1/1] RUN it"))
	emit(r, run()...)
	r.Close(nil)
	stamp := "2026-01-02_03-04-05.log"
	want := `Building [gcr.io/shop/api] with Docker Engine...
 - writing logs to DIR/build/gcr.io-shop-api.log
Generating tags...
 - web -> r/web:1
Checking cache...
 - api: Found Remotely
 - web: Not found. Building
     changed: main.go <&>
Starting build...
Building [web] with Docker Engine...
 - writing logs to DIR/build/web.log
Successfully built and tagged r/web:1
Build [web] succeeded in 2.5s, pushed as sha256:bb
Starting test...
 - writing logs to DIR/test/` + stamp + `
Starting deploy...
 - writing logs to DIR/deploy/` + stamp + `
Waiting for deployments to stabilize...
 - writing logs to DIR/status-check/` + stamp + `
Deployments stabilized in 1.0s
 - deployment.apps/web: 2 pods run sha256:bb as built (container web), 4.0s
warning: careful
by the way
`
	if got := strings.ReplaceAll(out.String(), dir, "DIR"); got != want {
		t.Errorf("got\n%s", got)
	}
	for file, want := range map[string]string{
		"build/web.log":         "Building [web] with Docker Engine...\n[web] #1 [1/2] RUN make\n[web] #1 sha256:1 2kB done\n[web] #1 \n[web] #1 DONE 2.0s\n[web] hook\n",
		"test/" + stamp:         "Starting test...\n[web] ok\n",
		"deploy/" + stamp:       "Starting deploy...\n - deployment.apps/web configured\n",
		"status-check/" + stamp: "Waiting for deployments to stabilize...\n - deployment.apps/web: pulling\n - deployment.apps/web is ready.\n",
	} {
		if text, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(text) != want {
			t.Errorf("%s holds %q, %v", file, text, err)
		}
	}
}

func TestDeletingIsNeverMuted(t *testing.T) {
	var out strings.Builder
	r := New(Options{Out: &out, Err: &out, Now: fixed, LogDir: t.TempDir(), Mute: []event.Stage{event.StageDeploy}})
	emit(r, event.StageStarted{Stage: event.StageDelete}, event.ObjectApplied{Resource: "deployment.apps/web", Verb: "deleted"})
	r.Close(nil)
	if want := "Cleaning up...\n - deployment.apps/web deleted\n"; out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}

// TestLogsThatCannotBeWritten holds that nothing is lost when there is no place for the files.
func TestLogsThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	r := New(Options{Out: &out, Err: &out, Now: fixed, LogDir: file, Mute: []event.Stage{event.StageBuild}})
	emit(r, event.ArtifactLog{Image: "web", Line: "hello"})
	r.Close(nil)
	if out.String() != "[web] hello\n" {
		t.Errorf("got %q", out.String())
	}
}
