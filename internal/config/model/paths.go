package model

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MakeAbsolute puts dir before every relative file path of the config. URLs stay as they are.
func (c *Config) MakeAbsolute(dir string) {
	absolute(reflect.ValueOf(c).Elem(), dir)
}

func absolute(v reflect.Value, dir string) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if _, generic := v.Interface().(*yaml.Node); !generic && !v.IsNil() {
			absolute(v.Elem(), dir)
		}
	case reflect.Slice:
		for i := range v.Len() {
			absolute(v.Index(i), dir)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if HasEval(f, "path") {
				eachText(v.Field(i), func(s string) string { return join(dir, s) })
			} else {
				absolute(v.Field(i), dir)
			}
		}
	}
}

// HasEval reports whether a field's eval tag names what: path or template.
func HasEval(f reflect.StructField, what string) bool {
	return slices.Contains(strings.Split(f.Tag.Get("eval"), ","), what)
}

// eachText replaces the texts of a field: a string, a list or a map of them.
func eachText(v reflect.Value, change func(string) string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(change(v.String()))
	case reflect.Slice:
		for i := range v.Len() {
			eachText(v.Index(i), change)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			v.SetMapIndex(key, reflect.ValueOf(change(v.MapIndex(key).String())).Convert(v.Type().Elem()))
		}
	}
}

func join(dir, path string) string {
	if path == "" || filepath.IsAbs(path) || strings.Contains(path, "://") {
		return path
	}
	return filepath.Join(dir, path)
}
