package manifest

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestKinds replaces the image in each kind that is known. What comes out is the text that went in, comments and all, but for the fields that
// the file marks as built.
func TestKinds(t *testing.T) {
	const ref = "registry.example.com/web:v2@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	text, err := os.ReadFile("testdata/kinds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	objects, err := Parse("testdata/kinds.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) < 50 {
		t.Fatalf("only %d objects", len(objects))
	}
	want := regexp.MustCompile(`web(:v1)? # built`).ReplaceAllString(string(text), ref+" # built")
	results := ReplaceImages(objects, map[string]string{"web": ref})
	var out bytes.Buffer
	if err := Stream(&out, objects); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != want {
		a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("line %d: got %q, want %q", i+1, a[i], b[i])
			}
		}
		t.Fatalf("got %d lines, want %d", len(a), len(b))
	}
	if marked := strings.Count(want, "# built"); results[0].Used != marked {
		t.Errorf("%d places replaced, %d marked", results[0].Used, marked)
	}
}
