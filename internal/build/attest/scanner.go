package attest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Command is a Scanner that is a program.
type Command struct {
	Args []string // the program's path and its arguments, LAYOUT in place of the folder
	Env  []string // as in os.Environ
}

var _ Scanner = Command{}

// Layout stands for the image's folder in Command.Args.
const Layout = "LAYOUT"

// FindScanner looks for a program that lists what is in an image: davit-sbom in dir, where davit is, then on PATH; then syft. The Scanner is
// never nil; where there is no program, its Scan says what to install.
func FindScanner(dir string, env []string, lookPath func(string) (string, error)) Scanner {
	own := filepath.Join(dir, "davit-sbom")
	if path, err := exec.LookPath(own); err == nil {
		return Command{Args: []string{path, Layout}, Env: env}
	}
	if path, err := lookPath("davit-sbom"); err == nil {
		return Command{Args: []string{path, Layout}, Env: env}
	}
	if path, err := lookPath("syft"); err == nil {
		return Command{Args: []string{path, "scan", "--quiet", "--output", "spdx-json", "oci-dir:" + Layout}, Env: append(env, "SYFT_CHECK_FOR_APP_UPDATE=false")}
	}
	return noScanner{dir}
}

type noScanner struct{ dir string }

func (n noScanner) Scan(context.Context, string) (json.RawMessage, error) { return nil, n.missing() }

func (n noScanner) missing() error {
	return fmt.Errorf("no SBOM can be made: neither davit-sbom nor syft is on PATH: put davit-sbom, which comes with davit, into %s, or install syft (https://github.com/anchore/syft)", n.dir)
}

// Scan implements Scanner.
func (c Command) Scan(ctx context.Context, layout string) (json.RawMessage, error) {
	args := make([]string, len(c.Args))
	for i, arg := range c.Args {
		args[i] = strings.Replace(arg, Layout, layout, 1)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var out, said bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = c.Env, &out, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%s: %w\n%s", filepath.Base(args[0]), err, strings.TrimSpace(said.String()))
	}
	var document struct {
		Version string `json:"spdxVersion"`
	}
	if err := json.Unmarshal(out.Bytes(), &document); err != nil || document.Version == "" {
		return nil, errors.Join(fmt.Errorf("%s wrote no SPDX document", filepath.Base(args[0])), err)
	}
	compact := &bytes.Buffer{}
	if err := json.Compact(compact, out.Bytes()); err != nil {
		return nil, err
	}
	return compact.Bytes(), nil
}
