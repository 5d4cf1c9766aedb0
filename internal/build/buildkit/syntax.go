package buildkit

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/version"

	"github.com/davit-dev/davit/internal/event"
)

// syntaxImage is the frontend that Dockerfiles name in `# syntax=` and that every BuildKit has built in, in one version.
const syntaxImage = "docker.io/docker/dockerfile"

// builtIn is the attribute by which the Dockerfile frontend knows that it is the one that `# syntax=` asked for.
const builtIn = "cmdline"

// syntax is the frontend that the Dockerfile, or the build argument BUILDKIT_SYNTAX, asks for.
type syntax struct {
	text    string // as written
	ref     string // docker.io/docker/dockerfile:1
	release string // "1.7" when it is a release of the usual frontend, "" when not: another frontend, or its labs variant
}

// readSyntax returns nil when no frontend is asked for.
func (j *job) readSyntax() (*syntax, error) {
	text := j.spec.BuildArgs["BUILDKIT_SYNTAX"]
	if text == "" {
		dockerfile, err := os.ReadFile(j.spec.Dockerfile)
		if err != nil {
			return nil, fmt.Errorf("reading the Dockerfile: %w", err)
		}
		var ok bool
		if _, text, _, ok = parser.DetectSyntax(dockerfile); !ok {
			return nil, nil
		}
	}
	first, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	named, err := reference.ParseNormalizedNamed(first)
	if err != nil {
		return nil, fmt.Errorf("the Dockerfile's syntax %q: %w", first, err)
	}
	named = reference.TagNameOnly(named)
	s := &syntax{text: text, ref: named.String()}
	if tagged, ok := named.(reference.NamedTagged); ok && named.Name() == syntaxImage {
		s.release = release(tagged.Tag())
	}
	return s, nil
}

// release is the version that a tag of the frontend names.
func release(tag string) string {
	if tag == "latest" {
		return "1"
	}
	if find(`^1(\.\d+){0,2}$`, tag) != nil {
		return tag
	}
	return ""
}

// isBuiltIn says whether davit's own BuildKit is at least the release asked for. A frontend pinned by digest is wanted
// exactly.
func (s *syntax) isBuiltIn() bool {
	if s.release == "" || strings.Contains(s.ref, "@") {
		return false
	}
	return minor(s.release) <= minor(version.Version())
}

// minor is the second number of a version.
func minor(version string) int {
	parts := strings.Split(version, ".")
	if len(parts) < 2 {
		return 0
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		return 0
	}
	return n
}

// useSyntax lets davit's own BuildKit build with the frontend that it has built in where that is the one asked for:
// nothing is pulled, and it works offline.
func (j *job) useSyntax(opt *client.SolveOpt, s *syntax) {
	if s != nil && j.where.Kind == Carried && s.isBuiltIn() {
		opt.FrontendAttrs[builtIn] = s.text
	}
}

// withoutSyntax says whether a build failed for want of the frontend's image and can be tried with the frontend that the
// BuildKit has built in, which is of the same kind but perhaps older.
func (j *job) withoutSyntax(opt *client.SolveOpt, s *syntax, err error) bool {
	if s == nil || s.release == "" || opt.FrontendAttrs[builtIn] != "" {
		return false
	}
	step, _ := j.log.failure("")
	if !strings.Contains(step, s.ref) && !strings.Contains(err.Error(), s.ref) {
		return false
	}
	opt.FrontendAttrs[builtIn] = s.text
	j.sink.Emit(event.Warning{Message: fmt.Sprintf(
		"%s asks for the frontend %s, which cannot be pulled; building with the one inside the %s", j.spec.Dockerfile, s.ref, j.where)})
	return true
}
