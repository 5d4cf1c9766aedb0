package inputs

import (
	"fmt"
	"slices"
	"strings"
)

// NoEntry is the reason given for an artifact that was never built from here.
const NoEntry = "no entry yet"

// shownFiles is how many files of a sort are named before the rest is only counted.
const shownFiles = 3

// Names of fields that "why" words in a way of its own.
const (
	baseImagePrefix = "base image "
	requiredPrefix  = "required artifact "
)

// Why says in short phrases what differs between two manifests of one artifact: files first, by name and how many more, then
// settings by name. Values that may be secret are never in it. It is empty when nothing differs.
func Why(old, new Manifest) []string {
	return append(whyFiles(old.Files, new.Files), whyFields(old, new)...)
}

func whyFiles(old, new []File) []string {
	var changed, added, removed []string
	for len(old) > 0 || len(new) > 0 {
		switch {
		case len(old) == 0 || len(new) > 0 && new[0].Path < old[0].Path:
			added, new = append(added, new[0].Path), new[1:]
		case len(new) == 0 || old[0].Path < new[0].Path:
			removed, old = append(removed, old[0].Path), old[1:]
		default:
			if old[0] != new[0] {
				changed = append(changed, describeChange(old[0], new[0]))
			}
			old, new = old[1:], new[1:]
		}
	}
	var why []string
	for _, sort := range []struct {
		paths []string
		verb  string
	}{{changed, "changed"}, {added, "added"}, {removed, "removed"}} {
		if len(sort.paths) > 0 {
			why = append(why, listSome(sort.paths)+" "+sort.verb)
		}
	}
	return why
}

// describeChange names a file, and what is remarkable when its content is not what changed.
func describeChange(old, new File) string {
	switch {
	case old.Kind == new.Kind || old.Sum != new.Sum:
		return new.Path
	default:
		return fmt.Sprintf("%s (now %s)", new.Path, new.Kind)
	}
}

func listSome(paths []string) string {
	if len(paths) <= shownFiles+1 {
		return strings.Join(paths, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(paths[:shownFiles], ", "), len(paths)-shownFiles)
}

func whyFields(old, new Manifest) []string {
	var why, removed, added []string
	for _, f := range new.Fields {
		was, found := old.field(f.Name)
		switch {
		case !found:
			added = append(added, f.Name)
		case was != f:
			why = append(why, describeField(was, f))
		}
	}
	for _, f := range old.Fields {
		if _, found := new.field(f.Name); !found {
			removed = append(removed, f.Name)
		}
	}
	// One base image in the place of another is one change.
	if was, is := onlyOne(removed, baseImagePrefix), onlyOne(added, baseImagePrefix); was >= 0 && is >= 0 {
		why = append(why, fmt.Sprintf("base image from %s to %s", strings.TrimPrefix(removed[was], baseImagePrefix), strings.TrimPrefix(added[is], baseImagePrefix)))
		removed, added = slices.Delete(removed, was, was+1), slices.Delete(added, is, is+1)
	}
	for _, name := range added {
		why = append(why, name+" added")
	}
	for _, name := range removed {
		why = append(why, name+" removed")
	}
	return why
}

// onlyOne is the index of the one name with prefix, or -1.
func onlyOne(names []string, prefix string) int {
	i := slices.IndexFunc(names, func(n string) bool { return strings.HasPrefix(n, prefix) })
	if i < 0 || slices.ContainsFunc(names[i+1:], func(n string) bool { return strings.HasPrefix(n, prefix) }) {
		return -1
	}
	return i
}

func describeField(was, is Field) string {
	switch {
	case was.Hidden || is.Hidden:
		return is.Name + " changed"
	case strings.HasPrefix(is.Name, baseImagePrefix), strings.HasPrefix(is.Name, requiredPrefix):
		return fmt.Sprintf("%s from %s to %s", is.Name, shortDigest(was.Value), shortDigest(is.Value))
	default:
		return fmt.Sprintf("%s from %q to %q", is.Name, was.Value, is.Value)
	}
}

// shortDigest is a digest as people compare it.
func shortDigest(d string) string {
	const shown = len("sha256:") + 12
	switch {
	case d == "":
		return "an unpinned one"
	case strings.HasPrefix(d, "sha256:") && len(d) > shown:
		return d[:shown]
	}
	return d
}
