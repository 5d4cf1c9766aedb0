package classic

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/moby/api/types/jsonstream"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/event"
)

// keptLines is how many of a step's last lines an error repeats.
const keptLines = event.LastLines

// step is one step of the build as the Engine tells it.
type step struct {
	number int // from 1 through the whole Dockerfile; 0 before the first
	name   string
	tail   []string
}

// follow reads what the Engine tells about the build until it ends. An Engine that gets a base image tells how that goes; when it tells nothing for a
// while, it waits for a registry that does not answer, and stop ends the build.
func (j *job) follow(ctx context.Context, stop context.CancelCauseFunc, answer io.Reader) error {
	patience := cmp.Or(j.o.Patience, build.Patience)
	silence := time.AfterFunc(math.MaxInt64, func() { stop(fmt.Errorf("nothing was heard for %s", patience)) })
	defer silence.Stop()
	stepLine := regexp.MustCompile(`^Step (\d+)/\d+ : (.*)$`)
	var now step
	line := func(text string) {
		j.sink.Emit(event.ArtifactLog{Image: j.request.Image, Line: text})
		if m := stepLine.FindStringSubmatch(text); m != nil {
			n, err := strconv.Atoi(m[1])
			if err == nil {
				now = step{number: n, name: m[2]}
			}
			return
		}
		now.tail = append(now.tail, text)
		now.tail = now.tail[max(0, len(now.tail)-keptLines):]
	}
	var rest string
	for messages := json.NewDecoder(answer); ; {
		if isFrom := strings.HasPrefix(strings.ToUpper(now.name), "FROM "); !isFrom {
			silence.Stop()
		} else {
			silence.Reset(patience)
		}
		var m jsonstream.Message
		err := messages.Decode(&m)
		switch {
		case err != nil && context.Cause(ctx) != nil:
			return j.failure(context.Cause(ctx), now)
		case errors.Is(err, io.EOF):
			if rest != "" {
				line(rest)
			}
			return nil
		case err != nil:
			return &engine.LostError{Host: j.o.Docker.Host, Err: err}
		case m.Error != nil:
			return j.failure(m.Error, now)
		case m.ID == "" && m.Status != "":
			line(m.Status)
		}
		rest += m.Stream
		for {
			text, after, ok := strings.Cut(rest, "\n")
			if !ok {
				break
			}
			if text = strings.TrimRight(text, "\r"); text != "" {
				line(text)
			}
			rest = after
		}
	}
}

// What the Engine's errors say, beside a command's exit code.
const (
	syntaxError = `line (\d+): (.*)`
	notFound    = `(?:file not found in build context or excluded by \.dockerignore: stat |stat /var/lib/docker/tmp/docker-builder\d+/)([^:]+): `
	fromStep    = `(?i)^FROM\s+(?:--\S+\s+)*(\S+)`
)

// failure says where in the Dockerfile the build failed.
func (j *job) failure(err error, now step) error {
	find := func(pattern, text string) []string { return regexp.MustCompile(pattern).FindStringSubmatch(text) }
	if now.number == 0 {
		if m := find(syntaxError, err.Error()); m != nil && strings.Contains(err.Error(), "parse error") {
			n, convErr := strconv.Atoi(m[1])
			if convErr == nil {
				data, readErr := os.ReadFile(j.spec.Dockerfile)
				return &build.StepError{Excerpt: build.NewExcerpt(j.spec.Dockerfile, data, n, n), Err: errors.Join(errors.New(m[2]), readErr)}
			}
		}
		return fmt.Errorf("the Docker Engine at %s: %w", j.o.Docker.Host, err)
	}
	failed := &build.StepError{Step: now.name, Excerpt: j.excerpt(now.number), Log: now.tail, Err: err}
	var message *jsonstream.Error
	if errors.As(err, &message) {
		failed.ExitCode = message.Code
	}
	if m := find(fromStep, now.name); m != nil {
		failed.Err, failed.Step = build.Refusal("pulling", m[1], err), ""
	}
	if m := find(notFound, err.Error()); m != nil {
		failed.Err, failed.Step, failed.Log = errors.New(j.spec.NotInContext(m[1])), "", nil
	}
	return failed
}

// excerpt is the part of the Dockerfile with an instruction, counted from 1 as the Engine counts.
func (j *job) excerpt(number int) build.Excerpt {
	data, err := os.ReadFile(j.spec.Dockerfile)
	if err != nil {
		return build.Excerpt{}
	}
	parsed, err := parser.Parse(bytes.NewReader(data))
	if err != nil || number > len(parsed.AST.Children) {
		return build.Excerpt{}
	}
	node := parsed.AST.Children[number-1]
	return build.NewExcerpt(j.spec.Dockerfile, data, node.StartLine, node.EndLine)
}
