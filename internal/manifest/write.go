package manifest

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// Write writes objects as a stream of YAML documents, indented by two as Kubernetes people write it, each after a ---.
func Write(w io.Writer, objects []Object) error {
	if len(objects) == 0 {
		return nil
	}
	if _, err := io.WriteString(w, separator); err != nil {
		return err
	}
	return Stream(w, objects)
}

const separator = "---\n"

// Stream writes objects as `render` prints them: YAML documents with --- between them, and none before the first, as Skaffold's are. Order
// and comments are those of the sources, so that equal sources give equal bytes.
func Stream(w io.Writer, objects []Object) error {
	const worthwhile = 64 // objects, for another goroutine
	workers := runtime.GOMAXPROCS(0)
	texts, errs := make([]bytes.Buffer, workers), make([]error, workers)
	first := true
	for batch := range slices.Chunk(objects, worthwhile*workers) { // so that the text is not in memory as a whole
		var wait sync.WaitGroup
		parts := slices.Collect(slices.Chunk(batch, worthwhile))
		for i, part := range parts {
			wait.Go(func() { errs[i] = writeAll(&texts[i], part, first && i == 0) })
		}
		wait.Wait()
		for i := range parts {
			if errs[i] != nil {
				return errs[i]
			}
			if _, err := texts[i].WriteTo(w); err != nil {
				return err
			}
		}
		first = false
	}
	return nil
}

func writeAll(b *bytes.Buffer, objects []Object, first bool) error {
	for i, o := range objects {
		if i > 0 || !first {
			b.WriteString(separator)
		}
		if text, ok := writeMapping(b.AvailableBuffer(), o.Node, 0, false); ok {
			b.Write(text)
			continue
		}
		enc := yaml.NewEncoder(b)
		enc.SetIndent(2)
		if err := enc.Encode(o.Node); err != nil {
			return fmt.Errorf("writing %s: %w", o.Origin(), err)
		}
	}
	return nil
}

// writeMapping writes what readBlock reads, as package yaml does, several times faster. ok is false for anything else. inline says that the first line
// has its indent already.
func writeMapping(b []byte, n *yaml.Node, indent int, inline bool) (text []byte, ok bool) {
	if n.Kind != yaml.MappingNode || n.Style != 0 || len(n.Content) == 0 || n.Tag != "!!map" || !bare(n) {
		return b, false
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Style != 0 || !bare(key) || !isPlain(key) || len(key.Value) > 100 {
			return b, false
		}
		if i > 0 || !inline {
			b = pad(b, indent)
		}
		b = append(append(b, key.Value...), ':')
		if len(value.Content) > 0 {
			b = append(b, '\n')
		} else {
			b = append(b, ' ')
		}
		if b, ok = writeValue(b, value, indent+2, false); !ok {
			return b, false
		}
	}
	return b, true
}

func writeSequence(b []byte, n *yaml.Node, indent int, inline bool) (text []byte, ok bool) {
	if n.Style != 0 || n.Tag != "!!seq" || !bare(n) {
		return b, false
	}
	for i, item := range n.Content {
		if i > 0 || !inline {
			b = pad(b, indent)
		}
		if b, ok = writeValue(append(b, '-', ' '), item, indent+2, true); !ok {
			return b, false
		}
	}
	return b, true
}

func writeValue(b []byte, n *yaml.Node, indent int, inline bool) (text []byte, ok bool) {
	switch {
	case n.Kind == yaml.ScalarNode:
		return writeScalar(b, n, indent)
	case len(n.Content) > 0 && n.Kind == yaml.MappingNode:
		return writeMapping(b, n, indent, inline)
	case len(n.Content) > 0 && n.Kind == yaml.SequenceNode:
		return writeSequence(b, n, indent, inline)
	case n.Kind == yaml.MappingNode && n.Tag == "!!map" && bare(n):
		return append(b, "{}\n"...), true
	case n.Kind == yaml.SequenceNode && n.Tag == "!!seq" && bare(n):
		return append(b, "[]\n"...), true
	}
	return b, false
}

func writeScalar(b []byte, n *yaml.Node, indent int) (text []byte, ok bool) {
	if !bare(n) {
		return b, false
	}
	switch n.Style {
	case 0:
		return append(append(b, n.Value...), '\n'), isPlain(n)
	case yaml.DoubleQuotedStyle:
		ok = n.Tag == "!!str" && printable(n.Value) && !strings.ContainsAny(n.Value, `"\`)
		return append(append(append(b, '"'), n.Value...), '"', '\n'), ok
	case yaml.SingleQuotedStyle:
		ok = n.Tag == "!!str" && printable(n.Value) && !strings.Contains(n.Value, "'")
		return append(append(append(b, '\''), n.Value...), '\'', '\n'), ok
	case yaml.LiteralStyle:
		return writeLiteral(b, n, indent)
	}
	return b, false
}

func writeLiteral(b []byte, n *yaml.Node, indent int) (text []byte, ok bool) {
	content, ends := strings.CutSuffix(n.Value, "\n")
	if content == "" || n.Tag != "!!str" || strings.ContainsAny(content[:1], " \n") || strings.ContainsAny(content[len(content)-1:], " \n") ||
		strings.Contains(content, " \n") {
		return b, false
	}
	b = append(b, '|')
	if !ends {
		b = append(b, '-')
	}
	b = append(b, '\n')
	for line := range strings.SplitSeq(content, "\n") {
		if !printable(line) {
			return b, false
		}
		if line != "" {
			b = append(pad(b, indent), line...)
		}
		b = append(b, '\n')
	}
	return b, true
}

// isPlain says that a scalar needs no quotes to be what it is.
func isPlain(n *yaml.Node) bool {
	v := n.Value
	if v == "" || !printable(v) || v[0] == ' ' || v[len(v)-1] == ' ' || v[len(v)-1] == ':' || strings.HasPrefix(v, "---") || strings.HasPrefix(v, "...") ||
		strings.Contains(v, ": ") || strings.Contains(v, " #") {
		return false
	}
	if strings.IndexByte("?:,[]{}#&*!|>'\"%@`", v[0]) >= 0 || v[0] == '-' && (len(v) == 1 || v[1] == ' ') {
		return false
	}
	return n.Tag == plainTag(v)
}

func printable(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// bare says that a node has nothing around it.
func bare(n *yaml.Node) bool {
	return n.HeadComment == "" && n.LineComment == "" && n.FootComment == "" && n.Anchor == ""
}

func pad(b []byte, indent int) []byte {
	const spaces = "                                "
	for ; indent > len(spaces); indent -= len(spaces) {
		b = append(b, spaces...)
	}
	return append(b, spaces[:indent]...)
}
