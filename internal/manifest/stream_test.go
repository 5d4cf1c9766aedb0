package manifest

import (
	"bytes"
	"testing"
)

func TestStream(t *testing.T) {
	var out bytes.Buffer
	if err := Stream(&out, parse(t, "kind: Pod # first\napiVersion: v1\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: b}\n")); err != nil {
		t.Fatal(err)
	}
	if want := "kind: Pod # first\napiVersion: v1\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: b}\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
