package load_test

import (
	"context"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/load"
	"github.com/davit-dev/davit/internal/config/schema"
)

// FuzzLoad feeds a whole configuration, with a profile active, through parsing, migration, profiles, defaults
// and validation: nothing panics, every error says where, and what fix writes means what was read.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(archive.Files[0].Data)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		src := &diag.Source{File: "skaffold.yaml", Text: text}
		docs, err := load.Parse(schema.New(), src)
		if err != nil {
			for _, e := range diag.All(err) {
				if e.File == "" || e.Cause == "" || strings.Contains(e.Error(), "%!") {
					t.Fatalf("this error says too little: %#v", e)
				}
			}
			if len(diag.All(err)) == 0 {
				t.Fatalf("an error without a place: %v", err)
			}
			return
		}
		fixed, err := load.Fix(src, "")
		if err != nil {
			t.Fatalf("it parses, but cannot be upgraded: %v", err)
		}
		again, err := load.Parse(schema.New(), &diag.Source{File: "fixed.yaml", Text: fixed.Text})
		if err != nil {
			t.Fatalf("what fix wrote does not parse: %v\n%s", err, fixed.Text)
		}
		for i := range docs {
			docs[i].Model.Profiles, again[i].Model.Profiles = nil, nil
			if !reflect.DeepEqual(docs[i].Model, again[i].Model) {
				t.Fatalf("what fix wrote means something else:\n%s", fixed.Text)
			}
		}
		_, err = load.Load(context.Background(), load.Options{File: "-", Stdin: strings.NewReader(string(text)), Dir: t.TempDir(), Profiles: []string{"p"}, Command: "run"})
		_ = err // either is fine; it must come back
	})
}
