package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	davitconfig "github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/inspect"
	"github.com/davit-dev/davit/internal/config/load"
)

// inspector answers editors in JSON, in the shapes of Skaffold's `inspect` commands.
type inspector struct {
	world  World
	common *common
	config configFlags
	format string
}

func newInspect(w World, c *common) *cobra.Command {
	i := &inspector{world: w, common: c, config: configFlags{propagateProfiles: true, syncRemoteCache: "always"}}
	cmd := &cobra.Command{
		Use: "inspect", Hidden: true,
		Short: "Answer editors about a config, and change it for them, in JSON",
		Example: `  davit inspect modules list --all
  davit inspect build-env add local --profile local --push=false`,
	}
	f := cmd.PersistentFlags()
	f.StringVarP(&i.config.file, "filename", "f", "skaffold.yaml", "path of the config")
	f.StringVarP(&i.format, "format", "o", "json", "form of the answer: json")
	f.StringVar(&i.config.remoteCacheDir, "remote-cache-dir", "", "where configs from elsewhere are kept (default ~/.skaffold/remote-cache)")
	cmd.AddCommand(i.modules(), i.profiles(), i.buildEnv(), i.executionModes(), i.dependencies(), i.namespaces(), i.jobManifestPaths(),
		parent("tests", "Tests of images", i.list(nil, "Print the tests", func(c []*davitconfig.Config) any { return inspect.Tests(c) })))
	addExamples(cmd)
	return cmd
}

func (i *inspector) modules() *cobra.Command {
	var all bool
	list := i.command("list", "Print the names that --module takes", 0, func(ctx context.Context, _ []string) (any, error) {
		configs, err := i.load(ctx)
		return inspect.Modules(configs, all), err
	})
	list.Flags().BoolVarP(&all, "all", "a", false, "configs without a name too")
	return parent("modules", "Configs by name", list)
}

func (i *inspector) profiles() *cobra.Command {
	var environment string
	list := i.command("list", "Print the names that --profile takes", 0, func(ctx context.Context, _ []string) (any, error) {
		configs, err := i.load(ctx)
		return inspect.Profiles(configs, environment), err
	})
	list.Flags().StringVar(&environment, "build-env", "", "only those that build there: local, googleCloudBuild or cluster")
	cmd := parent("profiles", "Profiles", list)
	i.moduleFlag(cmd.PersistentFlags())
	return cmd
}

func (i *inspector) executionModes() *cobra.Command {
	return parent("executionModes", "Where verify tests and custom actions run",
		i.command("list", "Print where each runs", 0, func(ctx context.Context, _ []string) (any, error) {
			configs, err := i.load(ctx)
			return inspect.ExecutionModes(configs), err
		}))
}

func (i *inspector) dependencies() *cobra.Command {
	add := i.command("add FILE", "Add what a JSON file lists under dependencies", 1, func(ctx context.Context, args []string) (any, error) {
		text, err := os.ReadFile(i.world.path(args[0]))
		if err != nil {
			return nil, fmt.Errorf("reading the dependencies: %w", err)
		}
		configs, err := i.load(ctx)
		if err != nil {
			return nil, err
		}
		return nil, inspect.AddDependencies(configs, text)
	})
	i.moduleFlag(add.Flags())
	return parent("config-dependencies", "Configs that are required", add)
}

func (i *inspector) namespaces() *cobra.Command {
	list := i.command("list MANIFEST", "Print the namespaces of a manifest's deployments", 1, func(ctx context.Context, args []string) (any, error) {
		manifest, err := os.ReadFile(i.world.path(args[0]))
		if err != nil {
			return nil, fmt.Errorf("reading the manifest: %w", err)
		}
		configs, err := i.load(ctx)
		if err != nil {
			return nil, err
		}
		return inspect.Namespaces(configs, manifest)
	})
	i.moduleFlag(list.Flags())
	i.profileFlags(list.Flags())
	return parent("namespaces", "Namespaces of objects", list)
}

func (i *inspector) jobManifestPaths() *cobra.Command {
	return parent("jobManifestPaths", "Jobs of verify tests and custom actions",
		i.list(i.moduleFlag, "Print the job manifests", func(c []*davitconfig.Config) any { return inspect.JobManifestPaths(c) }),
		i.modifyJobManifestPaths())
}

// modifyJobManifestPaths prints the whole config with its profiles, and takes the flags of `diagnose`.
func (i *inspector) modifyJobManifestPaths() *cobra.Command {
	var output string
	flags := configFlags{}
	cmd := &cobra.Command{
		Use: "modify FILE", Short: "Print the config with the job manifests that a JSON file gives", Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var paths inspect.JobManifestPathList
			text, err := os.ReadFile(i.world.path(args[0]))
			if err == nil {
				err = json.Unmarshal(text, &paths)
			}
			if err != nil {
				return fmt.Errorf("reading the job manifests of %s: %w", args[0], err)
			}
			sink, err := i.common.lines(i.world, true)
			if err != nil {
				return err
			}
			configs, err := flags.load(cmd.Context(), i.world, sink, "inspect", true)
			if err != nil {
				return err
			}
			inspect.SetJobManifestPaths(configs, paths)
			if text, err = load.Joined(configs); err != nil {
				return err
			}
			return writeOutput(i.world, output, text)
		},
	}
	flags.addTo(cmd.Flags())
	cmd.Flags().StringVar(&output, "output", "", "file to write to, in place of standard output")
	return cmd
}

// list is a command that answers from the configs alone, with profiles active.
func (i *inspector) list(flags func(*pflag.FlagSet), short string, answer func([]*davitconfig.Config) any) *cobra.Command {
	cmd := i.command("list", short, 0, func(ctx context.Context, _ []string) (any, error) {
		configs, err := i.load(ctx)
		return answer(configs), err
	})
	if flags == nil {
		flags = i.moduleFlag
	}
	flags(cmd.Flags())
	i.profileFlags(cmd.Flags())
	return cmd
}

// command prints an answer as JSON, if there is one; what went wrong is an answer too, and the exit code says so.
func (i *inspector) command(use, short string, args int, answer func(ctx context.Context, args []string) (any, error)) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: exactArgs(args), RunE: func(cmd *cobra.Command, args []string) error {
		encoder := json.NewEncoder(i.world.Stdout)
		result, err := answer(cmd.Context(), args)
		if err != nil {
			return told{err, encoder.Encode(inspect.Failed(err))}
		}
		if result == nil {
			return nil
		}
		return encoder.Encode(result)
	}}
}

func (i *inspector) load(ctx context.Context) ([]*davitconfig.Config, error) {
	sink, err := i.common.lines(i.world, true)
	if err != nil {
		return nil, err
	}
	return i.config.load(ctx, i.world, sink, "inspect", true)
}

func (i *inspector) moduleFlag(f *pflag.FlagSet) {
	f.StringSliceVarP(&i.config.modules, "module", "m", nil, "only the configs of these names and what they require")
}

func (i *inspector) profileFlags(f *pflag.FlagSet) {
	f.StringSliceVarP(&i.config.profiles, "profile", "p", nil, "profiles to activate")
	f.BoolVar(&i.config.propagateProfiles, "propagate-profiles", true, "activate -p profiles in required configs too")
}

// addExamples gives every command below cmd that has none an example: itself.
func addExamples(cmd *cobra.Command) {
	for _, child := range cmd.Commands() {
		if addExamples(child); !child.HasSubCommands() && child.Example == "" {
			child.Example = "  davit " + strings.NewReplacer("FILE", "change.json", "MANIFEST", "k8s/web.yaml", " [flags]", "").Replace(child.UseLine())
		}
	}
}

func parent(name, short string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short}
	cmd.AddCommand(children...)
	return cmd
}
