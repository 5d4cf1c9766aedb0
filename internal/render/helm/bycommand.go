package helm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/internal/command"
	"github.com/davit-dev/davit/internal/event"
)

// binary is the helm command on its way through one release.
type binary struct {
	path    string
	command command.Command
	said    []string
	dir     string // of files that it is given; goes with close
	secrets *sync.Mutex
}

// newBinary finds the helm command; why says what for.
func newBinary(o Options, why string, sink event.Sink) (*binary, error) {
	if o.LookPath == nil {
		return nil, fmt.Errorf("%s, and commands cannot be run here", why)
	}
	path, err := o.LookPath("helm")
	if err != nil {
		return nil, fmt.Errorf("%s: install helm so that davit can run it (%w)", why, err)
	}
	dir, err := os.MkdirTemp("", "davit-helm-")
	if err != nil {
		return nil, err
	}
	b := &binary{path: path, dir: dir, secrets: o.Secrets}
	b.command = command.Command{Dir: o.Dir, Environ: o.Environ, Line: func(line string) {
		b.said = append(b.said, line)
		sink.Emit(event.Debug{Message: "helm: " + line})
	}}
	return b, nil
}

func (b *binary) close() { _ = os.RemoveAll(b.dir) }

// run gives what the command printed.
func (b *binary) run(ctx context.Context, args ...string) ([]byte, error) {
	if b.secrets != nil && args[0] == "secrets" {
		b.secrets.Lock()
		defer b.secrets.Unlock()
	}
	b.said = nil
	b.command.Args = append([]string{b.path}, args...)
	out, err := b.command.Output(ctx)
	if _, failed := errors.AsType[*exec.ExitError](err); failed {
		return nil, fmt.Errorf("helm %s failed: %s", strings.Join(args[:min(2, len(args))], " "), strings.Join(b.said, "\n"))
	}
	if err != nil {
		return nil, fmt.Errorf("running helm: %w", err)
	}
	return out, nil
}

// overrides writes the overrides of a release into a file; empty when there are none.
func (b *binary) overrides(r Release) (string, error) {
	if len(r.Overrides) == 0 {
		return "", nil
	}
	file := filepath.Join(b.dir, "overrides.yaml")
	text, err := yaml.Marshal(r.Overrides)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("writing the overrides: %w", err)
	}
	return file, nil
}

// complete brings the dependencies of a chart, beside it.
func (b *binary) complete(ctx context.Context, r Release, flags []string) error {
	if r.Remote || r.SkipDependencies {
		return nil
	}
	_, err := b.run(ctx, append([]string{"dependency", "build", r.Chart}, flags...)...)
	return err
}

// By is how the helm command deploys a release, beside what the release says.
type By struct {
	Upgrade  bool
	Args     []string // which cluster, and what else stands in no flags
	DepBuild []string
	// Transform edits the manifests before they reach the cluster; nil: nothing does.
	Transform func(ctx context.Context, manifests []byte) ([]byte, error)
}

// DeployByCommand installs or upgrades a release with the helm command; why says what only that can do.
func DeployByCommand(ctx context.Context, r Release, o Options, why string, by By, sink event.Sink) error {
	b, err := newBinary(o, why, sink)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.complete(ctx, r, by.DepBuild); err != nil {
		return err
	}
	if r.Package != nil {
		if r.Chart, err = b.pack(ctx, r); err != nil {
			return err
		}
	}
	overrides, err := b.overrides(r)
	if err != nil {
		return err
	}
	verb := "install"
	if by.Upgrade {
		verb = "upgrade"
	}
	args := append(r.arguments(verb, overrides), by.Args...)
	var edited func() error
	if by.Transform != nil {
		var more []string
		if more, edited, err = b.postRenderer(ctx, r, by.Transform); err != nil {
			return err
		}
		args = append(args, more...)
	}
	sink.Emit(event.Info{Message: why + ", so the helm command deploys it: " + quoted(args)})
	_, err = b.run(ctx, args...)
	if edited != nil {
		err = errors.Join(edited(), err)
	}
	return err
}

// UninstallByCommand uninstalls a release with the helm command.
func UninstallByCommand(ctx context.Context, r Release, o Options, why string, args []string, sink event.Sink) error {
	b, err := newBinary(o, why, sink)
	if err != nil {
		return err
	}
	defer b.close()
	_, err = b.run(ctx, slices.Concat([]string{"uninstall", r.Name, "--namespace", r.Namespace, "--ignore-not-found"}, r.Global, args)...)
	return err
}

// pack makes an archive of a chart, and gives its path.
func (b *binary) pack(ctx context.Context, r Release) (string, error) {
	args := []string{"package", r.Chart, "--destination", b.dir}
	if r.Package.Version != "" {
		args = append(args, "--version", r.Package.Version)
	}
	if r.Package.AppVersion != "" {
		args = append(args, "--app-version", r.Package.AppVersion)
	}
	if _, err := b.run(ctx, args...); err != nil {
		return "", err
	}
	made, err := filepath.Glob(filepath.Join(b.dir, "*.tgz"))
	if err != nil || len(made) != 1 {
		return "", fmt.Errorf("helm package made %d archives", len(made))
	}
	return made[0], nil
}

// handOver is the script that stands between helm and davit: it hands the manifests over in one file and waits for the other.
const handOver = `#!/bin/sh
set -e
cd "$(dirname "$0")"
cat > given.part
mv given.part given
while [ ! -e edited ]; do sleep 0.05; done
cat edited
`

// postRenderer has helm send its manifests through davit. It gives helm's arguments for that, and what to call at the end.
func (b *binary) postRenderer(ctx context.Context, r Release, transform func(context.Context, []byte) ([]byte, error)) (args []string, end func() error, err error) {
	switch {
	case runtime.GOOS == "windows":
		return nil, nil, errors.New("images cannot be written into manifests of the helm command on Windows: name them by setValueTemplates, and leave out the flag")
	case slices.ContainsFunc(slices.Concat(r.Flags, r.Global), func(f string) bool { return strings.HasPrefix(f, "--post-renderer") }):
		return nil, nil, errors.New("the helm command takes one --post-renderer only, and davit needs it to write images: leave out the other flag that needs the command")
	}
	dir := filepath.Join(b.dir, "plugins", "davit")
	script := filepath.Join(dir, "hand-over.sh")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(script, []byte(handOver), 0o700); err != nil {
		return nil, nil, err
	}
	version, err := b.run(ctx, "version", "--short")
	if err != nil {
		return nil, nil, err
	}
	args = []string{"--post-renderer", script}
	if !strings.HasPrefix(string(version), "v3.") { // since Helm 4, it is a plugin
		args[1] = "davit"
		plugin := "name: davit\nversion: 0.1.0\ntype: postrenderer/v1\napiVersion: v1\nruntime: subprocess\nruntimeConfig:\n  platformCommand:\n  - command: " + script + "\n"
		if err := os.WriteFile(filepath.Join(dir, "plugin.yaml"), []byte(plugin), 0o600); err != nil {
			return nil, nil, err
		}
		others, err := b.run(ctx, "env", "HELM_PLUGINS")
		if err != nil {
			return nil, nil, err
		}
		b.command.Environ = append(slices.Clone(b.command.Environ),
			"HELM_PLUGINS="+filepath.Dir(dir)+string(filepath.ListSeparator)+strings.Trim(strings.TrimSpace(string(others)), `"`))
	}
	editing, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- edit(editing, dir, transform) }()
	return args, func() error {
		stop()
		return <-done
	}, nil
}

// edit waits for the manifests, and hands them back edited. One that fails is told to helm by a manifest that is none.
func edit(ctx context.Context, dir string, transform func(context.Context, []byte) ([]byte, error)) error {
	for {
		given, err := os.ReadFile(filepath.Join(dir, "given"))
		if err == nil {
			text, failure := transform(ctx, given)
			if failure != nil {
				text = []byte("davit could not edit the manifests\n")
			}
			part := filepath.Join(dir, "edited.part")
			err := os.WriteFile(part, text, 0o600)
			if err == nil {
				err = os.Rename(part, filepath.Join(dir, "edited"))
			}
			return errors.Join(failure, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(20 * time.Millisecond):
		}
	}
}
