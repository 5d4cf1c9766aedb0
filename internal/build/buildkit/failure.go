package buildkit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	gateway "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/grpcerrors"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/carried"
)

// failure turns BuildKit's error into one that says where in the Dockerfile, why, and what to do.
//
// BuildKit's errors carry the Dockerfile's lines, the step and its exit code as data; those of the Engine 20.10 do not, and
// the step that failed last is looked for in the Dockerfile. What a registry answered and which file was not found arrive
// as text only.
func (j *job) failure(err error) error {
	if refused := j.registryFailure(err); refused != nil {
		err = refused
	} else if grpcerrors.Code(err) == codes.Unavailable {
		return j.lostDaemon(err)
	}
	var id digest.Digest
	if vertex := (*errdefs.VertexError)(nil); errors.As(err, &vertex) {
		id = digest.Digest(vertex.Digest)
	}
	name, tail := j.log.failure(id)
	step := &build.StepError{Excerpt: j.excerpt(err, name), ExitCode: exitCode(err), Err: plain(err)}
	if exporter := find(`(?:unknown|could not find.*) cache exporter: "?(\w+)"?`, err.Error()); exporter != nil {
		return &reworded{text: fmt.Sprintf("the BuildKit of the %s cannot export its cache to a %s: use cacheTo type=inline, or build with another one (BUILDKIT_HOST)", j.where, exporter[1]), error: err}
	}
	said := err.Error() + strings.Join(tail, "\n")
	switch {
	case step.ExitCode != 0 && strings.Contains(said, "exec format error"):
		step.Hint = j.foreign(name)
	case strings.Contains(strings.ToLower(said), "no space left on device"):
		step.Hint = j.fullDisk()
	}
	if step.Excerpt.Line == 0 && step.ExitCode == 0 {
		if step.Hint != "" {
			return fmt.Errorf("%w; %s", plain(err), step.Hint)
		}
		return plain(err)
	}
	if id != "" || step.ExitCode != 0 {
		step.Step, step.Log = name, tail
	}
	if missing := find(missingFile, err.Error()); missing != nil {
		step.Step, step.Err = "", j.notInContext(missing[1], step.Excerpt, err)
	}
	return step
}

// fullDisk says what to do about it.
func (j *job) fullDisk() string {
	command := "davit builder prune"
	if j.where.Kind == Engine {
		command = "docker builder prune, docker image prune"
	}
	return fmt.Sprintf("the disk of the %s is full: free space there, such as by %s", j.where, command)
}

// lostDaemon is a connection that broke.
func (j *job) lostDaemon(err error) error {
	text := fmt.Sprintf("the %s went away during the build: %v", j.where, plain(err))
	switch j.where.Kind {
	case Carried:
		text += "; its log is " + carried.LogPath(j.options.Carried.Dir) + "; the next build starts it again"
	case Engine, Daemon:
		text += "; start it again, then run the same once more: what was built is in its cache"
	}
	return &reworded{text: text, error: err}
}

// exitCode is that of the step's command, 0 when no command failed.
func exitCode(err error) int {
	if exit := (*gateway.ExitError)(nil); errors.As(err, &exit) {
		return int(exit.ExitCode)
	}
	m := find(`exit code: (\d+)$`, err.Error())
	if m == nil {
		return 0
	}
	code, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return code
}

// plain leaves out BuildKit's words that say nothing to a user. The error stays in the chain.
func plain(err error) error {
	text := err.Error()
	for _, words := range []string{"failed to solve: ", "failed to solve with frontend dockerfile.v0: ", "ResourceExhausted: ", "dockerfile parse error on line "} {
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

// excerpt is the part of the Dockerfile that the error is about: the one that it names, else the step's.
func (j *job) excerpt(err error, step string) build.Excerpt {
	sources := errdefs.Sources(err)
	if len(sources) == 0 {
		if line := find(`dockerfile parse error line (\d+): `, err.Error()); line != nil { // before 0.9
			return j.excerptOfLine(line[1])
		}
		return j.excerptOfStep(step)
	}
	s := sources[len(sources)-1]
	if s.Info == nil || len(s.Ranges) == 0 {
		return build.Excerpt{}
	}
	file := s.Info.Filename
	if filepath.Base(file) == filepath.Base(j.spec.Dockerfile) {
		file = j.spec.Dockerfile
	}
	first, last := lineRange(s.Ranges)
	return build.NewExcerpt(file, s.Info.Data, first, last)
}

// excerptOfStep looks for a step's instruction in the Dockerfile, and finds it when it is there once.
func (j *job) excerptOfStep(step string) build.Excerpt {
	if _, after, ok := strings.Cut(step, "] "); ok && strings.HasPrefix(step, "[") {
		step = after // [stage 2/3]
	}
	instruction := strings.Join(strings.Fields(step), " ")
	data, err := os.ReadFile(j.spec.Dockerfile)
	if err != nil || instruction == "" {
		return build.Excerpt{}
	}
	parsed, err := parser.Parse(bytes.NewReader(data))
	if err != nil {
		return build.Excerpt{}
	}
	var found []*parser.Node
	for _, node := range parsed.AST.Children {
		if strings.Join(strings.Fields(node.Original), " ") == instruction {
			found = append(found, node)
		}
	}
	if len(found) != 1 {
		return build.Excerpt{}
	}
	return build.NewExcerpt(j.spec.Dockerfile, data, found[0].StartLine, found[0].EndLine)
}

func (j *job) excerptOfLine(number string) build.Excerpt {
	line, err := strconv.Atoi(number)
	if err != nil {
		return build.Excerpt{}
	}
	data, err := os.ReadFile(j.spec.Dockerfile)
	if err != nil {
		return build.Excerpt{}
	}
	return build.NewExcerpt(j.spec.Dockerfile, data, line, line)
}

// foreign says what to do about a step that runs a program for another processor than the machine's.
func (j *job) foreign(step string) string {
	platform, processor := "another platform", "all"
	if named := find(`^\[(\w+/[\w/]+) `, step); named != nil {
		platform = named[1]
	} else if len(j.request.Platforms) == 1 {
		platform = j.request.Platforms[0]
	}
	if parts := strings.Split(platform, "/"); len(parts) > 1 {
		processor = parts[1]
	}
	return fmt.Sprintf("it runs a program for %s, which the machine of the %s cannot: let it do so by QEMU (on Debian: apt-get install qemu-user-static binfmt-support; "+
		"by Docker: docker run --privileged --rm tonistiigi/binfmt --install %s), or run the step in a stage FROM --platform=$BUILDPLATFORM and copy what it makes", platform, j.where, processor)
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
const missingFile = `failed to compute cache key: (?:failed to calculate checksum of ref \S+ )?"/?([^"]+)"(?: not found)?: not found`

// find returns what the groups of a pattern match, or nil. It compiles the pattern on each use: that is after a failure,
// and no start of davit shall pay for it.
func find(pattern, text string) []string { return regexp.MustCompile(pattern).FindStringSubmatch(text) }
