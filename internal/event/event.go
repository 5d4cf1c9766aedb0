// Package event says what happened during a run. Event is one sum type; stages emit events to a Sink and never print,
// and whoever shows something (the terminal, JSON lines, a test) reads them.
package event

import "time"

// Sink receives events. It is called from many goroutines at once and must not block for long.
type Sink interface {
	Emit(Event)
}

// SinkFunc makes a Sink of a function.
type SinkFunc func(Event)

// Emit calls f.
func (f SinkFunc) Emit(e Event) { f(e) }

// Event is one thing that happened. The set of events is closed: see the types of this package.
type Event interface{ event() }

// Stage names a part of a run.
type Stage string

// The stages of a run, in their order.
const (
	StageTags   Stage = "tags"
	StageCache  Stage = "cache"
	StageBuild  Stage = "build"
	StageTest   Stage = "test"
	StageLoad   Stage = "load" // built images into a local cluster
	StageRender Stage = "render"
	StageDeploy Stage = "deploy"
	StageWait   Stage = "wait"
	StageDelete Stage = "delete"
)

// StepState says what became of a step of a build.
type StepState string

// The states of a step. Each step starts, and ends in one of the others; one that was cached may end at once.
const (
	StepStarted  StepState = "started"
	StepCached   StepState = "cached"
	StepDone     StepState = "done"
	StepFailed   StepState = "failed"
	StepCanceled StepState = "canceled"
)

// LastLines is how many of a failed step's last lines its error repeats.
const LastLines = 20

type (
	// StageStarted opens a stage.
	StageStarted struct{ Stage Stage }

	// StageDone closes a stage that succeeded. Quiet stages did nothing worth a line.
	StageDone struct {
		Stage Stage
		Took  time.Duration
	}

	// TagMade says which reference an artifact gets: Image as in the config, Ref as name:tag.
	TagMade struct{ Image, Ref string }

	// CacheChecked says whether an artifact is up to date and, when it is not, why: short phrases, never values that may
	// be secret. Where says in which place the image was found ("registry", "docker engine").
	CacheChecked struct {
		Image  string
		Found  bool
		Where  string
		Digest string
		Why    []string
	}

	// ArtifactStarted opens the build of one artifact; Where names the builder ("Docker Engine", "buildkitd at ...").
	ArtifactStarted struct{ Image, Where string }

	// BuildStep is the beginning or the end of one step of a build. Step counts from 1 within the artifact, in the order of the beginnings.
	BuildStep struct {
		Image string
		Step  int
		Name  string // "[2/5] RUN make"
		State StepState
		Error string        // of a failed step
		Took  time.Duration // 0 at the beginning
	}

	// StepTransfer says how far a step is with one thing that it moves or makes: What is "sha256:..." or "exporting layers". Bytes; Total
	// is 0 when it is not known.
	StepTransfer struct {
		Image          string
		Step           int
		What           string
		Current, Total int64
		Done           bool
	}

	// ArtifactLog is one line (without its newline) of what a build, a hook or a test of an artifact printed.
	ArtifactLog struct {
		Image, Line string
		Step        int   // of the build; 0 for what is no step of it
		Stage       Stage // empty: the build
	}

	// ArtifactBuilt closes the build of one artifact. Ref is name:tag, Digest is "sha256:..." of the manifest or index.
	ArtifactBuilt struct {
		Image, Ref, Digest string
		Pushed             bool
		Took               time.Duration
	}

	// ArtifactFailed closes the build of one artifact that came to nothing. The error itself is what the run ends with.
	ArtifactFailed struct {
		Image, Error string
		Took         time.Duration
	}

	// ObjectApplied says what became of one object: Verb is created, configured, unchanged, replaced or deleted.
	// Resource is as kubectl prints it, "deployment.apps/web".
	ObjectApplied struct {
		Resource, Namespace, Verb string
	}

	// RolloutProgress is a passing state of one workload, or of one of its pods (Pod is its name), for people who wait.
	RolloutProgress struct {
		Resource, Namespace, Message string
		Pod                          string
	}

	// WorkloadReady says that a workload is rolled out.
	WorkloadReady struct {
		Resource, Namespace string
		Took                time.Duration
		Left                int // workloads not yet ready
	}

	// WorkloadProved says that every running container of a workload runs what was built.
	WorkloadProved struct {
		Resource, Namespace string
		Containers          []ProvedContainer
		Took                time.Duration // from the first object applied to the proof
	}

	// PodLog is one line (without its newline) that a container, or a hook in it, printed.
	PodLog struct {
		Namespace, Pod, Container string
		Image                     string // of the container, as in its pod's spec; empty for a hook
		Prefix                    string // what is shown before it, "[pod container]"; may be empty
		Line                      string
		Stage                     Stage // of a hook; empty: after the deployment
	}

	// PortForwarded says that a port of the cluster can be reached on this machine.
	PortForwarded struct {
		Resource, Namespace string // "service/web"
		Port                string // of the resource: number or name
		Address             string // "127.0.0.1:8080"
		Pod                 string // behind it
	}

	// Warning is something a person should know that is not a failure.
	Warning struct{ Message string }

	// Note is something worth a line in the plain output.
	Note struct{ Message string }

	// Info is shown with -v info and -v debug only.
	Info struct{ Message string }

	// Debug is shown with -v debug only.
	Debug struct{ Message string }
)

// ProvedContainer is one container name of a workload: in how many pods it runs, none for a container of a Docker Engine, and the digest that was found running.
type ProvedContainer struct {
	Name   string
	Image  string // as in the config
	Digest string
	Pods   int
}

func (StageStarted) event()    {}
func (StageDone) event()       {}
func (TagMade) event()         {}
func (CacheChecked) event()    {}
func (ArtifactStarted) event() {}
func (BuildStep) event()       {}
func (StepTransfer) event()    {}
func (ArtifactLog) event()     {}
func (ArtifactBuilt) event()   {}
func (ArtifactFailed) event()  {}
func (ObjectApplied) event()   {}
func (RolloutProgress) event() {}
func (WorkloadReady) event()   {}
func (WorkloadProved) event()  {}
func (PodLog) event()          {}
func (PortForwarded) event()   {}
func (Warning) event()         {}
func (Note) event()            {}
func (Info) event()            {}
func (Debug) event()           {}
