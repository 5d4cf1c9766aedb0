package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	davitconfig "github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/inspect"
)

// setting is a field of a build environment and the flag that sets it.
type setting struct {
	flag  string
	field string // empty where it is named as the flag is
	kind  settingKind
	usage string
}

type settingKind int

const (
	words settingKind = iota
	number
	yesNo
)

func localSettings() []setting {
	return []setting{
		{"push", "", yesNo, "push images to a registry"},
		{"tryImportMissing", "", yesNo, "look for images in Docker before they are built"},
		{"useDockerCLI", "", yesNo, "build with the docker command"},
		{"useBuildkit", "", yesNo, "build with BuildKit"},
		{"concurrency", "", number, "how many artifacts to build at once; 0 for all"},
	}
}

func cloudBuildSettings() []setting {
	return []setting{
		{"projectId", "", words, "the Google Cloud project"},
		{"diskSizeGb", "", number, "size of the machine's disk"},
		{"machineType", "", words, "type of the machine"},
		{"logging", "", words, "where logs go"},
		{"logStreamingOption", "", words, "how logs are written to Cloud Storage"},
		{"workerPool", "", words, "the pool of workers that builds"},
		{"timeout", "", words, "how long a build may take"},
		{"concurrency", "", number, "how many artifacts to build at once; 0 for all"},
	}
}

func clusterSettings() []setting {
	return []setting{
		{"pullSecretPath", "", words, "path of the key of a Google Cloud service account"},
		{"pullSecretName", "", words, "the secret to pull and push images with"},
		{"pullSecretMountPath", "", words, "where the pull secret is mounted"},
		{"namespace", "", words, "the namespace to build in"},
		{"dockerConfigPath", "dockerConfig.path", words, "path of a config.json of Docker"},
		{"dockerConfigSecretName", "dockerConfig.secretName", words, "the secret that has a config.json of Docker"},
		{"serviceAccount", "", words, "the service account of the pod"},
		{"runAsUser", "", number, "the user of the pod's container"},
		{"randomPullSecret", "", yesNo, "give the pull secret a name of its own at each build"},
		{"randomDockerConfigSecret", "", yesNo, "give the Docker secret a name of its own at each build"},
		{"timeout", "", words, "how long a build may take"},
		{"concurrency", "", number, "how many artifacts to build at once; 0 for all"},
	}
}

func (i *inspector) buildEnv() *cobra.Command {
	list := i.list(func(*pflag.FlagSet) {}, "Print where each config builds", func(c []*davitconfig.Config) any { return inspect.BuildEnvs(c) })
	add := parent("add", "Add a build environment to the configs or to a profile of them",
		i.addBuildEnv("local", localSettings()), i.addBuildEnv("googleCloudBuild", cloudBuildSettings()), i.addBuildEnv("cluster", clusterSettings()))
	add.PersistentFlags().StringP("profile", "p", "", "the profile to add it to; made where there is none")
	modify := parent("modify", "Change a build environment of the configs or of a profile of them", i.modifyBuildEnv("googleCloudBuild", cloudBuildSettings()))
	modify.PersistentFlags().StringP("profile", "p", "", "the profile to change it in")
	modify.PersistentFlags().Bool("strict", true, "fail where the build environment is not there or is another one")
	cmd := parent("build-env", "Where images are built", list, add, modify)
	i.moduleFlag(cmd.PersistentFlags())
	return cmd
}

func (i *inspector) addBuildEnv(kind string, settings []setting) *cobra.Command {
	return i.editBuildEnv(kind, "Add the build environment "+kind, settings, func(ctx context.Context, f *pflag.FlagSet, given []inspect.Setting) error {
		configs, err := i.load(ctx)
		if err != nil {
			return err
		}
		return inspect.AddBuildEnv(configs, kind, given, f.Lookup("profile").Value.String())
	})
}

func (i *inspector) modifyBuildEnv(kind string, settings []setting) *cobra.Command {
	return i.editBuildEnv(kind, "Change the build environment "+kind, settings, func(ctx context.Context, f *pflag.FlagSet, given []inspect.Setting) error {
		configs, err := i.load(ctx)
		if err != nil {
			return err
		}
		strict := f.Lookup("strict").Value.String() == "true"
		return inspect.ModifyBuildEnv(configs, kind, given, f.Lookup("profile").Value.String(), strict)
	})
}

func (i *inspector) editBuildEnv(kind, short string, settings []setting, change func(context.Context, *pflag.FlagSet, []inspect.Setting) error) *cobra.Command {
	var cmd *cobra.Command
	cmd = i.command(kind, short, 0, func(ctx context.Context, _ []string) (any, error) {
		given, err := givenSettings(cmd.Flags(), settings)
		if err != nil {
			return nil, err
		}
		return nil, change(ctx, cmd.Flags(), given)
	})
	for _, s := range settings {
		switch s.kind {
		case words:
			cmd.Flags().String(s.flag, "", s.usage)
		case number:
			cmd.Flags().Int64(s.flag, -1, s.usage)
		case yesNo:
			cmd.Flags().Bool(s.flag, false, s.usage)
		}
	}
	return cmd
}

// givenSettings are those whose flags were given. An empty text and a number below 0 stand for nothing.
func givenSettings(f *pflag.FlagSet, settings []setting) ([]inspect.Setting, error) {
	var given []inspect.Setting
	for _, s := range settings {
		flag := f.Lookup(s.flag)
		if !flag.Changed {
			continue
		}
		field, value := s.field, flag.Value.String()
		if field == "" {
			field = s.flag
		}
		switch s.kind {
		case words:
			if value != "" {
				given = append(given, inspect.Setting{Field: field, Value: value})
			}
		case number:
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return nil, err
			}
			if n >= 0 {
				given = append(given, inspect.Setting{Field: field, Value: n})
			}
		case yesNo:
			given = append(given, inspect.Setting{Field: field, Value: value == "true"})
		}
	}
	return given, nil
}
