package buildkit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	gateway "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"github.com/davit-dev/davit/internal/build"
)

// failure turns BuildKit's error into one that says where in the Dockerfile, why, and what to do.
//
// BuildKit's errors carry the Dockerfile's lines, the step and its exit code as data. What a registry answered and which
// file was not found arrive as text only.
func (j *job) failure(err error) error {
	if refused := j.registryFailure(err); refused != nil {
		err = refused
	}
	excerpt := j.excerpt(err)
	var vertex *errdefs.VertexError
	var exit *gateway.ExitError
	hasStep, hasExit := errors.As(err, &vertex), errors.As(err, &exit)
	if excerpt.Line == 0 && !hasStep {
		return plain(err)
	}
	step := &build.StepError{Excerpt: excerpt, Err: plain(err)}
	if hasStep {
		step.Step, step.Log = j.log.named(digest.Digest(vertex.Digest))
	}
	if hasExit {
		step.ExitCode = int(exit.ExitCode)
	}
	if missing := missingFile.FindStringSubmatch(err.Error()); missing != nil {
		step.Step, step.Err = "", j.notInContext(missing[1], err)
	}
	return step
}

// plain leaves out BuildKit's words that say nothing to a user. The error stays in the chain.
func plain(err error) error {
	text := err.Error()
	for _, words := range []string{"failed to solve: ", "dockerfile parse error on line "} {
		if after, ok := strings.CutPrefix(text, words); ok {
			text = after
		}
	}
	if _, after, ok := strings.Cut(text, ": "); ok && strings.Contains(err.Error(), "dockerfile parse error") {
		text = after // the line's number is part of the excerpt
	}
	return &reworded{text: text, error: err}
}

// reworded is an error with other words.
type reworded struct {
	text string
	error
}

func (e *reworded) Error() string { return e.text }
func (e *reworded) Unwrap() error { return e.error }

// excerptLines is how many lines are shown before and after those that failed.
const excerptLines = 2

// excerpt is the part of the Dockerfile that the error is about.
func (j *job) excerpt(err error) build.Excerpt {
	sources := errdefs.Sources(err)
	if len(sources) == 0 {
		return build.Excerpt{}
	}
	s := sources[len(sources)-1]
	if s.Info == nil || len(s.Ranges) == 0 {
		return build.Excerpt{}
	}
	x := build.Excerpt{File: s.Info.Filename}
	if filepath.Base(x.File) == filepath.Base(j.spec.Dockerfile) {
		x.File = j.spec.Dockerfile
	}
	x.Line, x.Last = lineRange(s.Ranges)
	text := strings.ReplaceAll(string(s.Info.Data), "\r\n", "\n")
	all := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if x.Line < 1 || x.Line > len(all) {
		return x
	}
	x.First = max(x.Line-excerptLines, 1)
	x.Lines = all[x.First-1 : min(x.Last+excerptLines, len(all))]
	return x
}

func lineRange(ranges []*pb.Range) (first, last int) {
	for _, r := range ranges {
		start, end := int(r.Start.GetLine()), int(r.End.GetLine())
		if first == 0 || start < first {
			first = start
		}
		last = max(last, start, end)
	}
	return first, last
}

// missingFile is how BuildKit says that the source of a COPY does not exist, now and in the Engine 20.10.
var missingFile = regexp.MustCompile(`failed to compute cache key: (?:failed to calculate checksum of ref \S+ )?"/?([^"]+)"(?: not found)?: not found`)

// notInContext says which file a COPY did not find, and whether it is there and only hidden.
func (j *job) notInContext(name string, err error) error {
	ignore := j.spec.Dockerfile + ".dockerignore"
	if _, e := os.Stat(ignore); e != nil {
		ignore = filepath.Join(j.spec.Context, ".dockerignore")
	}
	text := fmt.Sprintf("%q is not in the build context %s", name, j.spec.Context)
	if _, e := os.Lstat(filepath.Join(j.spec.Context, filepath.FromSlash(name))); e == nil {
		text = fmt.Sprintf("%q is in the build context %s but hidden by %s", name, j.spec.Context, ignore)
	}
	return &reworded{text: text, error: err}
}
