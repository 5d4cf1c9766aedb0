// Package cli is the command line of kubebox.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/component-base/version"

	"github.com/davit-dev/davit/kubebox/internal/box"
	"github.com/davit-dev/davit/kubebox/internal/component"
	"github.com/davit-dev/davit/kubebox/internal/program"
)

// Streams are a command's input and outputs.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// errSaid ends a command with a failure that it has described already.
var errSaid = errors.New("failed")

// Main runs the program that args, beginning with the program's name, ask for and returns its exit code:
// a component, the supervisor, kubectl or the command line of kubebox.
func Main(args []string, streams Streams, env func(string) (string, bool)) int {
	name := filepath.Base(args[0])
	if run := component.Named(name); run != nil {
		return run(args[1:])
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if name == program.Supervisor {
		return supervise(ctx, args[1:], streams)
	}
	root := newRoot(streams, env)
	root.SetArgs(args[1:])
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case !errors.Is(err, errSaid):
		fmt.Fprintf(streams.Err, "kubebox: %v\n", err)
	}
	return 1
}

func supervise(ctx context.Context, folders []string, streams Streams) int {
	log := slog.New(slog.NewTextHandler(streams.Out, nil))
	if len(folders) != 2 {
		log.Error("the supervisor is started by kubebox up, not by hand")
		return 2
	}
	b := box.Box{State: folders[0], Run: folders[1]}
	if err := b.Supervise(ctx, log); err != nil {
		log.Error("the supervisor ends", "cause", err)
		return 1
	}
	return 0
}

// app is what all commands share.
type app struct {
	Streams
	env func(string) (string, bool)
	box box.Box
}

func newRoot(streams Streams, env func(string) (string, bool)) *cobra.Command {
	a := &app{Streams: streams, env: env}
	root := &cobra.Command{
		Use:   "kubebox",
		Short: "A real one-node Kubernetes on a bare Linux machine",
		Long: `kubebox runs a real one-node Kubernetes on a bare Linux machine: the upstream
components, containerd from the distribution, and an image registry on localhost.
No virtual machine, no Docker, no download.`,
		Example: `  sudo kubebox up
  export KUBECONFIG=$(kubebox kubeconfig --path)
  kubebox kubectl get pods --all-namespaces
  sudo kubebox down`,
		Version:       version.Get().GitVersion,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	root.SetVersionTemplate("kubebox with Kubernetes {{.Version}}\n")
	flags := root.PersistentFlags()
	flags.StringVar(&a.box.State, "state-dir", box.DefaultState, "folder of the box's data")
	flags.StringVar(&a.box.Run, "run-dir", box.DefaultRun, "folder of the box's sockets and mounts")
	root.AddCommand(newUp(a), newDown(a), newStatus(a), newKubeconfig(a), newLogs(a), newKubectl(a))
	return root
}

// caller returns the user and group for whom root acts, by sudo's account, or root itself.
func (a *app) caller() (uid, gid int) {
	u, _ := a.env("SUDO_UID")
	g, _ := a.env("SUDO_GID")
	uid, errU := strconv.Atoi(u)
	gid, errG := strconv.Atoi(g)
	if errU != nil || errG != nil {
		return os.Geteuid(), os.Getegid()
	}
	return uid, gid
}
