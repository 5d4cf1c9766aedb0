package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// Parse reads every object of a file: YAML with any number of documents, or JSON. Empty documents are skipped and the
// items of List kinds become objects of their own. The error is a
// *diag.Error.
func Parse(file string, data []byte) ([]Object, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	roots, ok := readApart(data)
	if !ok {
		var err error
		if roots, err = readStream(file, data); err != nil {
			return nil, err
		}
	}
	objects := make([]Object, 0, len(roots))
	for _, root := range roots {
		found, err := fromNode(file, data, root)
		if err != nil {
			return nil, err
		}
		objects = append(objects, found...)
	}
	return objects, nil
}

// readStream gives the roots of all documents but the empty ones.
func readStream(file string, data []byte) ([]*yaml.Node, error) {
	var roots []*yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return roots, nil
		}
		if err != nil {
			return nil, syntaxError(file, data, err)
		}
		if empty(&doc) {
			continue
		}
		if size(doc.Content[0], maxNodes) < 0 {
			return nil, at(file, data, doc.Content[0].Line, "its aliases expand without end")
		}
		if key := twice(doc.Content[0]); key != nil {
			return nil, at(file, data, key.Line, fmt.Sprintf("key %q stands twice in one mapping", key.Value))
		}
		roots = append(roots, doc.Content[0])
	}
}

func empty(doc *yaml.Node) bool {
	return doc.Kind == 0 || len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null"
}

// twice finds a key that a mapping has already.
func twice(n *yaml.Node) *yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind == yaml.MappingNode {
		const few = 16 // keys, which are found without an index
		var seen map[string]bool
		if len(n.Content) > 2*few {
			seen = make(map[string]bool, len(n.Content)/2)
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
				continue
			}
			again := seen[key.Value]
			for k := 0; seen == nil && k < i && !again; k += 2 {
				again = n.Content[k].Kind == yaml.ScalarNode && n.Content[k].Value == key.Value
			}
			if again {
				return key
			}
			if seen != nil {
				seen[key.Value] = true
			}
		}
	}
	for _, child := range n.Content {
		if len(child.Content) == 0 {
			continue
		}
		if key := twice(child); key != nil {
			return key
		}
	}
	return nil
}

// document is a part of a stream.
type document struct {
	text string // without the --- before it
	line int    // number of its first line, from 0
	// begin and end are where it is in the stream, with the --- before and after it: package yaml wants to see them.
	begin, end int
	root       *yaml.Node
}

// readApart reads the documents of a stream one by one, side by side. ok is false for streams that it does not know how to take apart, and for all
// errors: what is wrong where is for readStream to say.
func readApart(data []byte) (roots []*yaml.Node, ok bool) {
	documents, ok := split(string(data))
	if !ok {
		return nil, false
	}
	const worthwhile = 1 << 16 // bytes, for another goroutine
	workers := min(runtime.GOMAXPROCS(0), 1+len(data)/worthwhile, len(documents))
	failed := make([]bool, workers)
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			for i := w; i < len(documents) && !failed[w]; i += workers {
				failed[w] = !documents[i].read(data)
			}
		})
	}
	wait.Wait()
	for _, f := range failed {
		if f {
			return nil, false
		}
	}
	for _, d := range documents {
		if d.root != nil {
			roots = append(roots, d.root)
		}
	}
	return roots, true
}

// split takes a stream apart at its lines ---. Streams with directives, explicit ends of documents, or something after a --- are left alone.
func split(text string) (documents []document, ok bool) {
	for _, other := range []string{"\u0085", "\u2028", "\u2029"} { // lines may end so as well
		if strings.Contains(text, other) {
			return nil, false
		}
	}
	if strings.Count(text, "\r") != strings.Count(text, "\r\n") {
		return nil, false
	}
	current := document{}
	begin, line := 0, 0
	for pos := 0; pos < len(text); line++ {
		next := len(text)
		if length := strings.IndexByte(text[pos:], '\n'); length >= 0 {
			next = pos + length + 1
		}
		switch content := text[pos:next]; content[0] {
		case '-':
			if !strings.HasPrefix(content, "---") {
				break
			}
			if strings.TrimRight(content, " \r\n") != "---" {
				return nil, false
			}
			if onlyComments(text[begin:pos]) { // which belong to the next document
				break
			}
			current.text, current.end = text[begin:pos], next
			documents = append(documents, current)
			current = document{line: line + 1, begin: pos}
			begin = next
		case '.', '%':
			if content[0] == '%' || strings.HasPrefix(content, "...") {
				return nil, false
			}
		}
		pos = next
	}
	current.text, current.end = text[begin:], len(text)
	return append(documents, current), true
}

// onlyComments says that a text has comments and nothing else.
func onlyComments(text string) bool {
	found := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' && line != "---" {
			return false
		}
		found = found || line != "" && line[0] == '#'
	}
	return found
}

// read finds the document's root; nil when it is empty. stream is all of what the document is a part of.
func (d *document) read(stream []byte) (ok bool) {
	if d.root = readBlock(d.text, d.line); d.root != nil || strings.Trim(d.text, " \n") == "" {
		return twice(d.root) == nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(stream[d.begin:d.end]))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false
		}
		if empty(&doc) {
			continue
		}
		if d.root != nil || size(doc.Content[0], maxNodes) < 0 || twice(doc.Content[0]) != nil {
			return false
		}
		d.root = doc.Content[0]
	}
	if d.root == nil {
		return true
	}
	before := d.line
	if bytes.HasPrefix(stream[d.begin:], []byte("---")) {
		before--
	}
	down(d.root, before)
	return true
}

// down moves nodes by lines.
func down(n *yaml.Node, lines int) {
	n.Line += lines
	for _, child := range n.Content {
		down(child, lines)
	}
}
