package buildkit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	docker "github.com/moby/moby/client"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/registry"
	"github.com/davit-dev/davit/internal/engine"
	patient "github.com/davit-dev/davit/internal/image/registry"
)

// export builds, and brings the image to its registry, into an archive or into a Docker Engine.
func (j *job) export(ctx context.Context, conn *connection, opt client.SolveOpt) (build.Result, error) {
	switch {
	case conn.engine != nil:
		return j.exportByEngine(ctx, conn, opt)
	case j.request.Push:
		insecure := j.where.Kind != Carried && isInsecure(j.request, reference.Domain(j.ref))
		opt.Exports = []client.ExportEntry{pushExport(j.request, j.spec, j.flags, insecure)}
		resp, err := j.solve(ctx, conn, opt)
		if err != nil {
			return build.Result{}, err
		}
		return build.Result{Digest: resp[exptypes.ExporterImageDigestKey]}, nil
	case j.request.Archive != nil:
		id, err := j.archive(ctx, conn, opt, j.request.Archive)
		return build.Result{Digest: id, ImageID: id}, err
	default:
		return j.load(ctx, conn, opt)
	}
}

// exportByEngine builds in a Docker Engine, where the image stays, and lets it push.
func (j *job) exportByEngine(ctx context.Context, conn *connection, opt client.SolveOpt) (build.Result, error) {
	if len(j.request.Platforms) > 1 {
		return j.joinPlatforms(ctx, conn, opt)
	}
	opt.Exports = []client.ExportEntry{{Type: "moby", Attrs: map[string]string{"name": j.request.Ref}}}
	if _, err := j.solve(ctx, conn, opt); err != nil {
		return build.Result{}, err
	}
	id, err := engineImageID(ctx, conn.engine, j.request.Ref)
	if err != nil {
		return build.Result{}, err
	}
	switch {
	case j.request.Push:
		digest, err := j.pushByEngine(ctx, conn.engine, j.request.Ref)
		return build.Result{Digest: digest, ImageID: id}, err
	case j.request.Archive != nil:
		if err := saveFromEngine(ctx, conn.engine, j.request.Ref, j.request.Archive); err != nil {
			return build.Result{}, err
		}
	}
	return build.Result{Digest: id, ImageID: id}, nil
}

// joinPlatforms builds one image after the other in a Docker Engine, whose own images are for one platform each, and makes an index of what
// it pushed. The images' tags end in their platforms, as Skaffold's do.
func (j *job) joinPlatforms(ctx context.Context, conn *connection, opt client.SolveOpt) (build.Result, error) {
	digests := map[string]string{}
	for _, platform := range j.request.Platforms {
		ref := j.request.Ref + "_" + strings.ReplaceAll(platform, "/", "_")
		opt.FrontendAttrs["platform"] = platform
		opt.Exports = []client.ExportEntry{{Type: "moby", Attrs: map[string]string{"name": ref}}}
		if _, err := j.solve(ctx, conn, opt); err != nil {
			return build.Result{}, fmt.Errorf("for %s: %w", platform, err)
		}
		digest, err := j.pushByEngine(ctx, conn.engine, ref)
		if err != nil {
			return build.Result{}, err
		}
		digests[platform] = digest
	}
	to := registry.Client{Keychain: registry.Docker(j.credentials), Transport: patient.Transport(), Insecure: j.request.Insecure}
	digest, err := to.Join(ctx, j.request.Ref, j.request.Platforms, digests)
	if err != nil {
		return build.Result{}, j.pushFailure(err)
	}
	return build.Result{Digest: digest}, nil
}

// pushByEngine returns the manifest's digest.
func (j *job) pushByEngine(ctx context.Context, docker *docker.Client, ref string) (digest string, err error) {
	auth, err := j.credentials.GetAuthConfig(credentialsKey(j.ref))
	if err != nil {
		return "", fmt.Errorf("reading credentials for %s: %w", reference.Domain(j.ref), err)
	}
	err = j.patiently(ctx, func() error {
		var err error
		if digest, err = engine.Push(ctx, docker, ref, auth, j.log.line); err != nil {
			if lost, ok := errors.AsType[*engine.LostError](err); ok {
				return lost
			}
			return j.pushFailure(err)
		}
		return nil
	})
	return digest, err
}

// saveFromEngine sends an image of the Engine's to where open says.
func saveFromEngine(ctx context.Context, docker *docker.Client, ref string, open func() (io.WriteCloser, error)) error {
	saved, err := docker.ImageSave(ctx, []string{ref})
	if err != nil {
		return fmt.Errorf("reading %s from the Docker Engine: %w", ref, err)
	}
	defer saved.Close()
	to, err := open()
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, saved); err != nil {
		return errors.Join(fmt.Errorf("reading %s from the Docker Engine: %w", ref, err), abandon(to, err))
	}
	return to.Close()
}

// abandon closes what takes an archive that is not complete, telling it so where it can be told.
func abandon(w io.WriteCloser, cause error) error {
	if told, ok := w.(interface{ CloseWithError(error) error }); ok {
		return told.CloseWithError(cause)
	}
	return w.Close()
}

// load builds outside of the Docker Engine and loads the image into it.
func (j *job) load(ctx context.Context, conn *connection, opt client.SolveOpt) (build.Result, error) {
	docker, err := engine.Open(j.where.Docker)
	if err != nil {
		return build.Result{}, err
	}
	defer docker.Close()
	if _, err := engine.Ping(ctx, docker); err != nil {
		return build.Result{}, fmt.Errorf("the image is not to be pushed, and there is no Docker Engine to load it into: %w; push it to a registry (--push, --default-repo) or start a Docker Engine", err)
	}
	_, err = j.archive(ctx, conn, opt, func() (io.WriteCloser, error) { return loading(ctx, docker), nil })
	if err != nil {
		return build.Result{}, err
	}
	id, err := engineImageID(ctx, docker, j.request.Ref)
	return build.Result{Digest: id, ImageID: id}, err
}

// archive builds and sends the image as a `docker save` archive to where open says. It returns the image's id.
func (j *job) archive(ctx context.Context, conn *connection, opt client.SolveOpt, open func() (io.WriteCloser, error)) (string, error) {
	sent := &delayedClose{open: open}
	opt.Exports = []client.ExportEntry{{
		Type:   client.ExporterDocker,
		Attrs:  map[string]string{"name": j.request.Ref},
		Output: func(map[string]string) (io.WriteCloser, error) { return sent, nil },
	}}
	resp, err := j.solve(ctx, conn, opt)
	if err := sent.finish(err); err != nil {
		return "", err
	}
	return resp[exptypes.ExporterImageConfigDigestKey], nil
}

// delayedClose opens a writer when the first byte comes and leaves closing it to finish: BuildKit's client closes also what is not complete.
type delayedClose struct {
	open func() (io.WriteCloser, error)

	mu     sync.Mutex
	w      io.WriteCloser
	failed error // why the archive was not taken, which BuildKit's errors say no more
}

func (d *delayedClose) Write(p []byte) (n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.w == nil && d.failed == nil {
		d.w, d.failed = d.open()
	}
	if d.failed != nil {
		return 0, d.failed
	}
	n, d.failed = d.w.Write(p)
	return n, d.failed
}

func (d *delayedClose) Close() error { return nil }

// finish closes the writer, and returns why the archive was not made or not taken.
func (d *delayedClose) finish(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.w == nil && err == nil && d.failed == nil:
		return errors.New("the BuildKit sent no image")
	case d.w == nil:
		return errors.Join(d.failed, err)
	case err != nil:
		closed := abandon(d.w, err)
		if d.failed != nil { // the side that took it knows why it does no more
			return cmp.Or(closed, d.failed)
		}
		return err
	}
	return d.w.Close()
}

// loading returns what takes an archive into the Engine. Its Close returns once the image is there.
func loading(ctx context.Context, docker *docker.Client) io.WriteCloser {
	r, w := io.Pipe()
	l := &engineLoad{PipeWriter: w, done: make(chan error, 1)}
	go func() {
		err := engine.Load(ctx, docker, r)
		r.CloseWithError(err)
		l.done <- err
	}()
	return l
}

type engineLoad struct {
	*io.PipeWriter
	done chan error
}

func (l *engineLoad) Close() error { return l.CloseWithError(nil) }

func (l *engineLoad) CloseWithError(cause error) error {
	_ = l.PipeWriter.CloseWithError(cause) // never fails
	return <-l.done
}
