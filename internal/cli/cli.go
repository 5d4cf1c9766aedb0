// Package cli is davit's command line: a file per command, each turning flags into options for one call. It is the only
// place that prints, reads the environment and decides about exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/joho/godotenv"
	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/internal/build/buildkitd"
	"github.com/davit-dev/davit/internal/config/load"
	"github.com/davit-dev/davit/internal/report"
)

// The exit codes.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130 // as a shell reports a command that Ctrl-C ended
)

// World is what a command may touch outside of its arguments.
type World struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Environ        []string // as in os.Environ
	Dir            string   // the folder that relative paths start from
	Home           string   // the user's folder; may be empty
	CacheDir       string   // davit's own, below $XDG_CACHE_HOME; may be empty
	Executable     string   // the path of davit itself
	Now            func() time.Time
	Version        string
}

// System is the world that a process has.
func System(version string) World {
	w := World{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(), Now: time.Now, Version: version,
	}
	// What cannot be found out is missed where it is needed, with a better word than here.
	w.Dir, _ = os.Getwd()
	w.Home, _ = os.UserHomeDir()
	w.Executable, _ = os.Executable()
	if cache, err := os.UserCacheDir(); err == nil {
		w.CacheDir = filepath.Join(cache, "davit")
	}
	return w
}

// Getenv is the value of an environment variable, the last one given.
func (w World) Getenv(name string) string {
	value, _ := w.LookupEnv(name)
	return value
}

// LookupEnv is the value of an environment variable and whether it is set.
func (w World) LookupEnv(name string) (string, bool) {
	for i := len(w.Environ) - 1; i >= 0; i-- {
		if n, v, ok := strings.Cut(w.Environ[i], "="); ok && n == name {
			return v, true
		}
	}
	return "", false
}

// path makes a path of the command line absolute.
func (w World) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(w.Dir, name)
}

// cacheDir is a folder of davit's cache; empty where there is none, and then nothing is kept.
func (w World) cacheDir(name string) string {
	if w.CacheDir == "" {
		return ""
	}
	return filepath.Join(w.CacheDir, name)
}

// manyErrors is how many errors are told: where a registry or a disk is gone, a hundred artifacts fail of one cause.
const manyErrors = 20

// usageError is a command line that cannot be understood.
type usageError struct{ error }

// told is a failure that the command has put on standard output already, in a form for programs.
type told struct{ failure, writing error }

func (t told) Error() string { return t.failure.Error() }

// Main runs davit and returns its exit code. The first interrupt ends the run cleanly, the second at once.
func Main(w World, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop()
	}()
	// A reader of our output that goes away must not end a deployment half-way: with a handler, writing fails instead.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(broken)
	command, err := run(ctx, w, args)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errTodo):
		return exitTodo
	case ctx.Err() != nil:
		fmt.Fprintln(w.Stderr, "interrupted: what was done stays, run again to go on")
		return exitInterrupted
	}
	if t, ok := errors.AsType[told](err); ok && t.writing == nil {
		return exitFailure
	}
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(w.Stderr, "%v\nSee '%s --help'.\n", err, command)
		return exitUsage
	}
	messages := report.Messages(err)
	shown := messages[:min(len(messages), manyErrors)]
	for _, message := range shown {
		fmt.Fprintln(w.Stderr, paint(w.colours(w.Stderr), "31", "error:"), message)
	}
	if more := len(messages) - len(shown); more > 0 {
		fmt.Fprintf(w.Stderr, "and %d more errors: mend these first\n", more)
	}
	return exitFailure
}

// run runs a command, and says which one that was.
func run(ctx context.Context, w World, args []string) (command string, err error) {
	if done, err := runHidden(ctx, args); done {
		return builderCommand, err
	}
	defer spareMemory()()
	w, err = withEnvFile(w)
	if err != nil {
		fmt.Fprintln(w.Stderr, paint(w.colours(w.Stderr), "33", "warning:"), err)
	}
	root := newRoot(w)
	if args, err = commandLine(w, args); err != nil {
		return root.Name(), err
	}
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return cmd.CommandPath(), err
}

// builderCommand is the hidden command under which davit runs itself as the BuildKit that it carries.
const builderCommand = "buildkitd"

// runHidden runs what is no command for people, past everything that is for them.
func runHidden(ctx context.Context, args []string) (done bool, err error) {
	if len(args) == 0 || args[0] != builderCommand {
		return false, nil
	}
	return true, buildkitd.Main(ctx, args[1:])
}

// withEnvFile adds the variables of the working folder's skaffold.env that are not set.
func withEnvFile(w World) (World, error) {
	text, err := os.ReadFile(filepath.Join(w.Dir, load.EnvFile))
	if errors.Is(err, fs.ErrNotExist) {
		return w, nil
	}
	vars := map[string]string{}
	if err == nil {
		vars, err = godotenv.UnmarshalBytes(text)
	}
	if err != nil {
		return w, fmt.Errorf("reading variables of %s: %w", load.EnvFile, err)
	}
	w.Environ = slices.Clone(w.Environ)
	for name, value := range vars {
		if _, set := w.LookupEnv(name); !set {
			w.Environ = append(w.Environ, name+"="+value)
		}
	}
	return w, nil
}

func newRoot(w World) *cobra.Command {
	var common common
	root := &cobra.Command{
		Use:   "davit",
		Short: "Build what a skaffold.yaml describes, get it running on Kubernetes, and prove it",
		Long: `davit builds the images of a skaffold.yaml, tags them, puts their digests into the manifests, applies those to
Kubernetes, waits, and proves that what runs is what was built. It is a drop-in for 'skaffold run' and needs no
Docker daemon, kubectl, helm or kustomize. Every flag can be given as an environment variable: --default-repo is
SKAFFOLD_DEFAULT_REPO or DAVIT_DEFAULT_REPO.`,
		SuggestionsMinimumDistance: 2,
		SilenceErrors:              true,
		SilenceUsage:               true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return fromEnvironment(w, cmd.Flags())
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("davit has no command %q%s", args[0], suggest(cmd, args[0]))}
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	root.SetIn(w.Stdin)
	root.SetOut(w.Stdout)
	root.SetErr(w.Stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{flagError(err)} })
	common.addTo(root.PersistentFlags())
	root.AddCommand(newRun(w, &common), newPlan(w, &common), newDiff(w, &common), newHistory(w, &common), newRollback(w, &common), newBuild(w, &common), newTest(w, &common), newRender(w, &common), newDeploy(w, &common), newApply(w, &common), newFilter(w, &common), newDelete(w, &common), newDiagnose(w, &common),
		newInspect(w, &common), newLint(w, &common),
		newFindConfigs(w), newFix(w), newSchema(w), newConfig(w), newBuilder(w, &common), newCache(w, &common), newVersion(w))
	return root
}

func suggest(cmd *cobra.Command, word string) string {
	ofSkaffold := []string{"init", "dev", "debug", "verify", "exec", "survey", "credits"}
	if !cmd.HasParent() && slices.Contains(ofSkaffold, word) {
		return fmt.Sprintf(": 'skaffold %s' does that, with the same skaffold.yaml", word)
	}
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		return fmt.Sprintf(": did you mean %q?", near[0])
	}
	return ""
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("davit %s takes no argument, but got %q", cmd.Name(), args)}
	}
	return nil
}

func exactArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{fmt.Errorf("%s: got %d arguments", cmd.UseLine(), len(args))}
		}
		return nil
	}
}

func paint(colour bool, code, s string) string {
	if !colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
