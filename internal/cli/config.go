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
	survey      bool
	surveyID    string
}

func (o *settingsOptions) addTo(f *pflag.FlagSet, all string) {
	f.StringVarP(&o.file, "config", "c", "", "the settings file (default ~/.skaffold/config)")
	f.StringVarP(&o.kubeContext, "kube-context", "k", "", "settings of this kube context (default the current one)")
	f.BoolVarP(&o.all, all, all[:1], false, "settings of all kube contexts")
}

// addChangeTo adds the flags of commands that change settings. Those of surveys are Skaffold's, which keeps them in the same file.
func (o *settingsOptions) addChangeTo(f *pflag.FlagSet) {
	o.addTo(f, "global")
	f.BoolVarP(&o.survey, "survey", "s", false, "settings of Skaffold's surveys")
	f.StringVarP(&o.surveyID, "id", "i", "", "with --survey: settings of the survey of this name")
	_, _ = f.MarkHidden("survey"), f.MarkHidden("id")
}

// context is the kube context meant.
func (o *settingsOptions) context(w World) (string, error) {
	if o.kubeContext != "" {
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
	cmd := &cobra.Command{
		Use: "config", Short: "Read and change your own settings (~/.skaffold/config)",
		Example: "  davit config list --all\n  davit config set --global default-repo registry.example.com/team",
	}
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
			whose := "at all"
			if o.all {
				text, err = file.ListAll()
			} else {
				var context string
				if context, err = o.context(w); err == nil {
					text, err = file.List(context)
				}
				whose = fmt.Sprintf("for the kube context %q", context)
			}
			if err != nil {
				return err
			}
			if len(text) == 0 {
				fmt.Fprintln(w.Stderr, "nothing is set "+whose+" in", file.Path)
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
			return o.change(w, args[0]+" is "+args[1], func(f *global.File, p global.Place) error { return f.Set(p, args[0], args[1]) })
		},
	}
	o.addChangeTo(cmd.Flags())
	return cmd
}

func newConfigUnset(w World) *cobra.Command {
	var o settingsOptions
	cmd := &cobra.Command{
		Use: "unset NAME", Short: "Take a setting away", Args: exactArgs(1),
		Example: "  davit config unset --global default-repo",
		RunE: func(_ *cobra.Command, args []string) error {
			return o.change(w, args[0]+" is not set", func(f *global.File, p global.Place) error { return f.Unset(p, args[0]) })
		},
	}
	o.addChangeTo(cmd.Flags())
	return cmd
}

// change makes a change, and says what holds now.
func (o *settingsOptions) change(w World, now string, change func(*global.File, global.Place) error) error {
	file, err := o.open(w)
	if err != nil {
		return err
	}
	place := global.Place{Survey: o.survey, SurveyID: o.surveyID}
	whose := "all kube contexts"
	if !o.all {
		if place.KubeContext, err = o.context(w); err != nil {
			return err
		}
		whose = "the kube context " + place.KubeContext
	}
	if err := change(file, place); err != nil {
		return err
	}
	if err := file.Write(); err != nil {
		return err
	}
	fmt.Fprintf(w.Stdout, "%s for %s\n", now, whose)
	return nil
}
