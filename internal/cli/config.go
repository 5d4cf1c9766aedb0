package cli

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/internal/config/global"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
)

// settingsOptions say whose settings are read or changed.
type settingsOptions struct {
	file        string
	kubeContext string
	all         bool
}

func (o *settingsOptions) addTo(f *pflag.FlagSet, all string) {
	f.StringVarP(&o.file, "config", "c", "", "the settings file (default ~/.skaffold/config)")
	f.StringVarP(&o.kubeContext, "kube-context", "k", "", "settings of this kube context (default the current one)")
	f.BoolVarP(&o.all, all, all[:1], false, "settings of all kube contexts")
}

// context is the kube context meant; empty for the settings of all.
func (o *settingsOptions) context(w World) (string, error) {
	if o.all || o.kubeContext != "" {
		return o.kubeContext, nil
	}
	var flags configFlags
	k, err := kube.Connect(flags.kubeOptions(w, event.SinkFunc(func(event.Event) {})))
	if err != nil {
		return "", fmt.Errorf("which kube context is meant is not known (name it with --kube-context, or use --global): %w", err)
	}
	return k.Context(), nil
}

func (o *settingsOptions) open(w World) (*global.File, error) {
	return global.Read(cmp.Or(o.file, global.Path(w.Home)))
}

func newConfig(w World) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Read and change your own settings (~/.skaffold/config)"}
	cmd.AddCommand(newConfigList(w), newConfigSet(w), newConfigUnset(w))
	return cmd
}

func newConfigList(w World) *cobra.Command {
	var o settingsOptions
	cmd := &cobra.Command{
		Use: "list", Short: "List settings", Args: noArgs,
		Example: "  davit config list\n  davit config list --all",
		RunE: func(*cobra.Command, []string) error {
			file, err := o.open(w)
			if err != nil {
				return err
			}
			var text []byte
			if o.all {
				text, err = file.ListAll()
			} else {
				var context string
				if context, err = o.context(w); err == nil {
					text, err = file.List(context)
				}
			}
			if err != nil {
				return err
			}
			_, err = w.Stdout.Write(text)
			return err
		},
	}
	o.addTo(cmd.Flags(), "all")
	return cmd
}

func newConfigSet(w World) *cobra.Command {
	var o settingsOptions
	cmd := &cobra.Command{
		Use: "set NAME VALUE", Short: "Change a setting", Args: exactArgs(2),
		Example: `  davit config set --global default-repo registry.example.com/team
  davit config set --kube-context staging multi-level-repo true`,
		RunE: func(_ *cobra.Command, args []string) error {
			return o.change(w, func(f *global.File, context string) error { return f.Set(context, args[0], args[1]) })
		},
	}
	o.addTo(cmd.Flags(), "global")
	return cmd
}

func newConfigUnset(w World) *cobra.Command {
	var o settingsOptions
	cmd := &cobra.Command{
		Use: "unset NAME", Short: "Take a setting away", Args: exactArgs(1),
		Example: "  davit config unset --global default-repo",
		RunE: func(_ *cobra.Command, args []string) error {
			return o.change(w, func(f *global.File, context string) error { return f.Unset(context, args[0]) })
		},
	}
	o.addTo(cmd.Flags(), "global")
	return cmd
}

func (o *settingsOptions) change(w World, change func(f *global.File, context string) error) error {
	file, err := o.open(w)
	if err != nil {
		return err
	}
	context, err := o.context(w)
	if err != nil {
		return err
	}
	if err := change(file, context); err != nil {
		return err
	}
	return file.Write()
}
