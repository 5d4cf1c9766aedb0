package inputs

import (
	"context"
	"fmt"
	"maps"
	"path"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

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
