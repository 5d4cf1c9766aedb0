package migrate

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config/ynode"
)

// syncMapIntoRules turns `sync: {src: dest}` into manual rules. The old form put all files flat into
// dest; where the new one cannot do that, a warning says so.
func syncMapIntoRules(p *Pass, pipeline *yaml.Node) {
	for _, a := range artifacts(pipeline) {
		old := ynode.Take(a, "sync")
		if ynode.IsNull(old) || len(old.Content) == 0 {
			continue
		}
		rules := ynode.Sequence(old)
		for i := 0; i+1 < len(old.Content); i += 2 {
			rules.Content = append(rules.Content, syncRule(p, old.Content[i], old.Content[i+1]))
		}
		sync := ynode.Mapping(old)
		ynode.Set(sync, "manual", rules)
		ynode.Set(a, "sync", sync)
	}
}

func syncRule(p *Pass, from, to *yaml.Node) *yaml.Node {
	src, dest, strip := from.Value, to.Value, ""
	folder, flat := flatPattern(src)
	switch {
	case flat:
		dest, strip = shorten(dest, folder)
	case strings.Contains(src, "***"):
		folder, _, _ = strings.Cut(src, "***")
		dest, strip = shorten(dest, folder)
		src = strings.ReplaceAll(src, "***", "**")
	default:
		p.warn(from, "build.artifacts.sync", "check where the files should go", "sync of %q now keeps folders below %q", src, dest)
	}
	rule := ynode.Mapping(from)
	ynode.Set(rule, "src", ynode.String(src, from))
	ynode.Set(rule, "dest", ynode.String(dest, to))
	if strip != "" {
		ynode.Set(rule, "strip", ynode.String(strip, from))
	}
	return rule
}

// flatPattern reports whether a pattern names files of one folder: no star before the last slash, at
// most one after it. It gives that folder, with its slash.
func flatPattern(pattern string) (folder string, ok bool) {
	cut := strings.LastIndex(pattern, "/") + 1
	folder, base := pattern[:cut], pattern[cut:]
	return folder, !strings.Contains(folder, "*") && strings.Count(base, "*") <= 1 && base != ""
}

// shorten leaves out what would be stripped from the source and added again by the destination.
func shorten(dest, strip string) (string, string) {
	if strip == "" || strip == "/" || dest == "" {
		return dest, strip
	}
	folder := strings.TrimSuffix(dest, "/") + "/"
	if !strings.HasSuffix(folder, strip) {
		return dest, strip
	}
	if folder = strings.TrimSuffix(folder, strings.TrimPrefix(strip, "/")); folder == "" {
		folder = "."
	}
	return folder, ""
}
