// Package diag holds what the configuration packages say when something is wrong: where it is,
// the line itself with a caret, the cause and the next step.
package diag

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Position is a place in a file. Line and Column count from 1; a Line of 0 means the file as a whole.
type Position struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String gives file:line:column, with what is unknown left out.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	s := strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
	if p.File != "" {
		s = p.File + ":" + s
	}
	return s
}

// Error is one thing that is wrong with a configuration.
type Error struct {
	Position
	// Code says what kind of error it is, for programs: one of Skaffold's status codes. Empty means CodeParsing.
	Code string `json:"code,omitempty"`
	// Path names the value in the model, such as build.artifacts[0].docker; empty for a whole file.
	Path string `json:"path,omitempty"`
	// Cause says what is wrong.
	Cause string `json:"cause"`
	// Next says what to do about it; may be empty.
	Next string `json:"next,omitempty"`
	// Source is the line at Position, without its end.
	Source string `json:"source,omitempty"`
	// Err is the error underneath, where there is one.
	Err error `json:"-"`
}

// Error shows the position, the cause, the line with a caret and the next step.
func (e *Error) Error() string {
	var b strings.Builder
	if at := e.String(); at != "" {
		b.WriteString(at + ": ")
	}
	b.WriteString(e.Cause)
	if e.Source != "" {
		number := strconv.Itoa(e.Line)
		source, column := excerpt(e.Source, e.Column)
		fmt.Fprintf(&b, "\n  %s | %s", number, source)
		fmt.Fprintf(&b, "\n  %s | %s^", strings.Repeat(" ", len(number)), indentTo(source, column))
	}
	if e.Next != "" {
		b.WriteString("\n  " + e.Next)
	}
	return b.String()
}

// WithCode sets the code, and gives the error back.
func (e *Error) WithCode(code string) *Error {
	e.Code = code
	return e
}

// Unwrap gives the error underneath.
func (e *Error) Unwrap() error { return e.Err }

// longest is how much of a line is shown, in runes.
const longest = 160

// excerpt gives what is around a column of a line that is too long to show, and the column in that.
func excerpt(line string, column int) (string, int) {
	runes := []rune(line)
	if len(runes) <= longest {
		return line, column
	}
	from := max(0, min(column-1-longest/2, len(runes)-longest))
	shown := string(runes[from:min(from+longest, len(runes))])
	if from+longest < len(runes) {
		shown += "…"
	}
	if from > 0 {
		shown, column = "…"+shown, column-from+1
	}
	return shown, column
}

// indentTo gives blanks as wide as what stands before column; tabs stay tabs so that the caret lines up.
func indentTo(line string, column int) string {
	var b strings.Builder
	for _, r := range line {
		if column--; column < 1 {
			break
		}
		if r == '\t' {
			b.WriteRune(r)
		} else {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// List is everything that is wrong, in the order found.
type List []*Error

// Error joins all messages, one below the other.
func (l List) Error() string {
	parts := make([]string, len(l))
	for i, e := range l {
		parts[i] = e.Error()
	}
	return strings.Join(parts, "\n")
}

// Unwrap lets errors.Is and errors.As look into each.
func (l List) Unwrap() []error {
	errs := make([]error, len(l))
	for i, e := range l {
		errs[i] = e
	}
	return errs
}

// Err gives the list as an error, nil when it is empty.
func (l List) Err() error {
	if len(l) == 0 {
		return nil
	}
	return l
}

// All gives the diagnostics that err carries, for machine-readable output; nil where there are none.
func All(err error) List {
	var list List
	if errors.As(err, &list) {
		return list
	}
	var one *Error
	if errors.As(err, &one) {
		return List{one}
	}
	return nil
}

// Source is a file's text, kept for showing the line an error points at.
type Source struct {
	File string
	Text []byte
}

// Line gives line n (from 1) without its end, fit to be shown; empty where there is none.
func (s *Source) Line(n int) string {
	rest := string(s.Text)
	for ; n > 1; n-- {
		_, after, found := strings.Cut(rest, "\n")
		if !found {
			return ""
		}
		rest = after
	}
	line, _, _ := strings.Cut(rest, "\n")
	line = strings.TrimSuffix(strings.TrimPrefix(line, "\ufeff"), "\r")
	if !utf8.ValidString(line) {
		line = strings.ToValidUTF8(line, "?")
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' {
			return '?' // a terminal would obey it
		}
		return r
	}, line)
}

// At makes an error that points at line and column.
func (s *Source) At(line, column int, path, cause, next string) *Error {
	e := &Error{Position: Position{File: s.File, Line: line, Column: column}, Path: path, Cause: cause, Next: next}
	if line > 0 {
		e.Source = s.Line(line)
	}
	return e
}

// Nearest gives the candidate that word was most likely meant to be; empty where none is close.
func Nearest(word string, candidates []string) string {
	best, limit := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		if strings.EqualFold(c, word) {
			return c
		}
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < limit {
			best, limit = c, d
		}
	}
	return best
}

// distance counts the edits (insert, delete, replace, swap of neighbours) between two words.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
