package plan

import (
	"fmt"
	"strings"
)

// DocumentVersion is the version of Document's shape. Fields may be added without a new one.
const DocumentVersion = 1

// Document is a plan for programs: what `davit plan --output json` prints. A run carries out the artifacts and the objects in their order.
type Document struct {
	Version   int               `json:"version"`
	Todo      bool              `json:"todo"` // whether a run would do anything
	Cluster   *Cluster          `json:"cluster,omitempty"`
	Engine    *Engine           `json:"engine,omitempty"`
	Preflight *Preflight        `json:"preflight,omitempty"`
	Artifacts []PlannedArtifact `json:"artifacts"`
	Objects   []PlannedObject   `json:"objects"`
}

// Cluster is where the objects go.
type Cluster struct {
	Context string `json:"context,omitempty"`
	Server  string `json:"server"`
}

// Engine is the Docker Engine in which containers run.
type Engine struct {
	Address string `json:"address"` // "unix:///var/run/docker.sock"
	ID      string `json:"id"`      // which no other has
}

// Preflight is whether the cluster would let the deployment in.
type Preflight struct {
	Version    string            `json:"version"`              // of the API server, "v1.34.4"
	Namespaces map[string]string `json:"namespaces,omitempty"` // "exists", "created", "missing", "terminating" or "unknown", by name
	Findings   []Finding         `json:"findings,omitempty"`   // what stands in the way; none: nothing
}

// Finding is one thing that stands in the way. Fatal ones end the deployment; without what the others ask for, something is left out.
type Finding struct {
	Message string `json:"message"`
	Fatal   bool   `json:"fatal"`
}

// Actions of a planned artifact.
const (
	ArtifactBuild     = "build"
	ArtifactTag       = "tag"       // it exists, and gets the reference as another name
	ArtifactUnchanged = "unchanged" // it exists
	ArtifactUndecided = "undecided" // it requires one that is to be built: whether it is built as well shows then
)

// PlannedArtifact is what becomes of one image.
type PlannedArtifact struct {
	Image     string   `json:"image"` // as in the config
	Action    string   `json:"action"`
	Why       []string `json:"why,omitempty"`
	Reference string   `json:"reference"` // name:tag
	Push      bool     `json:"push"`      // to the registry; otherwise it is in the Docker Engine
	Digest    string   `json:"digest,omitempty"`
	Platforms []string `json:"platforms,omitempty"`
	Requires  []string `json:"requires,omitempty"`
	Inputs    string   `json:"inputs,omitempty"` // names what the image is made of: another one when anything of that changes
}

// Actions of a planned object.
const (
	ObjectCreate    = "create"
	ObjectChange    = "change"
	ObjectReplace   = "replace" // delete and create anew
	ObjectUnchanged = "unchanged"
	ObjectFail      = "fail"   // the cluster refuses it
	ObjectOrphan    = "orphan" // deployed before, not in the config any more: it stays
	ObjectPrune     = "prune"  // deployed before, not in the config any more: it goes
)

// Places of planned objects, beside the cluster that davit applies them to.
const (
	PlaceKpt      = "kpt" // the same cluster, but kpt applies them
	PlaceDocker   = "docker"
	PlaceCloudRun = "cloudrun"
)

// PlannedObject is what becomes of one object of the cluster, or of what is deployed elsewhere.
type PlannedObject struct {
	Resource  string        `json:"resource"`            // "deployment.apps/web", "container/web"
	Namespace string        `json:"namespace,omitempty"` // in Cloud Run, the project
	Place     string        `json:"place,omitempty"`
	Region    string        `json:"region,omitempty"` // of Cloud Run
	Set       string        `json:"set,omitempty"`    // the inventory that it belongs to
	Origin    string        `json:"origin,omitempty"` // "k8s/web.yaml:1"
	Action    string        `json:"action"`
	Changes   []FieldChange `json:"changes,omitempty"` // values of Secrets are hidden
	Notes     []string      `json:"notes,omitempty"`
	Error     string        `json:"error,omitempty"`

	Fingerprint string `json:"fingerprint,omitempty"` // of what is applied, without the values of Secrets
	UID         string `json:"uid,omitempty"`         // of the object that is there
	LiveVersion string `json:"liveVersion,omitempty"` // resourceVersion of a Secret that is there

	// Object is what is applied, with the values of a Secret hidden.
	Object map[string]any `json:"-"`
}

// FieldChange is one value that is set, changed or removed; Before and After are JSON values, nil where there is none.
type FieldChange struct {
	Path   string `json:"path"` // "spec.template.spec.containers[web].image"
	Before any    `json:"before,omitempty"`
	After  any    `json:"after,omitempty"`
}

// Refused lists the objects that the cluster refuses.
func (d Document) Refused() []PlannedObject {
	var refused []PlannedObject
	for _, o := range d.Objects {
		if o.Action == ObjectFail {
			refused = append(refused, o)
		}
	}
	return refused
}

// NewDocument puts a plan together.
func NewDocument(cluster *Cluster, artifacts []PlannedArtifact, objects []PlannedObject) Document {
	d := Document{Version: DocumentVersion, Cluster: cluster, Artifacts: artifacts, Objects: objects}
	for _, a := range artifacts {
		d.Todo = d.Todo || a.Action != ArtifactUnchanged
	}
	for _, o := range objects {
		d.Todo = d.Todo || o.Action != ObjectUnchanged && o.Action != ObjectOrphan
	}
	if d.Artifacts == nil {
		d.Artifacts = []PlannedArtifact{}
	}
	if d.Objects == nil {
		d.Objects = []PlannedObject{}
	}
	return d
}

// Planned says for programs what becomes of an artifact. inputs names what it is made of.
func (a Artifact) Planned(inputs string) PlannedArtifact {
	p := PlannedArtifact{Image: a.Image, Reference: a.Ref.String(), Push: a.Push, Platforms: a.Platforms, Inputs: inputs}
	for _, r := range a.Requires {
		p.Requires = append(p.Requires, r.Image)
	}
	switch s := a.State.(type) {
	case UpToDate:
		p.Action, p.Digest = ArtifactUnchanged, s.Digest
		if s.NeedsTag {
			p.Action = ArtifactTag
		}
	case Build:
		p.Action, p.Why = ArtifactBuild, s.Why
	case Undecided:
		p.Action, p.Why = ArtifactUndecided, []string{"it requires " + strings.Join(s.Waits, ", ")}
	}
	return p
}

// ToBeBuilt stands for the digest of an image that is not built yet.
const ToBeBuilt = "(to be built)"

// Standin is a digest of the right form for an image that is not built yet, by its place in the plan. No image has it.
func Standin(artifact int) string { return fmt.Sprintf("sha256:da417%059x", artifact) }
