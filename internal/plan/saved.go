package plan

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Saved is a plan in a file: what a later run compares with the plan that it makes itself.
type Saved struct {
	Document
	Flags   map[string][]string `json:"flags"`   // that decide about the plan, as they were given
	Configs map[string]string   `json:"configs"` // what each config says: a digest by its name for people
	Secrets Seal                `json:"secrets"`
}

// ReadSaved reads a saved plan.
func ReadSaved(r io.Reader) (Saved, error) {
	var s Saved
	dec := json.NewDecoder(r)
	dec.UseNumber() // so that it is written again as it was
	if err := dec.Decode(&s); err != nil {
		return s, fmt.Errorf("it is no plan: %w", err)
	}
	if s.Version != DocumentVersion || s.Configs == nil {
		return s, errors.New("it is no plan that this davit can run: make one with davit plan --save FILE")
	}
	return s, nil
}

// Write writes a plan for ReadSaved.
func (s Saved) Write(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(s)
}

// Seal is a digest of texts that must not be guessed from it: salted, and slow to make.
type Seal struct {
	Salt []byte `json:"salt,omitempty"`
	Sum  []byte `json:"sum,omitempty"`
}

// NewSeal seals a text; an empty one needs none.
func NewSeal(text []byte) Seal {
	if len(text) == 0 {
		return Seal{}
	}
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails, says its documentation
	return Seal{Salt: salt, Sum: sealed(text, salt)}
}

// Holds says whether a text is the one that was sealed.
func (s Seal) Holds(text []byte) bool {
	if len(s.Sum) == 0 {
		return len(text) == 0
	}
	return hmac.Equal(sealed(text, s.Salt), s.Sum)
}

// sealed uses Argon2id (RFC 9106) with 19 MiB and two passes, the least that OWASP recommends for passwords.
func sealed(text, salt []byte) []byte { return argon2.IDKey(text, salt, 2, 19<<10, 1, 32) }

// Tags are the tags that a plan gives, by image; none without a plan.
func (s *Saved) Tags() map[string]string {
	if s == nil {
		return nil
	}
	tags := make(map[string]string, len(s.Artifacts))
	for _, a := range s.Artifacts {
		if i := strings.LastIndexByte(a.Reference, ':'); i > strings.LastIndexByte(a.Reference, '/') {
			tags[a.Image] = a.Reference[i+1:]
		}
	}
	return tags
}

// Moved says in what the world differs from the one that the plan was made for: short phrases, none when nothing does. now is the plan as it would be made
// now, secrets what its Secrets hold, and the values of its releases.
func (s Saved) Moved(now Saved, secrets []byte) []string {
	var moved []string
	say := func(format string, args ...any) { moved = append(moved, fmt.Sprintf(format, args...)) }
	for _, name := range allKeys(s.Configs, now.Configs) {
		was, planned := s.Configs[name]
		is, there := now.Configs[name]
		switch {
		case !there:
			say("the config %s is gone", name)
		case !planned:
			say("the config %s is new", name)
		case was != is:
			say("the config %s changed", name)
		}
	}
	if was, is := s.server(), now.server(); was != is {
		say("the cluster was %s and is %s", cmpEmpty(was), cmpEmpty(is))
	}
	if was, is := s.engine(), now.engine(); was != is {
		say("the Docker Engine was %s and is %s", cmpEmpty(was), cmpEmpty(is))
	}
	moved = append(moved, pairs(s.Artifacts, now.Artifacts, "artifact ", func(a PlannedArtifact) string { return a.Image }, movedArtifact)...)
	moved = append(moved, pairs(s.Objects, now.Objects, "", func(o PlannedObject) string { return nameOf(o) }, movedObject)...)
	if !s.Secrets.Holds(secrets) {
		say("the values in Secrets, or those of releases, changed")
	}
	return moved
}

func (s Saved) server() string {
	if s.Cluster == nil {
		return ""
	}
	return s.Cluster.Server
}

func (s Saved) engine() string {
	if s.Engine == nil {
		return ""
	}
	return s.Engine.Address + " (" + s.Engine.ID + ")"
}

func cmpEmpty(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func allKeys[V any](a, b map[string]V) []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}

// pairs compares what has the same name in both.
func pairs[T any](was, is []T, kind string, name func(T) string, differ func(was, is T) string) []string {
	before, after := byName(was, name), byName(is, name)
	var moved []string
	for _, n := range allKeys(before, after) {
		b, planned := before[n]
		a, there := after[n]
		switch {
		case !there:
			moved = append(moved, kind+n+" is gone")
		case !planned:
			moved = append(moved, kind+n+" is new")
		default:
			if what := differ(b, a); what != "" {
				moved = append(moved, kind+n+": "+what)
			}
		}
	}
	return moved
}

func byName[T any](all []T, name func(T) string) map[string]T {
	named := make(map[string]T, len(all))
	for _, t := range all {
		named[name(t)] = t
	}
	return named
}

func nameOf(o PlannedObject) string {
	switch name := o.Resource; {
	case o.Place == PlaceDocker:
		return name + " in the Docker Engine"
	case o.Place == PlaceCloudRun:
		return name + " in project " + o.Namespace + ", " + o.Region
	case o.Namespace == "":
		return name
	default:
		return name + " in namespace " + o.Namespace
	}
}

func movedArtifact(was, is PlannedArtifact) string {
	switch {
	case was.Action != is.Action && was.Action == ArtifactUndecided: // what it stands on is part of its inputs by now
		return fmt.Sprintf("the plan says %s, and now it would be %s", was.Action, is.Action)
	case was.Inputs != is.Inputs:
		if now := slices.DeleteFunc(slices.Clone(is.Why), func(why string) bool { return slices.Contains(was.Why, why) }); len(now) > 0 {
			return "its inputs changed: " + strings.Join(now, "; ")
		}
		return "its inputs changed"
	case was.Reference != is.Reference:
		return fmt.Sprintf("it was to be %s and would be %s", was.Reference, is.Reference)
	case was.Push != is.Push:
		return "whether it is pushed changed"
	case was.Action != is.Action:
		return fmt.Sprintf("the plan says %s, and now it would be %s", was.Action, is.Action)
	case was.Digest != is.Digest:
		return fmt.Sprintf("the image was %s and is %s", was.Digest, is.Digest)
	case !slices.Equal(was.Platforms, is.Platforms):
		return "its platforms changed"
	}
	return ""
}

func movedObject(was, is PlannedObject) string {
	switch {
	case was.Action != is.Action:
		return fmt.Sprintf("the plan says %s, and now it would be %s", was.Action, is.Action)
	case was.Fingerprint != is.Fingerprint:
		return "its manifest changed"
	case was.UID != is.UID:
		return "it was deleted and made anew"
	case was.LiveVersion != is.LiveVersion, was.Set != is.Set, !sameJSON(was.Changes, is.Changes), !slices.Equal(was.Notes, is.Notes):
		if was.Place == PlaceDocker || was.Place == PlaceCloudRun {
			return "it changed there"
		}
		return "it changed in the cluster"
	}
	return ""
}

// sameJSON compares what was read from JSON with what was not.
func sameJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
