package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/davit-dev/davit/internal/image"
	"github.com/davit-dev/davit/internal/inputs"
)

// Found is what the caches answered about an artifact.
type Found struct {
	Digest string // empty: not there
	Where  string // "Remotely", "Locally"
	// NeedsTag is set when the image is there, but not under the tag that it is to have.
	NeedsTag bool
	Why      []string
}

// Order sorts drafts into levels: what a level requires is built in the levels before it. A cycle is an error that names it, and so is
// a requirement that no artifact fulfils.
func Order(drafts []Draft) ([][]int, error) {
	index := map[string]int{}
	for i, d := range drafts {
		index[d.Image] = i
	}
	level := make([]int, len(drafts))
	var visit func(i int, path []string) error
	visit = func(i int, path []string) error {
		if at := slices.Index(path, drafts[i].Image); at >= 0 {
			return fmt.Errorf("artifacts require each other in a circle: %s: remove one of the requires", strings.Join(append(path[at:], drafts[i].Image), " → "))
		}
		if level[i] > 0 {
			return nil
		}
		deepest := 0
		for _, r := range drafts[i].Requires {
			j, there := index[r.Image]
			if !there {
				return fmt.Errorf("artifact %s requires %s, which is not an artifact here: add it, or leave out -b", drafts[i].Image, r.Image)
			}
			if err := visit(j, append(slices.Clone(path), drafts[i].Image)); err != nil {
				return err
			}
			deepest = max(deepest, level[j])
		}
		level[i] = deepest + 1
		return nil
	}
	var levels [][]int
	for i := range drafts {
		if err := visit(i, nil); err != nil {
			return nil, err
		}
		for len(levels) < level[i] {
			levels = append(levels, nil)
		}
	}
	for i := range drafts {
		levels[level[i]-1] = append(levels[level[i]-1], i)
	}
	return levels, nil
}

// Waits lists what an artifact requires and has no reference yet; refs are full references by image.
func (d Draft) Waits(refs map[string]string) []string {
	var waits []string
	for _, r := range d.Requires {
		if _, known := refs[r.Image]; !known {
			waits = append(waits, r.Image)
		}
	}
	return waits
}

// Required gives the references of what an artifact requires, by alias.
func (d Draft) Required(refs map[string]string) map[string]string {
	required := make(map[string]string, len(d.Requires))
	for _, r := range d.Requires {
		required[r.Alias] = refs[r.Image]
	}
	return required
}

// Decide says what becomes of an artifact, from what was found and what it waits for.
func Decide(d Draft, ref image.Reference, m inputs.Manifest, found Found, waits []string) Artifact {
	a := Artifact{Draft: d, Ref: ref, Inputs: m}
	switch {
	case len(waits) > 0:
		a.State = Undecided{Waits: waits}
	case found.Digest != "":
		a.State = UpToDate{Digest: found.Digest, Where: found.Where, NeedsTag: found.NeedsTag}
	default:
		a.State = Build{Why: found.Why}
	}
	return a
}

// Reference is how the cluster is told to run a built artifact: name:tag@digest.
func (a Artifact) Reference(digest string) string {
	ref := a.Ref
	ref.Digest = digest
	return ref.String()
}
