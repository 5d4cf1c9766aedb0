package validate

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/model"
)

// structure checks what the model's tags say: required fields, and fields that exclude each other.
func structure(c *config.Config) diag.List {
	w := walker{c: c}
	// Profiles that are not active may be as incomplete as they like.
	m := *c.Model
	m.Profiles = nil
	w.value(reflect.ValueOf(&m).Elem(), nil)
	if c.Model.Kind == "" {
		w.errs = append(w.errs, c.Error("required field kind is missing", "add kind: Config", "kind"))
	}
	return w.errs
}

type walker struct {
	c    *config.Config
	errs diag.List
}

func (w *walker) value(v reflect.Value, path []any) {
	switch v.Interface().(type) {
	case *yaml.Node, map[string]any:
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			w.value(v.Elem(), path)
		}
	case reflect.Struct:
		w.object(v, path)
	case reflect.Slice:
		for i := range v.Len() {
			if item := v.Index(i); item.Kind() == reflect.Pointer && item.IsNil() {
				w.errs = append(w.errs, w.c.Error("this entry is empty", "fill it or remove it", extend(path, i)...))
				continue
			}
			w.value(v.Index(i), extend(path, i))
		}
	}
}

func extend(path []any, step any) []any {
	return append(path[:len(path):len(path)], step)
}

func (w *walker) object(v reflect.Value, path []any) {
	t := v.Type()
	exclusive := map[string]string{}
	for i := range t.NumField() {
		f, value := t.Field(i), v.Field(i)
		required := f.Tag.Get("required") != ""
		if !f.IsExported() || !required && value.IsZero() && value.Kind() != reflect.Struct {
			continue // most fields of most files
		}
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case value.Kind() == reflect.Interface:
			w.value(value, extend(path, model.CaseKey(value)))
			continue
		case strings.Contains(options, "inline"):
			w.object(value, path)
			continue
		}
		at := extend(path, name)
		if required && value.IsZero() {
			w.errs = append(w.errs, w.c.Error(fmt.Sprintf("required field %q is missing or empty", name), fmt.Sprintf("add %s: VALUE", name), at...))
		}
		if set := f.Tag.Get("exclusive"); set != "" && !value.IsZero() {
			if other := exclusive[set]; other != "" {
				w.errs = append(w.errs, w.c.Error(fmt.Sprintf("only one of %q and %q can be set", other, name), "remove one of them", at...))
			}
			exclusive[set] = name
		}
		w.value(value, at)
	}
}
