package report

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// region is a terminal whose last lines are redrawn in place while others scroll by above them. The cursor rests on the line below, so
// that what somebody else prints, or a process that is killed, leaves a terminal that can be used.
type region struct {
	out   io.Writer
	size  func() (columns, rows int)
	above bytes.Buffer // lines to scroll, each with its newline
	shown []string     // the lines on the screen
	cols  int          // for which they were made
}

// columns and rows are the size to draw for. A terminal that does not know its size is taken for an old one.
func (r *region) fit() (columns, rows int) {
	columns, rows = r.size()
	if columns <= 0 {
		columns = 80
	}
	if rows <= 0 {
		rows = 24
	}
	return columns, rows
}

// draw scrolls what waits above and shows lines below it, in one write. Lines that do not fit are cut, and so are the last ones where there
// are more than rows.
func (r *region) draw(lines []line) {
	columns, rows := r.fit()
	lines = lines[:min(len(lines), max(rows-1, 0))]
	text := make([]string, len(lines))
	for i, l := range lines {
		text[i] = l.fit(columns - 1) // a terminal may wrap what fills a row
	}
	if r.above.Len() == 0 && columns == r.cols && slices.Equal(text, r.shown) {
		return
	}
	var b bytes.Buffer
	if up := r.occupied(columns); up > 0 {
		b.WriteString("\x1b[" + strconv.Itoa(up) + "A")
	}
	b.WriteString("\r")
	for l := range bytes.Lines(r.above.Bytes()) {
		b.Write(bytes.TrimSuffix(l, []byte("\n")))
		b.WriteString("\x1b[K\n")
	}
	for _, l := range text {
		b.WriteString(l + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	r.above.Reset()
	r.shown, r.cols = text, columns
	_, _ = r.out.Write(b.Bytes())
}

// occupied is how many rows the shown lines take now: a terminal made narrower has wrapped them.
func (r *region) occupied(columns int) int {
	rows := 0
	for _, l := range r.shown {
		rows += max(1, (textWidth(l)+columns-1)/columns)
	}
	return rows
}

// line is one line of the region: its text, cut where it does not fit, and what stands at the right edge, left out where there is no room.
type line struct {
	text, right string
	code        string // SGR code of the text; empty: none
}

// fit makes the line exactly as wide as it may be, or shorter.
func (l line) fit(columns int) string {
	text, room := clean(l.text), columns
	if l.right != "" && columns >= textWidth(l.right)+12 {
		room -= textWidth(l.right) + 1
	}
	text = cut(text, room)
	gap := room - textWidth(text)
	if l.code != "" {
		text = "\x1b[" + l.code + "m" + text + "\x1b[0m"
	}
	if room == columns {
		return text
	}
	return text + strings.Repeat(" ", gap+1) + l.right
}

// cut shortens a text to so many columns, and shows that it did where there is room to.
func cut(s string, columns int) string {
	if textWidth(s) <= columns {
		return s
	}
	mark := "..."
	if columns < 10 {
		mark = ""
	}
	wide := 0
	for i, c := range s {
		if wide += runeWidth(c); wide > columns-len(mark) {
			return s[:i] + mark
		}
	}
	return s
}

// textWidth is the number of columns that a text takes, colours not counted.
func textWidth(s string) int {
	wide := 0
	for _, c := range withoutEscapes(s) {
		wide += runeWidth(c)
	}
	return wide
}

func runeWidth(c rune) int {
	switch {
	case c < ' ' || c == 0x7f || unicode.In(c, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case c < 0x1100:
		return 1
	}
	if k := width.LookupRune(c).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
		return 2
	}
	return 1
}

// clean makes one line of what a program printed: what it overwrote itself, colours and control characters are gone.
func clean(s string) string {
	s = strings.TrimRight(s, "\r\n")
	s = s[strings.LastIndexAny(s, "\r\n")+1:]
	s = strings.ReplaceAll(withoutEscapes(s), "\t", "    ")
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return -1
		}
		return c
	}, s)
}

// withoutEscapes leaves out escape sequences: CSI (ESC [ ... letter), OSC (ESC ] ... BEL or ESC \) and those of two characters.
func withoutEscapes(s string) string {
	if !strings.Contains(s, "\x1b") {
		return s
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "\x1b")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		s = rest[escapeLength(rest):]
	}
}

// escapeLength is how many bytes after ESC belong to the sequence.
func escapeLength(s string) int {
	switch {
	case s == "":
		return 0
	case s[0] == '[':
		for i := 1; i < len(s); i++ {
			if s[i] >= 0x40 && s[i] <= 0x7e {
				return i + 1
			}
		}
	case s[0] == ']':
		if end := strings.IndexAny(s, "\a\x1b"); end >= 0 {
			return end + 1
		}
	default:
		return 1
	}
	return len(s)
}
