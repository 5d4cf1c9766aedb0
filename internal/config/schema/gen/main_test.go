package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/davit-dev/davit/internal/config/schema"
)

// TestTableComesOutOfItsOwnSchemas: the schemas that the table gives hold all that the table was made of.
func TestTableComesOutOfItsOwnSchemas(t *testing.T) {
	folder := t.TempDir()
	table := schema.New()
	for _, v := range table.Versions() {
		text, err := table.JSON(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, v+".json"), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := generate(folder)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../table.txt")
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range min(len(gotLines), len(wantLines)) {
		if !bytes.Equal(gotLines[i], wantLines[i]) {
			t.Fatalf("line %d: got %s, want %s", i+1, gotLines[i], wantLines[i])
		}
	}
	if len(gotLines) != len(wantLines) {
		t.Errorf("got %d lines, want %d", len(gotLines), len(wantLines))
	}
}
