// Package tag makes the tags of images: a file per policy. For the same input a tag is the one that Skaffold v2.24 makes.
//
// A Policy makes the tag of one artifact. Generate asks the policies of all artifacts at once, and falls back to the sha256 policy where one fails, as
// Skaffold does. Policies that ask git share one Git, which asks once per repository, not once per artifact.
package tag

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"

	"github.com/distribution/reference"
	"golang.org/x/sync/errgroup"
)

// Policy makes tags. It is called for several artifacts at once.
type Policy interface {
	// Tag makes the tag of one artifact. It is empty when the artifact's name has its tag already.
	Tag(ctx context.Context, a Artifact) (string, error)
}

// Artifact is what a policy may look at.
type Artifact struct {
	Image     string // as in the config
	Workspace string // absolute folder
	// InputDigest makes the digest of the artifact's inputs. It is called only by policies that want it.
	InputDigest func(ctx context.Context) (string, error)
}

// Job is an artifact and its policy.
type Job struct {
	Artifact
	Policy Policy
}

// Made is what came of a Job.
type Made struct {
	Image string // as in the config
	Ref   string // name:tag, not yet rewritten for a default repository
	// Fallback says why the policy's own tag could not be used, if so.
	Fallback error
}

// Generate makes the references of all artifacts, in their order. Where a policy fails or makes a tag that no registry takes, the reference is that of
// SHA256, and Fallback says why. The error is for a name that is no image name, and for an ended ctx.
func Generate(ctx context.Context, jobs []Job) ([]Made, error) {
	made := make([]Made, len(jobs))
	var g errgroup.Group
	g.SetLimit(2 * runtime.GOMAXPROCS(0))
	for i, j := range jobs {
		g.Go(func() error {
			m := Made{Image: j.Image}
			tag, err := j.Policy.Tag(ctx, j.Artifact)
			if err == nil {
				m.Ref, err = qualify(j.Image, tag)
			}
			if err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				m.Fallback = err
				if tag, err = (SHA256{}).Tag(ctx, j.Artifact); err == nil {
					m.Ref, err = qualify(j.Image, tag)
				}
				if err != nil {
					return fmt.Errorf("the image name %q: %w", j.Image, err)
				}
			}
			made[i] = m
			return nil
		})
	}
	return made, g.Wait()
}

// qualify puts name and tag together, if that is a valid reference. A reference has a tag in any case.
func qualify(image, tag string) (string, error) {
	ref := image
	if tag != "" {
		ref += ":" + tag
	}
	parsed, err := parseName(image, tag)
	if err != nil {
		return "", fmt.Errorf("%q is no image reference: %w", ref, err)
	}
	if _, tagged := parsed.(reference.Tagged); !tagged {
		ref += ":" + latest
	}
	return ref, nil
}

const latest = "latest"

// parseName parses a name, in which capitals and the prefix of ko are allowed, and a tag.
func parseName(image, tag string) (reference.Reference, error) {
	image = strings.TrimPrefix(image, "ko://")
	// Capitals are allowed in the name, and kept in a tag that comes with it.
	name, own := image, ""
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		name, own = image[:i], image[i:]
	}
	ref := strings.ToLower(name) + own
	if tag != "" {
		ref += ":" + tag
	}
	return reference.Parse(ref)
}

// Runner runs a command in a folder (the current one when empty) and returns what it printed. Its error has what the command said about it.
type Runner func(ctx context.Context, folder, name string, args ...string) ([]byte, error)

// Exec is a Runner of real commands with an environment.
func Exec(environ []string) Runner {
	return func(ctx context.Context, folder, name string, args ...string) ([]byte, error) {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir, cmd.Env = folder, environ
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			if said := strings.TrimSpace(stderr.String()); said != "" {
				err = fmt.Errorf("%w: %s", err, said)
			}
			return nil, fmt.Errorf("running %s %s: %w", name, strings.Join(args, " "), err)
		}
		return out, nil
	}
}

// Fixed is the tag given with --tag.
type Fixed string

// Tag returns the tag.
func (f Fixed) Tag(context.Context, Artifact) (string, error) {
	if f == "" {
		return "", errors.New("the tag is empty")
	}
	return string(f), nil
}
