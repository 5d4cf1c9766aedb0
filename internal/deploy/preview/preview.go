// Package preview is what deployers say that they would do, where no cluster can be asked by dry run.
package preview

import "github.com/davit-dev/davit/internal/kube"

// Actions of an Object, beside those of a [kube.Previewed].
const (
	Orphan = "orphan" // deployed before, not in the config any more: it stays
	Prune  = "prune"  // it goes
)

// Object is one thing, and what a deployment would do with it.
type Object struct {
	Resource  string // "container/web"
	Namespace string // of Cloud Run, the project; may be empty
	Region    string // of Cloud Run
	Origin    string // where it was written; may be empty
	Action    string
	Fields    map[string]any // what it would be, as JSON knows it
	Changes   []kube.Change  // what it would differ in afterwards
	Notes     []string       // what else is worth knowing, for people
	ID        string         // of what is there; it has another one when it is made anew
}
