// Package kpt renders kpt packages, and runs functions of kpt's catalogue on objects. The kpt command does both, as for Skaffold; where it is
// not installed, functions run in the user's Docker Engine all the same.
package kpt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/davit-dev/davit/internal/command"
	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/manifest"
)

// Options is what packages and functions need.
type Options struct {
	Dir      string   // absolute: what paths start from
	Environ  []string // of the kpt command, "NAME=value"
	LookPath func(name string) (string, error)
	// Engine finds the Docker Engine for functions where there is no kpt command, DockerConfig is the folder of the docker command's
	// configuration, with credentials for images of functions.
	Engine       func() (engine.Endpoint, error)
	DockerConfig string
}

// Render gives the objects of the package in the folder path. The Kptfile and what is marked as local configuration are not among them.
func Render(ctx context.Context, path string, o Options, sink event.Sink) ([]manifest.Object, error) {
	kpt, err := o.command()
	if err != nil {
		return nil, fmt.Errorf("kpt package %s: %w: install kpt, see kpt.dev/installation", path, err)
	}
	if path = filepath.FromSlash(path); !filepath.IsAbs(path) {
		path = filepath.Join(o.Dir, path)
	}
	shown := o.display(path)
	out, err := o.run(ctx, kpt, nil, sink, "fn", "render", path, "-o", "unwrap")
	if err != nil {
		return nil, fmt.Errorf("kpt package %s: %w", shown, err)
	}
	objects, err := manifest.ParseMade("kpt package "+shown, out)
	if err != nil {
		return nil, err
	}
	var kept []manifest.Object
	for _, object := range objects {
		local := manifest.Get(object.Node, "metadata", "annotations", "config.kubernetes.io/local-config")
		if object.Kind() != "Kptfile" && (local == nil || local.Value != "true") {
			kept = append(kept, object)
		}
	}
	return kept, nil
}

// Run runs a function on objects and gives what it makes of them. A validator gives them back as they are, or an error.
func Run(ctx context.Context, f Function, objects []manifest.Object, o Options, sink event.Sink) ([]manifest.Object, error) {
	var in bytes.Buffer
	if err := manifest.Stream(&in, objects); err != nil {
		return nil, fmt.Errorf("writing the manifests for %s: %w", f.Name, err)
	}
	var out []byte
	var err error
	if kpt, noCommand := o.command(); noCommand == nil {
		args := []string{"fn", "eval", "-i", f.Image, "-o", "unwrap", "-", "--"}
		out, err = o.run(ctx, kpt, in.Bytes(), sink, append(args, f.Config...)...)
	} else {
		out, err = o.inEngine(ctx, f, in.Bytes(), sink)
	}
	if err != nil {
		return nil, fmt.Errorf("function %s: %w", f.Name, err)
	}
	made, err := manifest.ParseMade("function "+f.Name, out)
	return manifest.Inherit(made, objects), err
}

func (o Options) command() (string, error) {
	if o.LookPath == nil {
		return "", errors.New("commands cannot be run here")
	}
	return o.LookPath("kpt")
}

// run runs the kpt command. What it says goes to sink, and into the error.
func (o Options) run(ctx context.Context, kpt string, in []byte, sink event.Sink, args ...string) ([]byte, error) {
	var said []string
	c := command.Command{Args: append([]string{kpt}, args...), Dir: o.Dir, Environ: o.Environ, Line: func(line string) {
		said = append(said, line)
		sink.Emit(event.Debug{Message: "kpt: " + line})
	}}
	if in != nil {
		c.Stdin = bytes.NewReader(in)
	}
	sink.Emit(event.Debug{Message: "running kpt " + strings.Join(args, " ")})
	out, err := c.Output(ctx)
	if _, failed := errors.AsType[*exec.ExitError](err); failed {
		return nil, fmt.Errorf("kpt %s %s failed: %s", args[0], args[1], strings.Join(said, "\n"))
	}
	if err != nil {
		return nil, fmt.Errorf("running kpt: %w", err)
	}
	return out, nil
}

func (o Options) display(path string) string {
	if rel, err := filepath.Rel(o.Dir, path); err == nil && !strings.HasPrefix(rel, "..") {
		return filepath.ToSlash(rel)
	}
	return path
}
