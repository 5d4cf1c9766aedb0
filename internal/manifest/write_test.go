package manifest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// writtenAsYAML holds that what is written without package yaml is what that writes.
func writtenAsYAML(t *testing.T, root *yaml.Node) (alone bool) {
	t.Helper()
	got, ok := writeMapping(nil, root, 0, false)
	if !ok {
		return false
	}
	var want bytes.Buffer
	enc := yaml.NewEncoder(&want)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		t.Error(err)
	}
	if string(got) != want.String() {
		t.Errorf("got\n%s\nwant\n%s", got, want.String())
	}
	return true
}

func TestWriteAsYAML(t *testing.T) {
	alone := 0
	for _, a := range pieces {
		for _, b := range pieces {
			for _, text := range []string{a + b, "k:\n  " + strings.ReplaceAll(a, "\n", "\n  ") + "\n" + b, "k:\n- " + strings.ReplaceAll(a, "\n", "\n  ") + "\n" + b} {
				roots, err := readStream("", []byte(text))
				if err != nil {
					continue
				}
				for _, root := range roots {
					if writtenAsYAML(t, root) {
						alone++
					}
				}
			}
		}
	}
	if alone < len(pieces)*len(pieces)/4 {
		t.Errorf("only %d documents", alone)
	}
}

// TestWriteValues writes values that a program put into nodes.
func TestWriteValues(t *testing.T) {
	for _, value := range []string{
		"", " ", "a", "a ", " a", "a: b", "a:", ":a", "a #b", "#a", "true", "1", "1.5", "null", "~", "yes", "-", "- a", "--a", "---", "--- a", "...", "...a", "a\nb", "a\nb\n", "\na", "a\n\n",
		" a\n", "a \nb", "a\tb", "ü", "'", "''", "\"", "\\", "a'b", "a\"b", "[", "a[", "{}", "[]", "a,b", "?", "? a", "?a", "%a", "@a", "`a", "|", ">", "=", "<<", "2001-01-01", "0x1f", "1_000", "12:30",
		"a\n  b\n", "a\n\nb", "x: |\n y\n",
	} {
		for _, tag := range []string{"!!str", "!!int", ""} {
			for _, style := range []yaml.Style{0, yaml.DoubleQuotedStyle, yaml.SingleQuotedStyle, yaml.LiteralStyle, yaml.FoldedStyle, yaml.FlowStyle, yaml.TaggedStyle} {
				n := func() *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value, Style: style} }
				list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{n(), {Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{n(), n()}}}}
				writtenAsYAML(t, &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{str("a"), n(), str("b"), list}})
				writtenAsYAML(t, &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{n(), str("a"), str("b"), list}})
			}
		}
	}
}

func TestWriteAsYAMLOthers(t *testing.T) {
	documents, alone := 0, 0
	eachYAML(t, func(path string, data []byte) {
		roots, err := readStream(path, data)
		if err != nil {
			return // nothing to write
		}
		for _, root := range roots {
			documents++
			if writtenAsYAML(t, root) {
				alone++
			}
		}
	})
	if t.Logf("%d of %d documents written without package yaml", alone, documents); alone == 0 {
		t.Error("nothing was compared")
	}
}

func TestStream(t *testing.T) {
	var out bytes.Buffer
	if err := Stream(&out, parse(t, "kind: Pod # first\napiVersion: v1\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: b}\n")); err != nil {
		t.Fatal(err)
	}
	if want := "kind: Pod # first\napiVersion: v1\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: b}\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// TestStreamOfMany has more objects than are written at a time: all are there, in order.
func TestStreamOfMany(t *testing.T) {
	var texts []string
	for i := range 3000 {
		texts = append(texts, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c%d\n", i))
	}
	want := strings.Join(texts, "---\n")
	objects := parse(t, want)
	var out bytes.Buffer
	if err := Stream(&out, objects); err != nil || out.String() != want {
		t.Errorf("error %v, %d bytes, want %d", err, out.Len(), len(want))
	}
	out.Reset()
	if err := Write(&out, objects); err != nil || out.String() != "---\n"+want {
		t.Errorf("error %v, %d bytes, want %d", err, out.Len(), len(want)+4)
	}
}
