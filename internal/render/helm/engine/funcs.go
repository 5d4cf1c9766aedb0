package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/Masterminds/sprig/v3"
	"go.yaml.in/yaml/v3"
	kyaml "sigs.k8s.io/yaml"
)

// functions are all but those that depend on the templates around them. The environment is no business of a chart.
func (s *set) functions() template.FuncMap {
	f := sprig.TxtFuncMap()
	delete(f, "env")
	delete(f, "expandenv")
	if !s.options.DNS {
		f["getHostByName"] = func(string) string { return "" }
	}
	f["required"], f["fail"], f["lookup"] = required, fail, s.lookup

	f["toYaml"], f["mustToYaml"] = orEmpty(toYAML), toYAML
	f["toYamlPretty"] = orEmpty(toYAMLPretty)
	f["toJson"], f["mustToJson"] = orEmpty(toJSON), toJSON
	f["toToml"], f["mustToToml"] = orMessage(toTOML), toTOML
	f["fromYaml"] = object(func(text []byte, into any) error { return kyaml.Unmarshal(text, into) })
	f["fromJson"] = object(json.Unmarshal)
	f["fromToml"] = object(toml.Unmarshal)
	f["fromYamlArray"] = array(func(text []byte, into any) error { return kyaml.Unmarshal(text, into) })
	f["fromJsonArray"] = array(json.Unmarshal)
	addDurations(f)
	return f
}

func toYAML(v any) (string, error) {
	out, err := kyaml.Marshal(v)
	return strings.TrimSuffix(string(out), "\n"), err
}

func toYAMLPretty(v any) (string, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	err := enc.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

func toJSON(v any) (string, error) {
	out, err := json.Marshal(v)
	return string(out), err
}

func toTOML(v any) (string, error) {
	var b bytes.Buffer
	err := toml.NewEncoder(&b).Encode(v)
	return b.String(), err
}

// What becomes of an error depends on the function, as charts expect it: an empty text, the error's own, or the end of the rendering.
func orEmpty(f func(any) (string, error)) func(any) string {
	return func(v any) string {
		if out, err := f(v); err == nil {
			return out
		}
		return ""
	}
}

func orMessage(f func(any) (string, error)) func(any) string {
	return func(v any) string {
		out, err := f(v)
		if err != nil {
			return err.Error()
		}
		return out
	}
}

// object reads a text into a mapping, which has the error under Error.
func object(read func([]byte, any) error) func(string) map[string]any {
	return func(text string) map[string]any {
		m := map[string]any{}
		if err := read([]byte(text), &m); err != nil {
			m["Error"] = err.Error()
		}
		return m
	}
}

// array reads a text into a list, which has the error as its only item.
func array(read func([]byte, any) error) func(string) []any {
	return func(text string) []any {
		list := []any{}
		if err := read([]byte(text), &list); err != nil {
			return []any{err.Error()}
		}
		return list
	}
}

func addDurations(f template.FuncMap) {
	f["mustToDuration"] = duration
	for name, unit := range map[string]time.Duration{
		"durationSeconds": time.Second, "durationMinutes": time.Minute, "durationHours": time.Hour,
		"durationDays": 24 * time.Hour, "durationWeeks": 7 * 24 * time.Hour,
	} {
		f[name] = func(v any) float64 { return float64(orZero(v)) / float64(unit) }
	}
	for name, unit := range map[string]time.Duration{
		"durationMilliseconds": time.Millisecond, "durationMicroseconds": time.Microsecond, "durationNanoseconds": time.Nanosecond,
	} {
		f[name] = func(v any) int64 { return int64(orZero(v) / unit) }
	}
	f["durationRoundTo"] = func(v, to any) time.Duration { return orZero(v).Round(orZero(to)) }
	f["durationTruncateTo"] = func(v, to any) time.Duration { return orZero(v).Truncate(orZero(to)) }
}

func orZero(v any) time.Duration {
	d, err := duration(v)
	if err != nil {
		return 0
	}
	return d
}

// duration reads "1h2m" or a number of seconds.
func duration(v any) (time.Duration, error) {
	if d, ok := v.(time.Duration); ok {
		return d, nil
	}
	var seconds float64
	switch r := reflect.ValueOf(v); {
	case !r.IsValid():
		return 0, errors.New("a duration is missing")
	case r.CanInt():
		seconds = float64(r.Int())
	case r.CanUint():
		seconds = float64(r.Uint())
	case r.CanFloat():
		seconds = r.Float()
	case r.Kind() == reflect.String:
		text := strings.TrimSpace(r.String())
		if d, err := time.ParseDuration(text); err == nil {
			return d, nil
		}
		var err error
		if seconds, err = strconv.ParseFloat(text, 64); err != nil {
			return 0, fmt.Errorf("%q is not a duration", text)
		}
	default:
		return 0, fmt.Errorf("a %T is not a duration", v)
	}
	if limit := time.Duration(1<<63 - 1).Seconds(); !(seconds > -limit && seconds < limit) {
		return 0, fmt.Errorf("%v seconds are too many for a duration", seconds)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}
