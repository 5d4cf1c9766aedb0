package template

import (
	"errors"
	"reflect"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config/model"
)

// Apply expands every field of a config that may hold a template, for showing it. What cannot be expanded
// yet, because a variable comes with a built image, stays as written; a template that is not valid is an
// error.
func (x *Expander) Apply(m *model.Config) error {
	return x.apply(reflect.ValueOf(m).Elem())
}

func (x *Expander) apply(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if _, generic := v.Interface().(*yaml.Node); !generic && !v.IsNil() {
			return x.apply(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			if err := x.apply(v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			step := x.apply
			if model.HasEval(v.Type().Field(i), "template") {
				step = x.texts
			}
			if err := step(v.Field(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// texts expands the texts of a field: a string, a list or a map of them.
func (x *Expander) texts(v reflect.Value) error {
	switch v.Kind() {
	case reflect.String:
		out, err := x.Expand(v.String(), nil)
		if _, missing := errors.AsType[*MissingError](err); missing {
			return nil
		}
		if err != nil {
			return err
		}
		v.SetString(out)
	case reflect.Pointer:
		if !v.IsNil() {
			return x.texts(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			if err := x.texts(v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			item := reflect.New(v.Type().Elem()).Elem()
			item.Set(v.MapIndex(key))
			if err := x.texts(item); err != nil {
				return err
			}
			v.SetMapIndex(key, item)
		}
	}
	return nil
}
