package load

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/davit-dev/davit/internal/config/diag"
)

// syntaxError gives a yaml error its place: the library puts the line into the text, or leaves it out.
func syntaxError(src *diag.Source, err error) *diag.Error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	next := "check the indentation and the quotes here and in the line above"
	tab := tabAfter(src, line)
	anchor := regexp.MustCompile(`^unknown anchor '(.*)' referenced`).FindStringSubmatch(text)
	column := 0
	switch {
	case tab > 0 && (strings.Contains(text, "tab character") || strings.Contains(text, "cannot start any token")):
		line, text, next = tab, "a tab in the indentation", "indent with blanks"
	case anchor != nil:
		line, column = placeOf(src, bytes.Index(src.Text, []byte("*"+anchor[1])))
		text, next = fmt.Sprintf("there is no anchor %q before this alias", anchor[1]), fmt.Sprintf("name a value with &%s above", anchor[1])
	case strings.Contains(text, "control characters") || strings.Contains(text, "UTF-8"):
		if at := notText(src.Text); at >= 0 {
			line, column = placeOf(src, at)
			text, next = fmt.Sprintf("byte 0x%02x is no text", src.Text[at]), "save the file as UTF-8, or name another with -f if this is none to read"
		}
	}
	if trimmed := strings.TrimLeft(src.Line(line), " \t"); column == 0 && line > 0 && trimmed != "" {
		column = len(src.Line(line)) - len(trimmed) + 1
	}
	e := src.At(line, max(column, 1), "", "this is not valid YAML: "+text, next)
	e.Err = err
	return e
}

// notText finds the first byte that neither YAML nor UTF-8 allows; -1 where there is none.
func notText(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size < 2 || r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f {
			return i
		}
		i += size
	}
	return -1
}

// placeOf gives the line and column of a byte; 0 for the line where there is no such byte.
func placeOf(src *diag.Source, at int) (line, column int) {
	if at < 0 {
		return 0, 0
	}
	before := src.Text[:at]
	start := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[start:]) + 1
}

// tabAfter finds the line that is indented by a tab, at or just below the one the library names; 0 where there is none.
func tabAfter(src *diag.Source, line int) int {
	for n := max(line, 1); n < line+3; n++ {
		text := src.Line(n)
		if strings.Contains(text[:len(text)-len(strings.TrimLeft(text, " \t"))], "\t") {
			return n
		}
	}
	return 0
}
