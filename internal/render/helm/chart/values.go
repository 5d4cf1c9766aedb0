package chart

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// ParseValues reads a values file: YAML, of which later documents win over earlier ones. Numbers are float64, as charts expect them.
func ParseValues(data []byte) (map[string]any, error) {
	values := map[string]any{}
	for reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(append(bytes.Clone(data), '\n')))); ; {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, err
		}
		var next map[string]any
		if err := yaml.Unmarshal(doc, &next); err != nil {
			return nil, err
		}
		values = Merge(values, next)
	}
}

// Merge gives a with b over it: mappings are merged, all else is replaced.
func Merge(a, b map[string]any) map[string]any {
	out := make(map[string]any, len(a)+len(b))
	maps.Copy(out, a)
	for k, v := range b {
		if over, ok := v.(map[string]any); ok {
			if under, ok := out[k].(map[string]any); ok {
				out[k] = Merge(under, over)
				continue
			}
		}
		out[k] = v
	}
	return out
}

// clone copies values deeply.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			out[k] = clone(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = clone(item)
		}
		return out
	}
	return v
}

// fold lays values over a chart's own, and does so for its subcharts. In the end a null takes away what a chart sets; while charts are
// still being worked out (keepNulls), it stays to do so later. What does not fit together is left out, and warn hears of it.
type fold struct {
	keepNulls bool
	warn      func(string)
}

// Coalesce gives the values that a chart and its subcharts see when values are set: those of a subchart stand under its name, the
// globals in each.
func (c *Chart) Coalesce(values map[string]any, warn func(string)) (map[string]any, error) {
	out := clone(values).(map[string]any)
	return out, fold{warn: warn}.chart(c, out)
}

func (f fold) chart(c *Chart, values map[string]any) error {
	f.own(c, values)
	for _, sub := range c.subs {
		below, isMap := values[sub.Name()].(map[string]any)
		if _, there := values[sub.Name()]; !there {
			below = map[string]any{}
			values[sub.Name()] = below
		} else if !isMap {
			return fmt.Errorf("the values of subchart %s must be a mapping", sub.FullPath())
		}
		f.globals(below, values)
		if err := f.chart(sub, below); err != nil {
			return err
		}
	}
	return nil
}

// own lays values over the chart's own.
func (f fold) own(c *Chart, values map[string]any) {
	for key, val := range clone(c.Values).(map[string]any) {
		set, there := values[key]
		table, isTable := set.(map[string]any)
		switch {
		case !there:
			f.fill(values, key, val)
		case set == nil && !f.keepNulls:
			delete(values, key)
		case isTable:
			under, ok := val.(map[string]any)
			if !ok {
				if val != nil {
					f.warn(fmt.Sprintf("value %s of chart %s is left out: it is a mapping where it is set", key, c.FullPath()))
				}
				continue
			}
			sub := fold{keepNulls: f.keepNulls || c.hasSub(key), warn: f.warn}
			if !sub.keepNulls {
				dropNulls(under)
			}
			sub.tables(table, under, c.FullPath()+"."+key)
		}
	}
}

// fill sets what nobody else sets.
func (f fold) fill(values map[string]any, key string, val any) {
	if !f.keepNulls {
		if val == nil {
			return
		}
		if table, ok := val.(map[string]any); ok {
			dropNulls(table)
		}
	}
	values[key] = val
}

func (c *Chart) hasSub(name string) bool {
	for _, s := range c.subs {
		if s.Name() == name {
			return true
		}
	}
	return false
}

// tables lays over on top of under; over gets the result.
func (f fold) tables(over, under map[string]any, path string) {
	for key, val := range under {
		set, there := over[key]
		table, isTable := set.(map[string]any)
		below, belowIsTable := val.(map[string]any)
		switch {
		case !there:
			over[key] = val
		case set == nil:
			if val != nil && !f.keepNulls {
				delete(over, key)
			}
		case isTable && belowIsTable:
			f.tables(table, below, path+"."+key)
		case isTable != belowIsTable && val != nil:
			f.warn(fmt.Sprintf("value %s.%s is left out: it is a mapping in one place and none in the other", path, key))
		}
	}
}

// globals hands the globals of a chart down to a subchart. What the parent says counts.
func (f fold) globals(below, values map[string]any) {
	down, ok := below["global"].(map[string]any)
	if _, there := below["global"]; !there {
		down = map[string]any{}
	} else if !ok {
		f.warn("global is not a mapping and is left out")
		return
	}
	from, ok := values["global"].(map[string]any)
	if _, there := values["global"]; there && !ok {
		f.warn("global is not a mapping and is left out")
		return
	}
	for key, val := range from {
		table, isTable := val.(map[string]any)
		set, there := down[key]
		below, belowIsTable := set.(map[string]any)
		switch {
		case isTable && there && !belowIsTable, !isTable && belowIsTable:
			f.warn(fmt.Sprintf("global.%s is left out: it is a mapping in one place and none in the other", key))
		case isTable:
			merged := maps.Clone(table)
			if there {
				fold{keepNulls: true, warn: f.warn}.tables(merged, below, "global."+key)
			}
			down[key] = merged
		default:
			down[key] = val
		}
	}
	below["global"] = down
}

func dropNulls(m map[string]any) {
	for key, val := range m {
		if val == nil {
			delete(m, key)
		} else if sub, ok := val.(map[string]any); ok {
			dropNulls(sub)
		}
	}
}

// lookup finds the value at a dotted path.
func lookup(values map[string]any, path string) (any, bool) {
	var at any = values
	for step := range strings.SplitSeq(path, ".") {
		m, ok := at.(map[string]any)
		if !ok {
			return nil, false
		}
		if at, ok = m[step]; !ok {
			return nil, false
		}
	}
	return at, true
}
