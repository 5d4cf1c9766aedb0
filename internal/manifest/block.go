package manifest

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// block reads YAML in the plain block style that most manifests, and all that are big, are written in: mappings and sequences by indentation,
// scalars on one line, literal blocks. It makes the same nodes as package yaml, several times faster. What is anything else, even where it is only
// likely to be, it leaves to package yaml: comments, anchors, tags, flow style, scalars of several lines, escapes, errors.
type block struct {
	text string
	pos  int // where the line after the current one begins
	line int // number of the current line, from 0

	// The current line, or what of it is not read yet.
	begin, end, indent int
	done               bool // there is no further line

	nodes []yaml.Node // not given away yet; one by one they would cost more
	stack []*yaml.Node
	depth int
	other bool // the text has something that is left to package yaml
}

// readBlock gives the root of a document whose first line has the number line, from 0; nil for what it does not read.
func readBlock(text string, line int) *yaml.Node {
	if !plainText(text) {
		return nil
	}
	b := &block{text: text, line: line - 1}
	b.advance()
	if b.done || b.other || b.dash() {
		return nil
	}
	root := b.mapping(b.indent)
	if b.other || !b.done {
		return nil
	}
	return root
}

// plainText says that a text has only characters that mean the same to everyone, and ends with a newline.
func plainText(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\n' || c > '~' {
			return false
		}
	}
	return strings.HasSuffix(text, "\n")
}

// advance goes to the next line that is not blank.
func (b *block) advance() {
	for b.pos < len(b.text) {
		b.line++
		b.begin = b.pos
		length := strings.IndexByte(b.text[b.pos:], '\n')
		b.end = b.pos + length
		b.pos = b.end + 1
		for b.begin < b.end && b.text[b.begin] == ' ' {
			b.begin++
		}
		if b.begin < b.end {
			b.indent = b.begin - (b.end - length)
			b.other = b.other || b.text[b.begin] == '#'
			return
		}
	}
	b.done = true
}

// dash says whether an item of a sequence begins here.
func (b *block) dash() bool {
	return b.text[b.begin] == '-' && (b.begin+1 == b.end || b.text[b.begin+1] == ' ')
}

func (b *block) node(kind yaml.Kind, tag string, at int) *yaml.Node {
	if len(b.nodes) == 0 {
		b.nodes = make([]yaml.Node, min(256, 8+len(b.text)/32))
	}
	n := &b.nodes[0]
	b.nodes = b.nodes[1:]
	n.Kind, n.Tag, n.Line, n.Column = kind, tag, b.line+1, at-strings.LastIndexByte(b.text[:at], '\n')
	return n
}

// take ends a collection whose content begins at depth of the stack.
func (b *block) take(n *yaml.Node, depth int) *yaml.Node {
	n.Content = append(make([]*yaml.Node, 0, len(b.stack)-depth), b.stack[depth:]...)
	b.stack = b.stack[:depth]
	return n
}

func (b *block) mapping(indent int) *yaml.Node {
	n, depth := b.node(yaml.MappingNode, "!!map", b.begin), len(b.stack)
	for !b.done && !b.other && b.indent == indent && !b.dash() {
		length := b.keyLength()
		if length == 0 {
			b.other = true
			return nil
		}
		b.stack = append(b.stack, b.plain(b.begin, b.begin+length))
		b.begin += length + 1
		value := b.value(indent, true)
		b.stack = append(b.stack, value)
	}
	return b.take(n, depth)
}

// keyLength is that of the simple key which the rest of the line begins with; 0 when it begins with something else.
func (b *block) keyLength() int {
	const longest = 128
	for i := b.begin; i < min(b.end, b.begin+longest); i++ {
		switch c := b.text[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.', c == '/', c == '$':
		case c == '-' && i > b.begin:
		case c == ':' && (i+1 == b.end || b.text[i+1] == ' '):
			return i - b.begin
		default:
			return 0
		}
	}
	return 0
}

func (b *block) sequence(indent int) *yaml.Node {
	n, depth := b.node(yaml.SequenceNode, "!!seq", b.begin), len(b.stack)
	for !b.done && !b.other && b.indent == indent && b.dash() {
		b.begin++
		item := b.value(indent, false)
		b.stack = append(b.stack, item)
	}
	return b.take(n, depth)
}

// value reads what follows a key or a dash, in a collection with this indent.
func (b *block) value(indent int, ofKey bool) *yaml.Node {
	const deepest = 1000
	b.depth++
	defer func() { b.depth-- }()
	if b.depth > deepest {
		b.other = true
		return nil
	}
	for b.begin < b.end && b.text[b.begin] == ' ' {
		b.begin++
	}
	for b.end > b.begin && b.text[b.end-1] == ' ' {
		b.end--
	}
	if b.begin == b.end {
		return b.below(indent, ofKey)
	}
	if !ofKey && (b.dash() || b.keyLength() > 0) {
		b.indent = b.begin - strings.LastIndexByte(b.text[:b.begin], '\n') - 1
		if b.dash() {
			return b.sequence(b.indent)
		}
		return b.mapping(b.indent)
	}
	return b.scalar(indent)
}

// below reads the collection on the lines after a key.
func (b *block) below(indent int, ofKey bool) *yaml.Node {
	b.advance()
	switch {
	case b.done, b.other, !ofKey:
	case b.indent > indent && b.dash(), b.indent == indent && b.dash():
		return b.sequence(b.indent)
	case b.indent > indent:
		return b.mapping(b.indent)
	}
	b.other = true // null, or wrong
	return nil
}

// scalar reads the rest of the line, and goes to the next one.
func (b *block) scalar(indent int) *yaml.Node {
	begin, end := b.begin, b.end
	text := b.text[begin:end]
	var n *yaml.Node
	switch c := text[0]; c {
	case '"', '\'':
		n = b.quoted(begin, text)
	case '|':
		return b.literal(indent, text)
	case '[', '{':
		switch text {
		case "[]":
			n = b.node(yaml.SequenceNode, "!!seq", begin)
		case "{}":
			n = b.node(yaml.MappingNode, "!!map", begin)
		}
		if n != nil {
			n.Style = yaml.FlowStyle
		}
	default:
		special := strings.IndexByte("?:,]}#&*!>%@`", c) >= 0 || c == '-' && (len(text) == 1 || text[1] == ' ')
		if !special && !strings.Contains(text, ": ") && !strings.Contains(text, " #") && text[len(text)-1] != ':' {
			n = b.plain(begin, end)
		}
	}
	if b.other = b.other || n == nil; b.other {
		return nil
	}
	b.advance()
	b.other = b.other || !b.done && b.indent > indent // it goes on
	return n
}

func (b *block) plain(begin, end int) *yaml.Node {
	n := b.node(yaml.ScalarNode, "", begin)
	n.Value = b.text[begin:end]
	n.Tag = plainTag(n.Value)
	return n
}

// plainTag is the tag that a scalar without quotes has.
func plainTag(value string) string {
	c := value[0]
	if (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '/' || c == '_' || c == '$') && strings.IndexByte("yYnNtTfFoO", c) < 0 {
		return "!!str"
	}
	return (&yaml.Node{Kind: yaml.ScalarNode, Value: value}).ShortTag()
}

func (b *block) quoted(begin int, text string) *yaml.Node {
	inside := text[1:]
	end := strings.IndexByte(inside, text[0])
	if end < 0 || end != len(inside)-1 || text[0] == '"' && strings.IndexByte(inside, '\\') >= 0 {
		return nil
	}
	n := b.node(yaml.ScalarNode, "!!str", begin)
	n.Value, n.Style = inside[:end], yaml.DoubleQuotedStyle
	if text[0] == '\'' {
		n.Style = yaml.SingleQuotedStyle
	}
	return n
}

// literal reads a block of lines as they are.
func (b *block) literal(indent int, header string) *yaml.Node {
	if header != "|" && header != "|-" {
		b.other = true
		return nil
	}
	n := b.node(yaml.ScalarNode, "!!str", b.begin)
	n.Style = yaml.LiteralStyle
	first := b.line + 1
	line, pos := b.line, b.pos // advance would take a line that begins with # for a comment
	b.advance()
	if b.done || b.line != first || b.indent <= indent {
		b.other = true
		return nil
	}
	margin := b.indent
	b.line, b.pos, b.other = line, pos, false
	var value strings.Builder
	for b.pos < len(b.text) {
		length := strings.IndexByte(b.text[b.pos:], '\n')
		content := b.text[b.pos : b.pos+length]
		blank := len(content) - len(strings.TrimLeft(content, " "))
		if blank < margin && blank < len(content) {
			break
		}
		value.WriteString(content[min(margin, len(content)):])
		value.WriteByte('\n')
		b.pos += length + 1
		b.line++
	}
	n.Value = strings.TrimRight(value.String(), "\n")
	if header == "|" {
		n.Value += "\n"
	}
	b.advance()
	b.other = b.other || !b.done && b.indent > indent
	return n
}
