// Package kpt deploys packages with the kpt command, which keeps an inventory of its own: what `deploy.kpt` of a config asks for.
package kpt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/internal/command"
	"github.com/davit-dev/davit/internal/event"
)

// Package is a folder that is deployed as a whole.
type Package struct {
	Dir  string // absolute
	File string // the name of the file in it that the rendered manifests are written to; empty: the folder is deployed as it is
	// Name, InventoryID and Namespace are those of the inventory; kpt chooses what is empty.
	Name, InventoryID, Namespace string
	Force                        bool // make the inventory anew
	Flags, ApplyFlags            []string
}

// Options say how the command is run.
type Options struct {
	LookPath func(name string) (string, error)
	Environ  []string
	Cluster  []string // flags that lead to the cluster
	Sink     event.Sink

	loud bool              // what kpt says is all that there is to see
	hear func(line string) // gets what kpt says in place of the user
}

func (o Options) say(line string) {
	switch {
	case o.hear != nil:
		o.hear(line)
	case o.loud:
		o.Sink.Emit(event.Note{Message: "kpt: " + line})
	default:
		o.Sink.Emit(event.Info{Message: "kpt: " + line})
	}
}

// Apply deploys the package, with the manifests in it if it takes any. kpt waits for nothing unless its flags say so.
func Apply(ctx context.Context, p Package, manifests []byte, o Options) error {
	if err := p.fill(ctx, manifests, o); err != nil {
		return err
	}
	o.loud = p.File == ""
	var skipped []string
	tell := o
	o.hear = func(line string) {
		tell.say(line)
		if strings.Contains(line, " apply skipped") {
			skipped = append(skipped, line)
		}
	}
	if err := p.apply(ctx, o); err != nil || len(skipped) == 0 {
		return err
	}
	return fmt.Errorf("kpt left objects as they were: %s\n  %s", takeOver, strings.Join(skipped, "\n  ")) // that is no failure to kpt
}

// takeOver is what to try when kpt does not apply an object.
const takeOver = "where it speaks of an inventory, somebody else deployed these objects: --inventory-policy=adopt in deploy.kpt.applyFlags takes them over"

// fill makes the folder a package that can be deployed.
func (p Package) fill(ctx context.Context, manifests []byte, o Options) error {
	if _, err := o.command(); err != nil {
		return err
	}
	if p.File != "" {
		if err := os.MkdirAll(p.Dir, 0o755); err != nil {
			return fmt.Errorf("writing the manifests for kpt: %w", err)
		}
		if err := os.WriteFile(filepath.Join(p.Dir, p.File), manifests, 0o644); err != nil { //nolint:gosec // manifests are no secret to this machine's users
			return fmt.Errorf("writing the manifests for kpt: %w", err)
		}
	}
	return p.prepare(ctx, o)
}

func (p Package) apply(ctx context.Context, o Options) error {
	return o.run(ctx, append(append([]string{"live", "apply", p.Dir}, p.Flags...), p.ApplyFlags...), takeOver)
}

// Destroy takes away what the inventory of the package lists.
func Destroy(ctx context.Context, p Package, o Options) error {
	if has, err := p.inventory(); err != nil || !has {
		if err == nil {
			err = fmt.Errorf("the kpt package %s has no inventory: run davit delete where davit run was run, or give deploy.kpt the name, namespace and inventoryID that it had", p.Dir)
		}
		return err
	}
	o.loud = true
	return o.run(ctx, append([]string{"live", "destroy", p.Dir}, p.Flags...), "see what there is with kpt live status "+p.Dir)
}

// prepare makes a package of the folder, and gives it an inventory, where it has none.
func (p Package) prepare(ctx context.Context, o Options) error {
	_, err := os.Stat(filepath.Join(p.Dir, "Kptfile"))
	if errors.Is(err, fs.ErrNotExist) {
		err = o.run(ctx, []string{"pkg", "init", p.Dir}, "run it by hand")
	}
	if err != nil {
		return err
	}
	has, err := p.inventory()
	if err != nil || has && !p.Force {
		return err
	}
	args := append([]string{"live", "init", p.Dir}, p.Flags...)
	for _, flag := range []struct{ name, value string }{{"--name", p.Name}, {"--inventory-id", p.InventoryID}, {"--namespace", p.Namespace}} {
		if flag.value != "" {
			args = append(args, flag.name, flag.value)
		}
	}
	if p.Force {
		args = append(args, "--force")
	}
	return o.run(ctx, args, "run it by hand")
}

// inventory says whether the package has one: in a file of its own as newer versions of kpt write it, or in the Kptfile.
func (p Package) inventory() (bool, error) {
	if _, err := os.Stat(filepath.Join(p.Dir, "resourcegroup.yaml")); err == nil {
		return true, nil
	}
	path := filepath.Join(p.Dir, "Kptfile")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading a kpt package: %w", err)
	}
	var file struct{ Inventory any }
	if err := yaml.Unmarshal(text, &file); err != nil {
		return false, fmt.Errorf("reading %s: %w", path, err)
	}
	return file.Inventory != nil, nil
}

func (o Options) command() (string, error) {
	path, err := o.LookPath("kpt")
	if err != nil {
		return "", fmt.Errorf("deploy.kpt needs the kpt command: %w: install it, see kpt.dev/installation, or deploy with kubectl", err)
	}
	return path, nil
}

// run runs kpt; what it says is told, and stands in the error when it fails.
func (o Options) run(ctx context.Context, args []string, next string) error {
	kpt, err := o.command()
	if err != nil {
		return err
	}
	var last []string
	full := append([]string{kpt}, args...)
	if args[0] == "live" {
		full = append(full, o.Cluster...)
	}
	c := command.Command{Args: full, Environ: o.Environ, Line: func(line string) {
		o.say(line)
		if last = append(last, line); len(last) > event.LastLines {
			last = last[1:]
		}
	}}
	if err := c.Run(ctx); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("kpt %s: %w: %s\n  %s", strings.Join(args, " "), err, next, strings.Join(last, "\n  "))
	}
	return nil
}
