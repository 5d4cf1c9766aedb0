package inputs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// scratch is the empty base image.
const scratch = "scratch"

// dockerfile is a parsed Dockerfile on the way to what it reads, for one platform. The rules are those of BuildKit's Dockerfile frontend.
type dockerfile struct {
	name     string // for errors
	stages   []*stage
	byName   map[string]*stage // in lower case
	lex      *shell.Lex
	global   environment // platform arguments and those before the first FROM
	args     map[string]string
	contexts map[string]string
	unpushed map[string]bool // required artifacts that no registry has
	platform string
	base     func(ctx context.Context, ref, platform string) (BaseImage, error)

	reads reads
}

// reads is what a Dockerfile's reachable stages read.
type reads struct {
	local   map[string][]read // by named context; "" is the build context
	images  map[string]string // reference without digest → digest, "" where it is not known
	remotes map[string]bool   // URLs and git repositories that ADD gets
}

// read is one source, and where the Dockerfile names it.
type read struct {
	source
	line        int
	instruction string
}

// stage is one FROM and what follows it.
type stage struct {
	instructions.Stage
	baseName string // evaluated
	from     *stage // the stage it starts from, or nil
	context  string // the named context that stands in for it, or ""
	visited  bool
	env      environment // after its last instruction
	onBuild  []string    // for the stages that start from it
}

// environment is what variables expand to.
type environment map[string]string

func (e environment) Get(name string) (string, bool) { v, ok := e[name]; return v, ok }
func (e environment) Keys() []string                 { return slices.Collect(maps.Keys(e)) }

// errForeign says that a Dockerfile is written for another frontend than the usual one, whose rules are not known.
var errForeign = errors.New("written for another frontend")

// parseDockerfile reads content, which d configures.
func (d *dockerfile) parse(content []byte) error {
	var syntax string
	var named bool
	if bytes.Contains(bytes.ToLower(content), []byte("syntax")) { // to look for it takes as long as all the rest
		syntax, _, _, named = parser.DetectSyntax(content)
	}
	if named && !strings.HasPrefix(strings.TrimPrefix(syntax, "docker.io/"), "docker/dockerfile") {
		return errForeign
	}
	ast, err := parser.Parse(bytes.NewReader(content))
	var stages []instructions.Stage
	var meta []instructions.ArgCommand
	if err == nil {
		stages, meta, err = instructions.Parse(ast.AST, nil)
	}
	switch {
	case err != nil && named:
		return errForeign // a newer version of the usual one may know what this one does not
	case err != nil:
		return d.at(err, locationOf(err))
	case len(stages) == 0:
		return fmt.Errorf("%s: there is no FROM in it, so nothing can be built from it", d.name)
	}
	d.lex = shell.NewLex(ast.EscapeToken)
	if err := d.readGlobals(meta); err != nil {
		return err
	}
	d.byName = map[string]*stage{}
	for _, st := range stages {
		if err := d.addStage(st); err != nil {
			return err
		}
	}
	return nil
}

func (d *dockerfile) readGlobals(meta []instructions.ArgCommand) error {
	d.global = platformArgs(d.platform)
	for name := range d.global {
		if v, ok := d.args[name]; ok {
			d.global[name] = v
		}
	}
	for _, cmd := range meta {
		for _, arg := range cmd.Args {
			if v, ok := d.args[arg.Key]; ok {
				d.global[arg.Key] = v
			} else if arg.Value != nil {
				v, err := d.expand(*arg.Value, d.global)
				if err != nil {
					return d.at(err, cmd.Location())
				}
				d.global[arg.Key] = v
			}
		}
	}
	return nil
}

func platformArgs(platform string) environment {
	parts := append(strings.SplitN(platform, "/", 3), "", "")
	env := environment{}
	for _, side := range []string{"TARGET", "BUILD"} {
		env[side+"PLATFORM"] = platform
		env[side+"OS"], env[side+"ARCH"], env[side+"VARIANT"] = parts[0], parts[1], parts[2]
	}
	return env
}

func (d *dockerfile) addStage(st instructions.Stage) error {
	s := &stage{Stage: st}
	if _, ok := d.contexts[st.Name]; ok && st.Name != "" {
		s.context = st.Name
	} else {
		base, err := d.expand(st.BaseName, d.global)
		if err == nil && base == "" {
			err = fmt.Errorf("the base image %s is empty: give its build argument a value", st.BaseName)
		}
		if err != nil {
			return d.at(err, st.Location)
		}
		s.baseName, s.from = base, d.byName[base]
	}
	d.stages = append(d.stages, s)
	if st.Name != "" {
		d.byName[strings.ToLower(st.Name)] = s
	}
	return nil
}

// follow collects what a target needs; "" is the last stage.
func (d *dockerfile) follow(ctx context.Context, target string) error {
	s := d.stages[len(d.stages)-1]
	if target != "" {
		if s = d.byName[strings.ToLower(target)]; s == nil {
			named := cmp.Or(strings.Join(slices.Sorted(maps.Keys(d.byName)), ", "), "none")
			return fmt.Errorf("%s: there is no stage named %q; its named stages are: %s", d.name, target, named)
		}
	}
	return d.visit(ctx, s)
}

// visit follows a stage and all that it needs.
func (d *dockerfile) visit(ctx context.Context, s *stage) error {
	if s.visited {
		return nil
	}
	s.visited = true
	var triggers []string
	switch {
	case s.context != "":
		d.readContext(s.context, read{})
		return nil
	case s.from != nil:
		if err := d.visit(ctx, s.from); err != nil {
			return err
		}
		s.env, triggers = maps.Clone(s.from.env), s.from.onBuild
	default:
		image, err := d.image(ctx, s.baseName)
		if err != nil {
			return d.at(err, s.Location)
		}
		triggers = image.OnBuild
		s.env = environment{}
		for _, kv := range image.Env {
			name, value, _ := strings.Cut(kv, "=")
			s.env[name] = value
		}
	}
	if s.env == nil {
		s.env = environment{}
	}
	for _, trigger := range triggers {
		cmd, err := parseTrigger(trigger)
		if err == nil {
			err = d.command(ctx, s, cmd, s.Location)
		}
		if err != nil {
			return fmt.Errorf("ONBUILD of %s: %w", s.baseName, err)
		}
	}
	for _, cmd := range s.Commands {
		if err := d.command(ctx, s, cmd, cmd.Location()); err != nil {
			return err
		}
	}
	return nil
}

func parseTrigger(expression string) (instructions.Command, error) {
	ast, err := parser.Parse(strings.NewReader(expression))
	if err != nil {
		return nil, err
	}
	if len(ast.AST.Children) != 1 {
		return nil, fmt.Errorf("%q is not a single instruction", expression)
	}
	return instructions.ParseCommand(ast.AST.Children[0])
}

func (d *dockerfile) expand(word string, env environment) (string, error) {
	if !strings.ContainsAny(word, "$'\"\\`") {
		return word, nil
	}
	out, _, err := d.lex.ProcessWord(word, env)
	return out, err
}

// at puts the position in the Dockerfile before an error that has none yet.
func (d *dockerfile) at(err error, where []parser.Range) error {
	var placed *placedError
	if errors.As(err, &placed) {
		return err
	}
	return &placedError{file: d.name, line: lineOf(where), err: err}
}

// placedError is an error in a Dockerfile.
type placedError struct {
	file string
	line int
	err  error
}

func (e *placedError) Error() string {
	if e.line == 0 {
		return fmt.Sprintf("%s: %v", e.file, e.err)
	}
	return fmt.Sprintf("%s:%d: %v", e.file, e.line, e.err)
}

func (e *placedError) Unwrap() error { return e.err }

func locationOf(err error) []parser.Range {
	var at *parser.LocationError
	if errors.As(err, &at) && len(at.Locations) > 0 {
		return at.Locations[0]
	}
	return nil
}

func lineOf(where []parser.Range) int {
	if len(where) == 0 {
		return 0
	}
	return where[0].Start.Line
}
