package chart

import (
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// Missing names the dependencies that Chart.yaml lists and charts/ does not have.
func (c *Chart) Missing() []string {
	var missing []string
	for _, d := range c.Metadata.Dependencies {
		if !slices.ContainsFunc(c.subs, func(s *Chart) bool { return s.Name() == d.Name }) {
			missing = append(missing, d.Name)
		}
	}
	return missing
}

// Resolve settles which subcharts take part when values are set: aliases, tags and conditions, for all levels; then it brings up the
// values that charts import from their subcharts. It changes the chart.
func (c *Chart) Resolve(values map[string]any, warn func(string)) error {
	if err := c.enable(values, "", warn); err != nil {
		return err
	}
	return c.importAll(warn)
}

func (c *Chart) enable(values map[string]any, path string, warn func(string)) error {
	if c.Metadata.Dependencies == nil {
		return nil
	}
	c.setSubs(c.aliased())
	seen, err := c.Coalesce(values, warn)
	if err != nil {
		return err
	}
	var wanted []*Dependency
	off := map[string]bool{}
	for _, d := range c.Metadata.Dependencies {
		d.Enabled = d.byTags(seen, warn)
		d.byCondition(seen, path, warn)
		if d.Enabled {
			wanted = append(wanted, d)
		} else {
			off[d.Name] = true
		}
	}
	var on []*Chart
	for _, sub := range c.subs {
		if off[sub.Name()] {
			continue
		}
		if err := sub.enable(seen, path+sub.Name()+".", warn); err != nil {
			return err
		}
		on = append(on, sub)
	}
	c.Metadata.Dependencies = wanted
	c.setSubs(on)
	return nil
}

// aliased gives the subcharts as Chart.yaml wants them: those that it does not speak of first, then one for each entry, under its alias.
func (c *Chart) aliased() []*Chart {
	var subs []*Chart
	for _, sub := range c.subs {
		if !slices.ContainsFunc(c.Metadata.Dependencies, sub.answers) {
			subs = append(subs, sub)
		}
	}
	for _, d := range c.Metadata.Dependencies {
		if i := slices.IndexFunc(c.subs, func(s *Chart) bool { return s.answers(d) }); i >= 0 {
			subs = append(subs, c.subs[i].as(d.Alias))
		}
		if d.Alias != "" {
			d.Name = d.Alias
		}
	}
	return subs
}

// answers says that a chart is what a dependency wants.
func (c *Chart) answers(d *Dependency) bool {
	return c.Name() == d.Name && InRange(d.Version, c.Metadata.Version)
}

// as copies a chart as far as it will be changed, under another name if alias gives one.
func (c *Chart) as(alias string) *Chart {
	out := *c
	metadata := *c.Metadata
	out.Metadata = &metadata
	if alias != "" {
		metadata.Name = alias
	}
	metadata.Dependencies = nil
	for _, d := range c.Metadata.Dependencies {
		copied := *d
		metadata.Dependencies = append(metadata.Dependencies, &copied)
	}
	subs := make([]*Chart, len(c.subs))
	for i, sub := range c.subs {
		subs[i] = sub.as("")
	}
	out.setSubs(subs)
	return &out
}

// InRange says whether a version is in a range, as charts write them. What cannot be read is not.
func InRange(constraint, version string) bool {
	v, err := semver.NewVersion(version)
	if err != nil {
		return false
	}
	r, err := semver.NewConstraint(constraint)
	return err == nil && r.Check(v)
}

// byTags says what the tags in the values make of a dependency: one that is true outweighs those that are false.
func (d *Dependency) byTags(values map[string]any, warn func(string)) bool {
	tags, _ := values["tags"].(map[string]any)
	enabled := true
	for _, tag := range d.Tags {
		val, there := tags[tag]
		if !there {
			continue
		}
		on, isBool := val.(bool)
		switch {
		case !isBool:
			warn(fmt.Sprintf("tag %s of chart %s is neither true nor false", tag, d.Name))
		case on:
			return true
		default:
			enabled = false
		}
	}
	return enabled
}

// byCondition follows the first path of the condition that the values have.
func (d *Dependency) byCondition(values map[string]any, prefix string, warn func(string)) {
	for path := range strings.SplitSeq(strings.TrimSpace(d.Condition), ",") {
		val, there := lookup(values, prefix+path)
		if path == "" || !there {
			continue
		}
		if on, isBool := val.(bool); isBool {
			d.Enabled = on
			return
		}
		warn(fmt.Sprintf("condition %s of chart %s is neither true nor false", path, d.Name))
	}
}

// importAll brings values up from subcharts, the lowest first.
func (c *Chart) importAll(warn func(string)) error {
	for _, sub := range c.subs {
		if err := sub.importAll(warn); err != nil {
			return err
		}
	}
	if c.Metadata.Dependencies == nil {
		return nil
	}
	// Nulls stay: a chart may set one so that it takes away what a subchart sets, later.
	all := map[string]any{}
	if err := (fold{keepNulls: true, warn: warn}).chart(c, all); err != nil {
		return err
	}
	imported := map[string]any{}
	for _, d := range c.Metadata.Dependencies {
		for _, wish := range d.ImportValues {
			child, parent := importPaths(wish)
			found, _ := lookup(all, d.Name+"."+child)
			table, ok := found.(map[string]any)
			if !ok {
				warn(fmt.Sprintf("chart %s has no table %s to import from %s", c.Name(), child, d.Name))
				continue
			}
			fold{keepNulls: true, warn: warn}.tables(imported, nest(parent, clone(table).(map[string]any)), "")
		}
	}
	values := clone(all).(map[string]any)
	fold{keepNulls: true, warn: warn}.tables(values, imported, "")
	c.Values = values
	return nil
}

// importPaths reads an entry of import-values: a table of the subchart's exports by its name, or two paths.
func importPaths(wish any) (child, parent string) {
	if paths, ok := wish.(map[string]any); ok {
		return fmt.Sprint(paths["child"]), fmt.Sprint(paths["parent"])
	}
	return "exports." + fmt.Sprint(wish), "."
}

// nest puts values under a dotted path.
func nest(path string, values map[string]any) map[string]any {
	if path == "." {
		return values
	}
	steps := strings.Split(path, ".")
	for _, step := range slices.Backward(steps) {
		values = map[string]any{step: values}
	}
	return values
}

// Has says that the charts folder has what a dependency wants.
func (c *Chart) Has(d *Dependency) bool {
	return slices.ContainsFunc(c.subs, func(s *Chart) bool { return s.answers(d) })
}

// Locked is the version that Chart.lock has for a dependency; empty when it has none.
func (c *Chart) Locked(d *Dependency) string {
	if c.Lock == nil {
		return ""
	}
	for _, locked := range c.Lock.Dependencies {
		if locked.Name == d.Name && locked.Repository == d.Repository {
			return locked.Version
		}
	}
	return ""
}

// Replace takes a subchart in. One of its name and version gives way to it.
func (c *Chart) Replace(sub *Chart) {
	subs := slices.DeleteFunc(slices.Clone(c.subs), func(s *Chart) bool {
		return s.Name() == sub.Name() && s.Metadata.Version == sub.Metadata.Version
	})
	c.setSubs(append(subs, sub))
}
