package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/kubebox/internal/box"
)

func newUp(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "Bring the box up and wait until it is of use",
		Long: `Brings the box up and waits until the node is ready, pods have a service account and
DNS answers. A box that is up stays as it is; one that was interrupted, by a crash or a
reboot, goes on with what is in it.

Ports that are taken (6443 for the API server, 5000 for the registry) are replaced by
free ones.`,
		Example: "  sudo kubebox up",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, begun := a.reporter(), time.Now()
			config, err := a.box.Up(cmd.Context(), report)
			if err != nil {
				return err
			}
			if err := a.box.GiveKubeconfig(a.caller()); err != nil {
				return err
			}
			fmt.Fprintf(a.Err, "kubebox is up after %s\n\n", seconds(time.Since(begun)))
			a.printUse(config)
			return nil
		},
	}
}

func (a *app) printUse(config box.Config) {
	fmt.Fprintf(a.Out, `export KUBECONFIG=%s

Kubernetes  %s   context %s   (no kubectl? kubebox kubectl get pods -A)
registry    %s   push images here; pods pull them under the same name
remove      kubebox down   (images in the registry stay; drop them with --registry)
`, a.box.Kubeconfig(), config.Server(), box.Context, config.RegistryHost())
}

func newDown(a *app) *cobra.Command {
	var registry bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Remove the box and everything it made on the machine",
		Long: `Removes the box, with all that runs in it and all that it made on the machine: processes,
mounts, network devices, firewall rules, cgroups and files. It works on a box that
crashed as well. The images pushed to the registry stay for the next box.`,
		Example: `  sudo kubebox down
  sudo kubebox down --registry   # the registry's images too`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			begun := time.Now()
			if err := a.box.Down(cmd.Context(), registry, a.reporter()); err != nil {
				return err
			}
			fmt.Fprintf(a.Err, "kubebox is down after %s\n", seconds(time.Since(begun)))
			return nil
		},
	}
	cmd.Flags().BoolVar(&registry, "registry", false, "remove the images pushed to the registry too")
	return cmd
}

// reporter returns a function that prints a step that is done, with the time since the beginning.
func (a *app) reporter() func(string) {
	begun := time.Now()
	return func(step string) { fmt.Fprintf(a.Err, "%6s  %s\n", seconds(time.Since(begun)), step) }
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }
