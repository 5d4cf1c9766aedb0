package classic

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/patternmatcher/ignorefile"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"

	"github.com/davit-dev/davit/internal/build"
)

// buildContext is what is sent to the Engine.
type buildContext struct {
	files      fsutil.FS
	dockerfile string // its path in the context
	// extra are files that the context does not have, and which no COPY sees.
	extra map[string][]byte
}

// outside is the name of a Dockerfile in the context that is not in it.
const outside = ".davit.Dockerfile"

// newContext finds out what to send. The Engine leaves out itself what the context's .dockerignore names, and that it finds a Dockerfile named there
// all the same is the sender's task. It knows neither of Dockerfiles outside of the context nor of those with an ignore file of their own: then it
// gets an ignore file made for it.
func newContext(spec build.Docker) (*buildContext, error) {
	ignore, err := os.ReadFile(spec.IgnoreFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading what not to send: %w", err)
	}
	patterns, err := ignorefile.ReadAll(bytes.NewReader(ignore))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", spec.IgnoreFile(), err)
	}
	rel, err := filepath.Rel(spec.Context, spec.Dockerfile)
	inside := err == nil && filepath.IsLocal(rel)
	c := &buildContext{dockerfile: filepath.ToSlash(rel), extra: map[string][]byte{}}
	if !inside {
		c.dockerfile = outside
		if c.extra[outside], err = os.ReadFile(spec.Dockerfile); err != nil {
			return nil, fmt.Errorf("reading the Dockerfile: %w", err)
		}
		ignore = append(ignore, "\n"+outside+"\n.dockerignore\n"...)
	}
	if own := spec.IgnoreFile() != filepath.Join(spec.Context, ".dockerignore"); own || !inside {
		c.extra[".dockerignore"] = append(ignore, "\n.dockerignore\n"...)
		patterns = append(patterns, ".dockerignore")
	} else {
		patterns = append(patterns, "!.dockerignore")
	}
	if inside {
		patterns = append(patterns, "!"+c.dockerfile)
	}
	all, err := fsutil.NewFS(spec.Context)
	if err == nil {
		c.files, err = fsutil.NewFilterFS(all, &fsutil.FilterOpt{ExcludePatterns: patterns, Map: root})
	}
	if err != nil {
		return nil, fmt.Errorf("reading the build context %s: %w", spec.Context, err)
	}
	return c, nil
}

// root gives all files to root, as the docker command does: whose they are on this machine is nothing to the image.
func root(_ string, s *types.Stat) fsutil.MapResult {
	s.Uid, s.Gid = 0, 0
	return fsutil.MapResultKeep
}

// write writes the context as an archive.
func (c *buildContext) write(ctx context.Context, w io.Writer) error {
	head := tar.NewWriter(w)
	for name, data := range c.extra {
		if err := head.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		if _, err := head.Write(data); err != nil {
			return err
		}
	}
	if err := head.Flush(); err != nil { // not closed: what follows belongs to the same archive
		return err
	}
	return fsutil.WriteTar(ctx, c.files, w)
}
