package helm

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/davit-dev/davit/internal/render/helm/chart"
)

// invalidError is a template that gave something else than YAML.
type invalidError struct {
	page  string   // path of the template
	lines []string // of what it gave
	line  int      // where that is wrong, from 1; 0 where that is not known
	from  int      // line of the template that gave it; 0 where that is not sure
	cause string
	err   error
}

// newInvalidError explains an error of the parser, which counts the lines of one document of the page.
func newInvalidError(name, page, document string, err error) *invalidError {
	e := &invalidError{page: name, lines: strings.Split(strings.TrimRight(page, "\n"), "\n"), err: err}
	e.cause = strings.TrimPrefix(strings.TrimPrefix(err.Error(), "error converting YAML to JSON: "), "yaml: ")
	if m := regexp.MustCompile(`^line (\d+): (?s:(.*))`).FindStringSubmatch(e.cause); m != nil {
		inDocument, _ := strconv.Atoi(m[1])
		before, _, _ := strings.Cut(page, document)
		e.line, e.cause = inDocument+strings.Count(before, "\n"), m[2]
	}
	return e
}

// Error names the template with its line where that is known, and shows what it gave around the place.
func (e *invalidError) Error() string {
	at := e.page
	if e.from > 0 {
		at += ":" + strconv.Itoa(e.from)
	}
	where := ""
	if e.line > 0 {
		where = fmt.Sprintf("line %d: ", e.line)
	}
	return fmt.Sprintf("template %s gives invalid YAML: %s%s\n%s", at, where, e.cause, e.excerpt())
}

func (e *invalidError) Unwrap() error { return e.err }

// excerpt shows the lines around the place under their numbers, or the first ones.
func (e *invalidError) excerpt() string {
	const around = 8
	first, last := max(0, e.line-1-around), min(len(e.lines), max(e.line, 1)+around)
	var b strings.Builder
	for i := first; i < last; i++ {
		mark := " "
		if i+1 == e.line {
			mark = ">"
		}
		fmt.Fprintf(&b, "%s %4d | %s\n", mark, i+1, e.lines[i])
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// locate finds the line of the template that gave the wrong one: the only one that has its text where there is no action.
func (e *invalidError) locate(c *chart.Chart) {
	if e.line < 1 || e.line > len(e.lines) {
		return
	}
	text := e.lines[e.line-1]
	for i, line := range strings.Split(source(c, e.page), "\n") {
		if !gives(line, text) {
			continue
		}
		if e.from > 0 {
			e.from = 0
			return
		}
		e.from = i + 1
	}
}

// gives says whether a line of a template may have given a text. One that has hardly any text of its own says nothing.
func gives(line, text string) bool {
	fixed := regexp.MustCompile(`\{\{.*?\}\}`).Split(line, -1)
	if len(strings.TrimSpace(strings.Join(fixed, ""))) < 2 {
		return false
	}
	for i := range fixed {
		fixed[i] = regexp.QuoteMeta(fixed[i])
	}
	return regexp.MustCompile("^" + strings.Join(fixed, ".*") + "$").MatchString(text)
}

// source is the text of a template, by its path from the root chart.
func source(c *chart.Chart, page string) string {
	for _, t := range c.Templates {
		if c.FullPath()+"/"+t.Name == page {
			return string(t.Data)
		}
	}
	for _, sub := range c.Subcharts() {
		if text := source(sub, page); text != "" {
			return text
		}
	}
	return ""
}

// located adds the template's line to an error about what it gave.
func located(err error, c *chart.Chart) error {
	if invalid, ok := errors.AsType[*invalidError](err); ok {
		invalid.locate(c)
	}
	return err
}
