package plan

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/buildkit"
	"github.com/davit-dev/davit/internal/build/local"
	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/config/template"
	"github.com/davit-dev/davit/internal/hook"
	"github.com/davit-dev/davit/internal/image"
	"github.com/davit-dev/davit/internal/inputs"
	"github.com/davit-dev/davit/internal/manifest"
)

// Options is what the command line says.
type Options struct {
	NoBuild      bool              // the images of the manifests are taken as they are
	Images       []string          // parts of artifact names; empty: all
	Tag          string            // for all images; empty: the config's policy
	Tags         map[string]string // by image, as a saved plan gives them
	Repo         image.DefaultRepo
	Insecure     []string
	Platforms    PlatformFacts
	Push         *bool  // nil: as the config says
	LocalCluster bool   // images go there without a registry, when nothing else is said
	Builder      string // address of where to build; empty: as the config says
	CloudRun     CloudRunOptions
	HydrationDir string // where manifests for kpt are put; empty: DefaultHydrationDir
	Getenv       func(string) string
	Namespace    string
	Labels       map[string]string
	Force        bool
	StatusCheck  *bool // nil: as the config says
	Tolerate     bool
	Home         string           // the user's folder; may be empty
	WorkDir      string           // absolute: where davit was started; hooks run there
	Mode         string           // "run", "build", ...: SKAFFOLD_RUN_MODE in builds
	Rules        []manifest.Rules // of --resource-selector-rules-file
	Templates    *template.Expander
	Attest       []build.Attestation // attached to what is pushed
	RolloutOptions
	ApplyOptions
}

// Drafts makes the artifacts of all configs. Errors point into the config, all at once.
func Drafts(configs []*config.Config, o Options) ([]Draft, error) {
	if o.NoBuild {
		return nil, nil
	}
	var drafts []Draft
	var errs []error
	for _, c := range configs {
		var around *Around
		if h := c.Model.Build.Hooks; len(h.Before)+len(h.After) > 0 {
			around = &Around{hostHooks(c.Dir, h.Before, o.WorkDir), hostHooks(c.Dir, h.After, o.WorkDir)}
		}
		for i, a := range c.Model.Build.Artifacts {
			if !wanted(a.Image, o.Images) {
				continue
			}
			d, err := draft(c, i, a, o)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			d.Around = around
			drafts = append(drafts, d)
		}
	}
	return drafts, errors.Join(errs...)
}

func wanted(name string, parts []string) bool {
	return len(parts) == 0 || slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(name, p) })
}

func draft(c *config.Config, i int, a *model.Artifact, o Options) (Draft, error) {
	wrong := func(cause, next string, path ...any) error {
		return c.Error(cause, next, append([]any{"build", "artifacts", i}, path...)...)
	}
	name, err := image.Parse(a.Image)
	if err != nil {
		return Draft{}, wrong(err.Error(), "use a name such as registry.example.com/team/app", "image")
	}
	context := absolute(c.Dir, a.Context)
	d := Draft{
		Image: a.Image, Name: o.Repo.Rewrite(name), Policy: c.Model.Build.TagPolicy.Tagger, Tag: cmp.Or(o.Tag, o.Tags[a.Image]), Mode: o.Mode, Dir: c.Dir,
		Written: Written{Folder: o.WorkDir, Context: a.Context}, Context: context, Attest: o.Attest,
		Builder: cmp.Or(o.Builder, c.Annotations[BuilderAnnotation]),
		Before:  hostHooks(c.Dir, a.Hooks.Before, o.WorkDir), After: hostHooks(c.Dir, a.Hooks.After, o.WorkDir),
		Insecure: slices.Concat(o.Insecure, c.Model.Build.InsecureRegistries),
	}
	if c.Required {
		d.Written.Context = context
	}
	environment, ok := c.Model.Build.Environment.(*model.LocalBuild)
	if !ok {
		environment = &model.LocalBuild{} // the others are refused by Supported
	}
	d.Push = *cmp.Or(o.Push, environment.Push, new(!o.LocalCluster && !DockerOnly(c)))
	d.Import = environment.TryImportMissing
	switch builder := a.Builder.(type) {
	case *model.Docker:
		d.Written.Dockerfile = builder.Dockerfile
		err = d.docker(c, i, builder, environment, o)
	case *model.Custom:
		d.Spec, d.Reads, err = custom(c, i, context, builder, o)
	default:
		err = wrong(fmt.Sprintf("davit builds Dockerfiles and runs custom commands so far, and %s is for %s", a.Image, model.Name(a.Builder)),
			"give it a Dockerfile or a custom buildCommand, or build it with skaffold")
	}
	if err != nil {
		return Draft{}, err
	}
	if err := d.platforms(c, i, o); err != nil {
		return Draft{}, err
	}
	for _, r := range a.Requires {
		d.Requires = append(d.Requires, Requirement{r.Image, r.Alias})
	}
	return d, nil
}

// BuilderAnnotation names, among a config's metadata.annotations, the address of where its images are built.
const BuilderAnnotation = "davit.dev/builder"

// docker fills in what a Dockerfile is built of, and how. Flags of `docker build` that BuildKit's client knows are taken over into the specification.
func (d *Draft) docker(c *config.Config, i int, m *model.Docker, environment *model.LocalBuild, o Options) error {
	d.UseBuildkit, d.KeepCacheFrom = environment.UseBuildkit, o.Getenv("SKAFFOLD_DISABLE_DOCKER_CACHE_ADJUSTMENT") != ""
	specify := func(ref image.Reference) (build.Docker, buildkit.Flags, error) {
		spec, err := dockerSpec(c, i, d.Context, m, o, tagVars(ref))
		if err != nil {
			return spec, buildkit.Flags{}, err
		}
		flags, unknown, err := buildkit.ParseFlags(spec.CLIFlags, o.WorkDir, o.Getenv)
		if err != nil {
			return spec, flags, c.Error(err.Error(), "see 'docker build --help'", "build", "artifacts", i, "docker", "cliFlags")
		}
		d.Way, d.WhyWay = local.Choose(local.Settings{
			UseDockerCLI: environment.UseDockerCLI, UseBuildkit: environment.UseBuildkit, DockerBuildkit: o.Getenv("DOCKER_BUILDKIT"),
			Flags: spec.CLIFlags, UnknownFlags: unknown, Squash: m.Squash,
		})
		if d.Way != local.BuildKit {
			return spec, buildkit.Flags{}, nil
		}
		return flags.Apply(spec), flags, nil
	}
	spec, flags, err := specify(image.Reference{Name: d.Name.Name, Tag: "latest"})
	if err != nil {
		return err
	}
	d.Spec, d.Platforms, d.Attest = spec, flags.Platforms, append(d.Attest, flags.Attest...)
	if speaksOfTag(m) {
		d.Tagged = func(ref image.Reference) (build.Docker, error) {
			spec, _, err := specify(ref)
			return spec, err
		}
	}
	return nil
}

// tagVars are the variables of an image itself, as its build arguments and flags may use them.
func tagVars(ref image.Reference) map[string]string {
	repo, last := ref.Split()
	return map[string]string{"IMAGE_REPO": repo, "IMAGE_NAME": last, "IMAGE_TAG": ref.Tag}
}

func speaksOfTag(m *model.Docker) bool {
	speaks := func(text string) bool { return strings.Contains(text, ".IMAGE_") }
	for _, text := range m.BuildArgs {
		if text != nil && speaks(*text) {
			return true
		}
	}
	return slices.ContainsFunc(m.CliFlags, speaks)
}

// platforms decides for which platforms the image is made. Flags of `docker build` have the last word.
func (d *Draft) platforms(c *config.Config, i int, o Options) error {
	if len(d.Platforms) > 0 {
		return nil
	}
	var err error
	if d.Platforms, d.Warning, err = Platforms(c, i, o.Platforms); err != nil {
		return err
	}
	if len(d.Platforms) > 1 && !d.Push {
		return c.Error(fmt.Sprintf("%s is to be built for %s, and an image of several platforms can be in a registry only", d.Image, strings.Join(d.Platforms, ", ")),
			"push it (--push, --default-repo), or name one platform with --platform", "build", "artifacts", i)
	}
	return nil
}

// custom gives the command of a custom build, and what it says that it reads.
func custom(c *config.Config, i int, context string, m *model.Custom, o Options) (build.Custom, inputs.Custom, error) {
	command, err := o.Templates.Field(c, m.BuildCommand, nil, "build", "artifacts", i, "custom", "buildCommand")
	spec, reads := build.Custom{Context: context, Command: command}, inputs.Custom{Context: context}
	d := m.Dependencies
	if d == nil || err != nil {
		return spec, reads, err
	}
	reads.List, reads.Paths, reads.Ignore = d.Command, d.Paths, d.Ignore
	if d.Dockerfile != nil {
		reads.Dockerfile = absolute(context, d.Dockerfile.Path)
		reads.BuildArgs, err = buildArgs(c, d.Dockerfile.BuildArgs, o, nil, "build", "artifacts", i, "custom", "dependencies", "dockerfile", "buildArgs")
	}
	return spec, reads, err
}

func dockerSpec(c *config.Config, i int, context string, d *model.Docker, o Options, vars map[string]string) (build.Docker, error) {
	spec := build.Docker{
		Context: context, Dockerfile: absolute(context, d.Dockerfile), Target: d.Target, Network: d.Network,
		AddHosts: d.AddHost, CacheFrom: d.CacheFrom, NoCache: d.NoCache, Pull: d.PullParent, SSH: d.SSH, Squash: d.Squash,
	}
	for _, s := range d.Secrets {
		source := s.Src
		if rest, ok := strings.CutPrefix(source, "~"); ok && o.Home != "" {
			source = o.Home + rest
		}
		spec.Secrets = append(spec.Secrets, build.Secret{ID: s.ID, Source: source, Env: s.Env})
	}
	var errs []error
	for n, text := range d.CliFlags {
		flag, err := o.Templates.Field(c, text, vars, "build", "artifacts", i, "docker", "cliFlags", n)
		spec.CLIFlags, errs = append(spec.CLIFlags, flag), append(errs, err)
	}
	var err error
	spec.BuildArgs, err = buildArgs(c, d.BuildArgs, o, vars, "build", "artifacts", i, "docker", "buildArgs")
	return spec, errors.Join(append(errs, err)...)
}

// buildArgs evaluates build arguments, which are at path. Those without a value are left out, as Skaffold does.
func buildArgs(c *config.Config, args map[string]*string, o Options, vars map[string]string, path ...any) (map[string]string, error) {
	values := map[string]string{}
	var errs []error
	for name, text := range args {
		if text == nil {
			continue
		}
		value, err := o.Templates.Field(c, *text, vars, append(slices.Clone(path), name)...)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		values[name] = value
	}
	return values, errors.Join(errs...)
}

func absolute(base, path string) string {
	path = filepath.FromSlash(strings.ReplaceAll(path, "\\", "/"))
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(base, path)
}

func hostHooks(base string, hooks []model.HostHook, workDir string) []hook.Host {
	var out []hook.Host
	for _, h := range hooks {
		dir := workDir
		if h.Dir != "" {
			dir = absolute(base, h.Dir)
		}
		out = append(out, hook.Host{Command: h.Command, OS: h.OS, Dir: dir})
	}
	return out
}
