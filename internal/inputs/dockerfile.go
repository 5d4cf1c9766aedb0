package inputs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"
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
	syntax, _, _, named := parser.DetectSyntax(content)
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
			names := slices.Sorted(maps.Keys(d.byName))
			return fmt.Errorf("%s: there is no stage named %q; its named stages are: %s", d.name, target, strings.Join(names, ", "))
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

// command follows one instruction.
func (d *dockerfile) command(ctx context.Context, s *stage, cmd instructions.Command, where []parser.Range) error {
	var err error
	switch c := cmd.(type) {
	case *instructions.ArgCommand:
		err = d.arg(s, c)
	case *instructions.EnvCommand:
		set := environment{}
		for _, kv := range c.Env {
			var key string
			if key, err = d.expand(kv.Key, s.env); err == nil {
				set[key], err = d.expand(kv.Value, s.env)
			}
			if err != nil {
				break
			}
		}
		maps.Copy(s.env, set)
	case *instructions.OnbuildCommand:
		s.onBuild = append(s.onBuild, c.Expression)
	case *instructions.AddCommand:
		err = d.copy(ctx, s, "ADD", "", c.SourcePaths, c.ExcludePatterns, false, where)
	case *instructions.CopyCommand:
		err = d.copy(ctx, s, "COPY", c.From, c.SourcePaths, c.ExcludePatterns, c.Parents, where)
	case *instructions.RunCommand:
		err = d.run(ctx, s, c, where)
	}
	if err != nil {
		return d.at(err, where)
	}
	return nil
}

func (d *dockerfile) arg(s *stage, c *instructions.ArgCommand) error {
	for _, arg := range c.Args {
		if v, ok := d.args[arg.Key]; ok {
			s.env[arg.Key] = v
		} else if arg.Value != nil {
			v, err := d.expand(*arg.Value, s.env)
			if err != nil {
				return err
			}
			s.env[arg.Key] = v
		} else if v, ok := d.global[arg.Key]; ok {
			s.env[arg.Key] = v
		}
	}
	return nil
}

// copy is COPY and ADD. Here-documents are not among paths.
func (d *dockerfile) copy(ctx context.Context, s *stage, instruction, from string, paths, exclude []string, parents bool, where []parser.Range) error {
	for _, p := range paths {
		src, err := d.expand(p, s.env)
		if err != nil {
			return err
		}
		if isRemote(src) {
			d.reads.remotes[src] = true
			continue
		}
		r := read{source: source{pattern: src, exclude: exclude}, line: lineOf(where), instruction: instruction}
		if parents {
			r.pattern, r.below = splitParents(src)
		}
		if err := d.readFrom(ctx, from, r); err != nil {
			return err
		}
	}
	return nil
}

// splitParents gives the folder and the pattern below it of a COPY --parents source.
func splitParents(src string) (dir, below string) {
	dir, below, found := strings.Cut(src, "/./")
	if !found {
		dir, below = "", src
	}
	below = strings.TrimPrefix(path.Join("/", below), "/")
	if !hasWildcards(below) {
		return path.Join(dir, below), ""
	}
	// A walk may begin where the first wildcard is, but the pattern is relative to dir.
	return dir, below
}

func isRemote(src string) bool {
	if strings.HasPrefix(src, "http://") || strings.HasPrefix(src, "https://") {
		return true
	}
	ref, _, err := dfgitutil.ParseGitRef(src)
	return err == nil && !ref.IndistinguishableFromLocal
}

func (d *dockerfile) run(ctx context.Context, s *stage, c *instructions.RunCommand, where []parser.Range) error {
	if err := c.Expand(func(word string) (string, error) { return d.expand(word, s.env) }); err != nil {
		return err
	}
	for _, m := range instructions.GetMounts(c) {
		if m.Type != instructions.MountTypeBind && (m.Type != instructions.MountTypeCache || m.From == "") {
			continue
		}
		r := read{source: source{pattern: m.Source}, line: lineOf(where), instruction: "RUN --mount"}
		// A mount's source is a path, never a pattern, but a name with such characters in it is rare enough to be read as one.
		if err := d.readFrom(ctx, m.From, r); err != nil {
			return err
		}
	}
	return nil
}

// readFrom notes that r is read from a stage, a named context, an image, or from the build context when from is empty.
func (d *dockerfile) readFrom(ctx context.Context, from string, r read) error {
	if from == "" {
		d.reads.local[""] = append(d.reads.local[""], r)
		return nil
	}
	s := d.byName[strings.ToLower(from)]
	if n, err := strconv.Atoi(from); err == nil && r.instruction != "RUN --mount" {
		if n < 0 || n >= len(d.stages) {
			return fmt.Errorf("--from=%d: there are %d stages, counted from 0", n, len(d.stages))
		}
		s = d.stages[n]
	}
	switch {
	case s != nil && s.context != "":
		d.readContext(s.context, r)
		return nil
	case s != nil:
		return d.visit(ctx, s)
	}
	if name, ok := d.namedContext(from); ok {
		d.readContext(name, r)
		return nil
	}
	_, err := d.image(ctx, from)
	return err
}

// namedContext finds the context that stands in for an image.
func (d *dockerfile) namedContext(image string) (string, bool) {
	if _, ok := d.contexts[image]; ok {
		return image, true
	}
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", false
	}
	name := strings.TrimSuffix(reference.FamiliarString(reference.TagNameOnly(named)), ":latest")
	_, ok := d.contexts[name]
	return name, ok
}

// readContext notes what is read of a named context, which may be an image: its digest is a field already.
func (d *dockerfile) readContext(name string, r read) {
	if strings.Contains(d.contexts[name], "://") {
		return
	}
	d.reads.local[name] = append(d.reads.local[name], r)
}

// image notes a base image, and says what is known of it.
func (d *dockerfile) image(ctx context.Context, name string) (BaseImage, error) {
	if name == scratch {
		return BaseImage{}, nil
	}
	if context, ok := d.namedContext(name); ok {
		d.readContext(context, read{})
		return BaseImage{}, nil
	}
	var image BaseImage
	if d.base != nil && !d.unpushed[name] {
		var err error
		if image, err = d.base(ctx, name, d.platform); err != nil {
			return BaseImage{}, fmt.Errorf("base image %s: %w", name, err)
		}
	}
	ref, digest := splitDigest(name)
	if digest == "" {
		digest = image.Digest
	}
	d.reads.images[ref] = digest
	return image, nil
}

// splitDigest takes a reference apart into name and tag as people write it, and digest.
func splitDigest(name string) (ref, digest string) {
	ref, digest, _ = strings.Cut(name, "@")
	if named, err := reference.ParseNormalizedNamed(ref); err == nil {
		if digest == "" {
			named = reference.TagNameOnly(named)
		}
		ref = reference.FamiliarString(named)
	}
	return ref, digest
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
