package profile

import (
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/config/ynode"
)

// overlay lays what a profile sets over a config's tree. Objects that are structs in the model are merged field
// by field; everything else that the profile sets (lists, optional objects, one-of choices, values)
// replaces what the config has.
func overlay(config, profile *yaml.Node, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case f.Type.Kind() == reflect.Interface:
			overlayCase(config, profile, model.Cases(f.Type))
		case strings.Contains(options, "inline"):
			overlay(config, profile, f.Type)
		case f.Type.Kind() == reflect.Struct:
			if theirs := ynode.Get(profile, name); !ynode.IsNull(theirs) {
				overlay(ynode.Child(config, name, theirs), theirs, f.Type)
			}
		default:
			if theirs := ynode.Get(profile, name); isSet(theirs, f.Type) {
				ynode.Set(config, name, ynode.Clone(theirs))
			}
		}
	}
}

// overlayCase replaces the choice of the config by that of the profile, where it makes one.
func overlayCase(config, profile *yaml.Node, cases []model.Case) {
	for _, c := range cases {
		theirs := ynode.Get(profile, c.Key)
		if !isSet(theirs, c.Type) {
			continue
		}
		for _, other := range cases {
			ynode.Take(config, other.Key)
		}
		ynode.Set(config, c.Key, ynode.Clone(theirs))
		return
	}
}

// isSet reports whether a profile's value counts: empty lists and zero values leave the config's.
func isSet(n *yaml.Node, t reflect.Type) bool {
	if ynode.IsNull(n) {
		return false
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Map:
		return len(n.Content) > 0
	case reflect.Pointer:
		return true
	}
	v := reflect.New(t)
	return n.Decode(v.Interface()) != nil || !v.Elem().IsZero()
}
