package build

import (
	"fmt"
	"strings"
)

// StepError is a build that ran into its Dockerfile: a step that failed or a file that does not parse. Its Error has
// several lines and holds everything below, fit to be shown as it is.
type StepError struct {
	Step     string // "[2/3] RUN make"; empty when no step ran
	ExitCode int    // of the step's command; 0 when it is not that which failed
	Excerpt  Excerpt
	Log      []string // the last lines that the step printed
	Hint     string   // what to do about it; may be empty
	Err      error
}

func (e *StepError) Error() string {
	var b strings.Builder
	if e.Excerpt.Line > 0 {
		fmt.Fprintf(&b, "%s:%d: ", e.Excerpt.File, e.Excerpt.Line)
	}
	switch {
	case e.ExitCode != 0:
		fmt.Fprintf(&b, "%s failed with exit code %d", e.Step, e.ExitCode)
	case e.Step != "":
		fmt.Fprintf(&b, "%s failed: %v", e.Step, e.Err)
	default:
		fmt.Fprintf(&b, "%v", e.Err)
	}
	if len(e.Log) > 0 {
		fmt.Fprintf(&b, "\nthe step's last lines:\n  %s", strings.Join(e.Log, "\n  "))
	}
	if lines := e.Excerpt.String(); lines != "" {
		fmt.Fprintf(&b, "\n%s", strings.TrimRight(lines, "\n"))
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, "\n%s", e.Hint)
	}
	return b.String()
}

func (e *StepError) Unwrap() error { return e.Err }

// Excerpt is a piece of a file with some lines marked.
type Excerpt struct {
	File  string
	Line  int // the first marked line, from 1; 0 when nothing is known
	First int // the number of Lines[0]
	Lines []string
	Last  int // the last marked line
}

// excerptLines is how many lines are shown before and after those that are marked.
const excerptLines = 2

// NewExcerpt takes the lines from first to last, counted from 1, out of a file, and some around them.
func NewExcerpt(file string, data []byte, first, last int) Excerpt {
	x := Excerpt{File: file, Line: first, Last: last}
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	all := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if first < 1 || first > len(all) {
		return x
	}
	x.First = max(first-excerptLines, 1)
	x.Lines = all[x.First-1 : min(last+excerptLines, len(all))]
	return x
}

// String shows the lines with their numbers, the marked ones with an arrow.
func (x Excerpt) String() string {
	var b strings.Builder
	for i, line := range x.Lines {
		n, mark := x.First+i, "   "
		if n >= x.Line && n <= x.Last {
			mark = ">>>"
		}
		fmt.Fprintf(&b, "  %s %3d | %s\n", mark, n, line)
	}
	return b.String()
}

// RegistryError is a registry that did not take or give an image.
type RegistryError struct {
	Registry, Repository string
	Doing                string // "pushing" or "pulling"
	Cause                string // "access denied (403)"
	Hint                 string // the next step
	Err                  error
}

func (e *RegistryError) Error() string {
	s := fmt.Sprintf("%s %s/%s: %s", e.Doing, e.Registry, e.Repository, e.Cause)
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

func (e *RegistryError) Unwrap() error { return e.Err }
