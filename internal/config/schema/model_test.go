package schema_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/config/schema"
)

// TestModelIsTheNewestSchema walks the model and the table side by side: every field of the one is in the
// other.
func TestModelIsTheNewestSchema(t *testing.T) {
	table := schema.New()
	newest := table.Index(schema.Newest)
	seen := map[string]bool{}
	var compare func(path string, typ *schema.Type, m reflect.Type)
	compare = func(path string, typ *schema.Type, m reflect.Type) {
		if key := typ.Name + m.String(); seen[key] {
			return
		} else {
			seen[key] = true
		}
		have := fieldsOf(m)
		for _, name := range typ.Names(newest) {
			field, ok := have[name]
			delete(have, name)
			if !ok {
				t.Errorf("the model has no %s.%s", path, name)
				continue
			}
			for field.Kind() == reflect.Pointer || field.Kind() == reflect.Slice {
				field = field.Elem()
			}
			if inner := table.Type(typ.Field(name, newest).Kind.Of); inner != nil && field.Kind() == reflect.Struct {
				compare(path+"."+name, inner, field)
			}
		}
		for name := range have {
			t.Errorf("the schema has no %s.%s", path, name)
		}
	}
	compare("", table.Type(schema.Root), reflect.TypeFor[model.Config]())
	if !seen["DockerArtifactmodel.Docker"] || len(seen) < 60 {
		t.Errorf("only %d types were compared", len(seen))
	}
}

func fieldsOf(m reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for i := range m.NumField() {
		f := m.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		cases := model.Cases(f.Type)
		switch {
		case cases != nil:
			for _, c := range cases {
				fields[c.Key] = c.Type
			}
		case slices.Contains(strings.Split(options, ","), "inline"):
			for k, v := range fieldsOf(f.Type) {
				fields[k] = v
			}
		default:
			fields[name] = f.Type
		}
	}
	return fields
}
