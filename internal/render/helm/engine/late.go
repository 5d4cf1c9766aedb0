package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

// set is what the templates of one rendering share.
type set struct {
	ctx     context.Context
	options Options
	funcs   template.FuncMap
	bare    *template.Template // has the functions and no templates
	depth   map[string]int     // of each template, how often it is being expanded
}

// maxDepth is how often a template may stand inside of itself.
const maxDepth = 1000

// late are the functions that depend on the templates around them.
func (s *set) late(t *template.Template) template.FuncMap {
	return template.FuncMap{
		"include": func(name string, data any) (string, error) { return s.include(t, name, data) },
		"tpl":     func(text string, data any) (string, error) { return s.tpl(t, text, data) },
	}
}

func (s *set) include(t *template.Template, name string, data any) (string, error) {
	if s.depth[name] > maxDepth {
		return "", &plainError{fmt.Sprintf("template %s includes itself without end", name)}
	}
	if t.Lookup(name) == nil {
		return "", &plainError{fmt.Sprintf("there is no template %q to include", name)}
	}
	s.depth[name]++
	defer func() { s.depth[name]-- }()
	var b strings.Builder
	err := t.ExecuteTemplate(&b, name, data)
	return b.String(), err
}

// tplName is the name of texts that are no template of the chart.
const tplName = "text given to tpl"

// tpl expands a text that came in as a value. It sees the templates around it, and what it defines stays inside of it. Copying all
// templates for that is slow, so it is only done for texts that need it: most have no template in them, and few define or call one.
func (s *set) tpl(t *template.Template, text string, data any) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	from := s.bare
	if strings.Contains(text, "define") || strings.Contains(text, "template") || strings.Contains(text, "block") {
		from = t
	}
	inner, err := from.Clone()
	if err != nil {
		return "", err
	}
	around := t
	if from == t {
		around = inner
	}
	inner.Option("missingkey=zero").Funcs(s.late(around))
	parsed, err := inner.New(tplName).Parse(text)
	if err != nil {
		return "", fmt.Errorf("%w in %q", err, text)
	}
	var b strings.Builder
	if err := parsed.Execute(&b, data); err != nil {
		return "", fmt.Errorf("%w in %q", err, text)
	}
	return strings.ReplaceAll(b.String(), "<no value>", ""), nil
}

// plainError is a cause that needs no more words, such as what a chart's author wrote for its users.
type plainError struct{ text string }

func (e *plainError) Error() string { return e.text }

func required(message string, val any) (any, error) {
	if text, isText := val.(string); val == nil || isText && text == "" {
		return val, &plainError{message}
	}
	return val, nil
}

func fail(message string) (string, error) { return "", &plainError{message} }

func (s *set) lookup(apiVersion, kind, namespace, name string) (map[string]any, error) {
	if s.options.Lookup == nil {
		return map[string]any{}, nil
	}
	return s.options.Lookup(s.ctx, apiVersion, kind, namespace, name)
}

// Error is a template that failed: where, and why.
type Error struct {
	Template string // mychart/templates/deployment.yaml
	Line     int    // 0 when it is not known
	Cause    string
	Err      error
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Template + ": " + e.Cause
	}
	return fmt.Sprintf("%s:%d: %s", e.Template, e.Line, e.Cause)
}

func (e *Error) Unwrap() error { return e.Err }

// explain reads the places out of an error of Go's templates: "template: NAME:LINE:COLUMN: executing "X" at <Y>: CAUSE", where the cause
// may be such an error again, of an included template. The innermost place is where the fault is; the others say how it was reached.
func explain(name string, err error) error {
	e := &Error{Template: name, Cause: err.Error(), Err: err}
	var through []string
	for _, part := range strings.Split(err.Error(), "template: ")[1:] {
		place, cause, _ := strings.Cut(part, ": ")
		fields := strings.SplitN(place, ":", 3)
		if len(fields) < 2 {
			continue
		}
		line, err := strconv.Atoi(fields[1])
		if err != nil {
			continue
		}
		if e.Cause = cause; fields[0] == tplName {
			continue // a text has no place of its own
		}
		if at := fmt.Sprintf("%s:%d", e.Template, e.Line); e.Line > 0 && !slices.Contains(through, at) {
			through = append(through, at)
		}
		e.Template, e.Line = fields[0], line
	}
	if _, at, found := strings.Cut(e.Cause, " at <"); found && strings.HasPrefix(e.Cause, "executing ") {
		e.Cause = "<" + at
	}
	if plain, ok := errors.AsType[*plainError](err); ok {
		e.Cause = plain.text
	}
	if len(through) > 0 {
		e.Cause += " (included from " + strings.Join(through, ", ") + ")"
	}
	return e
}
