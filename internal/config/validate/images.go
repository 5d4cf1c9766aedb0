package validate

import (
	"fmt"
	"strings"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/model"
)

// imageNames checks that every artifact has a name of its own, and a plain one: no tag, no digest.
func imageNames(configs []*config.Config) diag.List {
	var errs diag.List
	first := map[string]diag.Position{}
	for _, c := range configs {
		for i, a := range c.Model.Build.Artifacts {
			if a == nil || a.Image == "" {
				continue
			}
			at := []any{"build", "artifacts", i, "image"}
			if other, found := first[a.Image]; found {
				errs = append(errs, c.Error(fmt.Sprintf("image %q is built twice: %s builds it too", a.Image, other), "give each artifact its own image name", at...))
				continue
			}
			first[a.Image] = c.Pos(at...)
			if cause, next := checkImageName(a.Image); cause != "" {
				errs = append(errs, c.Error(fmt.Sprintf("invalid image %q: %s", a.Image, cause), next, at...))
			}
		}
	}
	return errs
}

// checkImageName applies the grammar of image references, except that capitals are allowed (they are
// lowered later, for Go import paths) and that tags and digests are not.
func checkImageName(image string) (cause, next string) {
	const leave = "leave it out: build.tagPolicy chooses the tag"
	name := strings.ToLower(strings.TrimPrefix(image, "ko://"))
	if name, _, found := strings.Cut(name, "@"); found && name != "" {
		return "it carries a digest", leave
	}
	slash := strings.LastIndex(name, "/")
	if before, _, found := strings.Cut(name[slash+1:], ":"); found && before != "" {
		return "it carries a tag", leave
	}
	parts := strings.Split(name, "/")
	if len(parts) > 1 && validHost(parts[0]) {
		parts = parts[1:]
	}
	if len(strings.Join(parts, "/")) > 255 {
		return "it is longer than 255 letters", "choose a shorter one"
	}
	for _, p := range parts {
		if !validComponent(p) {
			return "it is not a valid image name", "use small letters, digits and single . _ - between them, and / between parts"
		}
	}
	return "", ""
}

// validComponent checks one part of a path: runs of letters and digits, joined by one dot, one or two
// underscores, or any number of dashes.
func validComponent(s string) bool {
	word := func(b byte) bool { return 'a' <= b && b <= 'z' || '0' <= b && b <= '9' }
	if s == "" || !word(s[0]) || !word(s[len(s)-1]) {
		return false
	}
	for i := 0; i < len(s); {
		start := i
		for i < len(s) && !word(s[i]) {
			i++
		}
		switch sep := s[start:i]; {
		case sep == "", sep == ".", sep == "_", sep == "__", strings.Trim(sep, "-") == "":
			i++
		default:
			return false
		}
	}
	return true
}

func validHost(s string) bool {
	host := s
	if i := strings.LastIndex(s, ":"); i >= 0 && !strings.HasSuffix(s, "]") {
		host = s[:i]
		if port := s[i+1:]; port == "" || strings.Trim(port, "0123456789") != "" {
			return false
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		return strings.HasSuffix(inner, "]") && strings.Trim(inner, "0123456789abcdef:]") == ""
	}
	for part := range strings.SplitSeq(host, ".") {
		if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || part[0] == '-' || part[len(part)-1] == '-' {
			return false
		}
	}
	return true
}

// artifactDependencies checks `requires` of artifacts over all configs.
func artifactDependencies(configs []*config.Config) diag.List {
	type place struct {
		c *config.Config
		i int
		a *model.Artifact
	}
	var all []place
	index := map[string]int{}
	for _, c := range configs {
		for i, a := range c.Model.Build.Artifacts {
			if a != nil {
				index[a.Image] = len(all)
				all = append(all, place{c, i, a})
			}
		}
	}
	var errs diag.List
	edges := make([][]int, len(all))
	for n, p := range all {
		aliases := map[string]bool{}
		for j, d := range p.a.Requires {
			if d == nil {
				continue
			}
			at := []any{"build", "artifacts", p.i, "requires", j}
			if target, found := index[d.Image]; found {
				edges[n] = append(edges[n], target)
			} else {
				errs = append(errs, p.c.Error(fmt.Sprintf("artifact %q requires image %q, which no artifact builds", p.a.Image, d.Image), suggest(d.Image, keys(index)), append(at, "image")...))
			}
			if aliases[d.Alias] {
				errs = append(errs, p.c.Error(fmt.Sprintf("artifact %q uses the alias %q twice", p.a.Image, d.Alias), "give each requirement its own alias", append(at, "alias")...))
			}
			aliases[d.Alias] = true
			if needsPlainAlias(p.a.Builder) && !plainAlias(d.Alias) {
				errs = append(errs, p.c.Error(fmt.Sprintf("alias %q of artifact %q is not a variable name", d.Alias, p.a.Image), "set alias to letters, digits and _ that do not start with a digit", append(at, "alias")...))
			}
		}
	}
	if cycle := findCycle(edges); cycle != nil {
		names := make([]string, len(cycle))
		for i, n := range cycle {
			names[i] = all[n].a.Image
		}
		p := all[cycle[0]]
		errs = append(errs, p.c.Error("artifacts require each other in a circle: "+arrows(names), "remove one of these requirements", "build", "artifacts", p.i, "requires"))
	}
	return errs
}

// needsPlainAlias reports builders that pass the alias as a variable.
func needsPlainAlias(b model.Builder) bool {
	switch b.(type) {
	case *model.Docker, *model.Custom:
		return true
	}
	return false
}

func plainAlias(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
	return s != "" && strings.Trim(s, letters+"0123456789") == "" && strings.ContainsRune(letters, rune(s[0]))
}
