package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/kubebox/internal/box"
	"github.com/davit-dev/davit/kubebox/internal/component"
)

func newStatus(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say how the box and its components are",
		Long:  "Says how the box and each of its components are. Fails unless the cluster is of use.",
		Example: `  kubebox status
  kubebox status --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			status, err := a.box.Status(cmd.Context())
			if err != nil {
				return err
			}
			switch output {
			case "json":
				encoder := json.NewEncoder(a.Out)
				encoder.SetIndent("", "  ")
				err = encoder.Encode(status)
			case "":
				err = printStatus(a.Out, status)
			default:
				return fmt.Errorf("unknown output %q: use json or leave it out", output)
			}
			if err == nil && status.Trouble != "" {
				return errSaid
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json, or a table for people if left out")
	return cmd
}

func printStatus(out io.Writer, status *box.Status) error {
	if status.Supervisor != 0 {
		fmt.Fprintf(out, "supervisor  process %d, since %s\n", status.Supervisor, ago(status.Since))
	}
	fmt.Fprintf(out, "Kubernetes  %s\nregistry    %s\n", status.Config.Server(), status.Config.RegistryHost())
	if status.Trouble != "" {
		fmt.Fprintf(out, "trouble     %s\n", status.Trouble)
	} else {
		fmt.Fprintln(out, "ready       the API server answers, the node is ready, DNS answers")
	}
	if len(status.Components) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "\nCOMPONENT\tSTATE\tPROCESS\tSINCE\tRESTARTS\tLAST END")
	for _, c := range status.Components {
		pid, since, end := "-", "-", "-"
		if c.PID != 0 {
			pid, since = fmt.Sprint(c.PID), ago(c.StartedAt)
		}
		if c.LastExit != "" {
			end = c.LastExit + ", " + ago(c.LastExitAt)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\n", c.Name, c.Phase, pid, since, c.Restarts, end)
	}
	return table.Flush()
}

func ago(t time.Time) string { return time.Since(t).Round(time.Second).String() + " ago" }

func newKubeconfig(a *app) *cobra.Command {
	var path bool
	cmd := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the kubeconfig of the cluster",
		Example: `  kubebox kubeconfig > box.kubeconfig
  export KUBECONFIG=$(kubebox kubeconfig --path)`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if _, err := a.box.Config(); err != nil {
				return err
			}
			if path {
				fmt.Fprintln(a.Out, a.box.Kubeconfig())
				return nil
			}
			content, err := os.ReadFile(a.box.Kubeconfig())
			if errors.Is(err, os.ErrPermission) {
				return fmt.Errorf("the kubeconfig is only for whoever brought the box up: %w", err)
			}
			if err != nil {
				return fmt.Errorf("cannot read the kubeconfig: %w", err)
			}
			_, err = a.Out.Write(content)
			return err
		},
	}
	cmd.Flags().BoolVar(&path, "path", false, "print where the file is instead")
	return cmd
}

func newLogs(a *app) *cobra.Command {
	var follow bool
	var tail int
	cmd := &cobra.Command{
		Use:   "logs COMPONENT",
		Short: "Print the log of a component",
		Long:  "Prints the log of a component: " + strings.Join(box.ComponentNames(), ", ") + ".",
		Example: `  kubebox logs kubelet
  kubebox logs kube-apiserver --tail 20 --follow`,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: box.ComponentNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := os.Open(filepath.Join(a.box.Logs(), args[0]+".log"))
			if errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("%s has no log: %w", args[0], box.ErrNoBox)
			}
			if err != nil {
				return fmt.Errorf("cannot read the log: %w", err)
			}
			defer file.Close()
			if err := printTail(a.Out, file, tail); err != nil || !follow {
				return err
			}
			return printGrowth(cmd.Context(), a.Out, file)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on printing what is written")
	cmd.Flags().IntVar(&tail, "tail", -1, "print only so many of the last lines")
	return cmd
}

func newKubectl(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "kubectl [ARGUMENTS...]",
		Short: "Run kubectl against the box",
		Long: `Runs the kubectl that is part of kubebox against the box. The same kubectl, for any
cluster, is what kubebox is when it is called through a link named kubectl.`,
		Example: `  kubebox kubectl get pods --all-namespaces
  ln -s $(command -v kubebox) /usr/local/bin/kubectl`,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if code := component.RunKubectl(append([]string{"--kubeconfig=" + a.box.Kubeconfig()}, args...)); code != 0 {
				return errSaid
			}
			return nil
		},
	}
}
