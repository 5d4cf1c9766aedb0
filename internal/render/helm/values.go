package helm

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"helm.sh/helm/v4/pkg/strvals"

	"github.com/davit-dev/davit/internal/render/helm/chart"
)

// values are all values that the release sets, in Helm's order: files, --set-json, --set, --set-string, --set-file, --set-literal.
func (r Release) values(ctx context.Context, f flags, fetch *fetcher) (map[string]any, error) {
	values := map[string]any{}
	for _, file := range append(f.values, r.ValuesFiles...) {
		data, err := fetch.file(ctx, file)
		if err != nil {
			return nil, fmt.Errorf("values file %s: %w", display(fetch.options.Dir, file), err)
		}
		next, err := chart.ParseValues(data)
		if err != nil {
			return nil, fmt.Errorf("values file %s: %w", display(fetch.options.Dir, file), err)
		}
		values = chart.Merge(values, next)
	}
	values = chart.Merge(values, plain(r.Overrides).(map[string]any))
	steps := []struct {
		what string
		sets []string
		into func(string, map[string]any) error
	}{
		{"--set-json", f.setJSON, setJSON},
		{"--set", f.set, strvals.ParseInto},
	}
	for _, s := range steps {
		for _, set := range s.sets {
			if err := s.into(set, values); err != nil {
				return nil, fmt.Errorf("%s %s: %w", s.what, set, err)
			}
		}
	}
	for _, s := range r.Set {
		if err := s.into(values); err != nil {
			return nil, fmt.Errorf("setting value %s: %w", s.Key, err)
		}
	}
	for _, set := range f.setString {
		if err := strvals.ParseIntoString(set, values); err != nil {
			return nil, fmt.Errorf("--set-string %s: %w", set, err)
		}
	}
	for _, set := range f.setFile {
		if err := strvals.ParseIntoFile(set, values, func(path []rune) (any, error) { return read(string(path)) }); err != nil {
			return nil, fmt.Errorf("--set-file %s: %w", set, err)
		}
	}
	for _, s := range r.SetFiles {
		text, err := read(s.Value)
		if err != nil {
			return nil, fmt.Errorf("setFiles %s: %w", s.Key, err)
		}
		if err := strvals.ParseLiteralInto(s.Key+"="+text, values); err != nil {
			return nil, fmt.Errorf("setFiles %s: %w", s.Key, err)
		}
	}
	for _, set := range f.setLiteral {
		if err := strvals.ParseLiteralInto(set, values); err != nil {
			return nil, fmt.Errorf("--set-literal %s: %w", set, err)
		}
	}
	return values, nil
}

func read(path string) (string, error) {
	data, err := os.ReadFile(path)
	return string(data), err
}

func setJSON(set string, values map[string]any) error {
	if !strings.HasPrefix(strings.TrimSpace(set), "{") {
		return strvals.ParseJSON(set, values)
	}
	var whole map[string]any
	if err := json.Unmarshal([]byte(set), &whole); err != nil {
		return err
	}
	for k, v := range chart.Merge(values, whole) {
		values[k] = v
	}
	return nil
}

func (s Set) into(values map[string]any) error {
	if s.Literal {
		return strvals.ParseLiteralInto(s.Key+"="+s.Value, values)
	}
	return strvals.ParseInto(s.argument(), values)
}

// argument is the value as --set takes it. Commas that would start another value are escaped: in a config each value has a key of its
// own. Those in a list, and those that are escaped already, stay.
func (s Set) argument() string {
	if s.Value == "<nil>" { // null, as the config holds it
		return s.Key + "=null"
	}
	if strings.HasPrefix(s.Value, "{") && strings.HasSuffix(s.Value, "}") {
		return s.Key + "=" + s.Value
	}
	var b strings.Builder
	escaped := false
	for _, c := range s.Value {
		if c == ',' && !escaped {
			b.WriteByte('\\')
		}
		escaped = c == '\\' && !escaped
		b.WriteRune(c)
	}
	return s.Key + "=" + b.String()
}

// plain copies values with numbers as charts expect them: float64, as they are read from JSON.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			out[k] = plain(item)
		}
		return out
	case map[any]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			out[fmt.Sprint(k)] = plain(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = plain(item)
		}
		return out
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case uint64:
		return float64(v)
	}
	return v
}
