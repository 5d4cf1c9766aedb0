package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/davit-dev/davit/internal/cache"
	davitconfig "github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/global"
	"github.com/davit-dev/davit/internal/config/load"
	"github.com/davit-dev/davit/internal/config/remote"
	"github.com/davit-dev/davit/internal/config/template"
	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/hook"
	imageload "github.com/davit-dev/davit/internal/image/load"
	"github.com/davit-dev/davit/internal/inputs"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/pipeline"
	"github.com/davit-dev/davit/internal/plan"
	"github.com/davit-dev/davit/internal/tag"
)

// session is what run, build and delete have in common: the config, the cluster, and the pipeline that works with them.
type session struct {
	world   World
	sink    event.Sink
	flags   *configFlags
	configs []*davitconfig.Config
	project string // names the inventories of configs without a name; known when the command deploys
	kube    *kube.Client
	options plan.Options
	index   *inputs.Index
	pipe    *pipeline.Pipeline

	deploys       bool
	cluster       imageload.Cluster // what kind of cluster the context leads to
	cacheFile     string            // --cache-file
	dockerEnviron []string          // "NAME=value", leads to the cluster's own Docker Engine; often none
}

// needs says what a command works with.
type needs struct {
	command string
	cluster bool // it cannot do without a cluster
	nodes   bool // it wants to know what platforms the cluster's nodes are
	offline bool // it asks no cluster
	aside   bool // the config only lends settings: it may be missing, and parts that davit does not carry out do not matter
}

// open reads the config and connects what the command needs. Nothing is changed yet.
func open(ctx context.Context, w World, sink event.Sink, c *configFlags, b *buildFlags, o plan.Options, n needs) (*session, error) {
	s := &session{world: w, sink: sink, flags: c, options: o, deploys: n.cluster}
	s.options.WorkDir, s.options.Home, s.options.Getenv = w.Dir, w.Home, s.getenv
	var err error
	if !n.aside || !c.none(w) {
		if s.configs, err = c.load(ctx, w, sink, n.command, false); err != nil {
			return nil, err
		}
	}
	if !n.aside {
		if err := plan.Supported(s.configs, o.Mode); err != nil {
			return nil, err
		}
	}
	if err := s.connect(ctx, n); err != nil {
		return nil, err
	}
	s.options.Templates = template.New(template.Environment{
		Environ: w.Environ, Now: w.Now,
		Run: func(name string, args ...string) (string, error) {
			out, err := tag.Exec(w.Environ)(ctx, w.Dir, name, args...)
			return string(out), err
		},
	})
	s.pipeline(b)
	return s, nil
}

// load reads the config that the flags name.
func (c *configFlags) load(ctx context.Context, w World, sink event.Sink, command string, viewOnly bool) ([]*davitconfig.Config, error) {
	fetcher, err := c.fetcher(w, sink)
	if err != nil {
		return nil, err
	}
	configs, err := load.Load(ctx, load.Options{
		File: c.file, Stdin: w.Stdin, Dir: w.Dir, Profiles: c.profiles, Modules: c.modules, Command: command,
		NoAutoActivation: !c.autoActivation, NoPropagateProfiles: !c.propagateProfiles, LookupEnv: w.LookupEnv,
		KubeContext: c.kubeContext, Home: w.Home, ViewOnly: viewOnly,
		CurrentContext: func() (string, error) {
			k, err := kube.Connect(c.kubeOptions(w, sink))
			if _, none := errors.AsType[*kube.NoKubeconfigError](err); none {
				return "", nil // a build needs no cluster: profiles see an empty name
			}
			if err != nil {
				return "", err
			}
			return k.Context(), nil
		},
		Debug:  func(text string) { sink.Emit(event.Debug{Message: text}) },
		Remote: fetcher,
	})
	for _, config := range configs {
		for _, warning := range config.Warnings {
			sink.Emit(event.Warning{Message: warning.Error()})
		}
		if config.Commit != "" {
			sink.Emit(event.Note{Message: "Config " + config.File + " is of commit " + config.Commit})
		}
	}
	return configs, err
}

// fetcher gets what is elsewhere: configs in repositories, files in buckets.
func (c *configFlags) fetcher(w World, sink event.Sink) (*remote.Fetcher, error) {
	policy, err := remote.ParsePolicy(c.syncRemoteCache)
	if err != nil {
		return nil, usageError{err}
	}
	return &remote.Fetcher{
		Dir: cmp.Or(c.remoteCacheDir, remote.DefaultDir(w.Home)), Policy: policy, Token: googleToken(w, sink), StorageURL: storageEmulator(w),
		RunGit: func(ctx context.Context, dir string, args ...string) ([]byte, error) {
			return tag.Exec(w.Environ)(ctx, dir, "git", args...)
		},
	}, nil
}

func (c *configFlags) kubeOptions(w World, sink event.Sink) kube.Options {
	return kube.Options{
		Kubeconfig: kube.KubeconfigPaths(c.kubeconfig, w.Getenv("KUBECONFIG"), w.Home),
		Context:    c.kubeContext, Namespace: c.namespace, CacheDir: w.cacheDir("clusters"),
		UserAgent: "davit/" + w.Version + " (" + runtime.GOOS + "/" + runtime.GOARCH + ")",
		Warnings:  func(text string) { sink.Emit(event.Warning{Message: text}) },
	}
}

// connect finds the cluster, and asks it for its registry when nothing else says where images go. A command that can do without a cluster goes
// on without.
func (s *session) connect(ctx context.Context, n needs) (err error) {
	o := s.flags.kubeOptions(s.world, s.sink)
	for _, c := range s.configs {
		o.Context = cmp.Or(o.Context, c.Model.Deploy.KubeContext)
	}
	elsewhere := len(s.configs) > 0 && !slices.ContainsFunc(s.configs, plan.InCluster)
	if !n.offline && !elsewhere {
		if s.kube, err = kube.Connect(o); err != nil && n.cluster {
			return err
		}
	}
	if err := s.applySettings(ctx); err != nil {
		return err
	}
	if len(s.configs) > 0 && !slices.ContainsFunc(s.configs, func(c *davitconfig.Config) bool { return !plan.DockerOnly(c) }) {
		s.cluster = imageload.Cluster{Local: true} // the Docker Engine is where images are to be
	}
	group, groupCtx := errgroup.WithContext(ctx)
	if n.cluster && slices.ContainsFunc(s.configs, func(c *davitconfig.Config) bool { return c.Name == "" || c.Model.Deploy.Docker != nil }) {
		group.Go(func() error {
			s.project = projectName(groupCtx, s.world)
			return nil
		})
	}
	if s.kube != nil && n.nodes {
		group.Go(func() (err error) {
			s.options.Platforms.Nodes, err = s.kube.NodePlatforms(groupCtx)
			return err
		})
	}
	if repoGiven := s.flags.defaultRepoGiven(); s.kube != nil && (n.cluster || s.options.Repo.Repo == "" && !repoGiven) {
		group.Go(func() error {
			registry, err := s.kube.LocalRegistry(groupCtx)
			if err != nil && !n.cluster {
				s.sink.Emit(event.Debug{Message: "the cluster cannot be asked for its registry: " + err.Error()})
				return nil
			}
			if s.options.Repo.Repo == "" && !repoGiven && registry != "" {
				s.options.Repo.Repo, s.options.LocalCluster = registry, false // a local cluster that has a registry is pushed to, as by Skaffold
			}
			return err
		})
	}
	return group.Wait()
}

// applySettings takes what the user's own settings say and no flag does.
func (s *session) applySettings(ctx context.Context) error {
	kubeContext := s.flags.kubeContext
	if s.kube != nil {
		kubeContext = s.kube.Context()
	}
	file, err := global.Read(s.flags.settingsPath(s.world))
	if err != nil {
		return err
	}
	settings := file.For(kubeContext)
	if err := s.findLocalCluster(ctx, settings); err != nil {
		return err
	}
	if !s.flags.defaultRepoGiven() {
		s.options.Repo.Repo = strings.TrimRight(settings.DefaultRepo, "/")
	}
	if scheme, rest, found := strings.Cut(s.options.Repo.Repo, "://"); found {
		return fmt.Errorf("the default repo %s://%s is an address, but wants a registry and a path: write %s", scheme, rest, rest)
	}
	s.options.Repo.MultiLevel = settings.MultiLevelRepo
	s.options.Insecure = append(s.options.Insecure, settings.InsecureRegistries...)
	return nil
}

// projectName asks git what the working folder belongs to. Without git, or outside of a repository, it is the folder's own name.
func projectName(ctx context.Context, w World) string {
	git := func(args ...string) string {
		out, err := tag.Exec(w.Environ)(ctx, w.Dir, "git", args...)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	dir, err := filepath.EvalSymlinks(w.Dir)
	if err != nil {
		dir = w.Dir
	}
	return plan.ProjectName(git("config", "--get", "remote.origin.url"), filepath.ToSlash(git("rev-parse", "--show-toplevel")), filepath.ToSlash(dir))
}

func (s *session) pipeline(b *buildFlags) {
	s.pipe = &pipeline.Pipeline{
		Sink: s.sink, Now: s.world.Now, Environ: s.world.Environ, Kube: s.kube, HookEnv: s.hookEnv(), Bases: plan.Bases(s.configs),
		ReleaseClaims: s.world.cacheDir("releases"),
	}
	if b != nil {
		s.cacheFile = b.cacheFile
	}
	s.pipe.Cache = cache.New(cache.Options{
		Folder: s.world.imageCache(s.cacheFile), Now: s.world.Now, Sink: s.sink, Keychain: keychain{s.dockerConfig()}, Insecure: s.insecure(),
		Engine: engine.NewImages(s.engine, s.dockerConfig()),
	})
	s.pipe.Rendering = s.rendering()
	s.pipe.Containers, s.pipe.CloudRun = sync.OnceValues(s.containers), s.cloudRun
	if b == nil {
		return
	}
	s.pipe.NoCache = !b.cache
	artifacts := 0
	for _, c := range s.configs {
		artifacts += len(c.Model.Build.Artifacts)
	}
	// Two more than there are processors: a build waits for its daemon and a registry, too.
	s.pipe.Workers = plan.Workers(s.configs, b.concurrency, artifacts, runtime.NumCPU()+2)
	s.index = inputs.OpenIndex(s.world.cacheDir("index"), s.world.Dir, s.world.Now, s.sink)
	s.pipe.Inputs = inputs.NewReader(inputs.Options{Index: s.index, Base: s.pipe.Cache.Bases(false)})
	s.pipe.PullingInputs = inputs.NewReader(inputs.Options{Index: s.index, Base: s.pipe.Cache.Bases(true)})
	s.pipe.SkipTests, s.pipe.DockerEnviron = b.skipTests, s.dockerEnviron
	all := &builders{s: s, flags: b, known: map[string]func() (place, error){}}
	s.pipe.Builder = all.builder
	s.pipe.Load, s.pipe.Loads, s.pipe.Test = s.load, s.cluster.Load && s.deploys, s.test
}

// hookEnv is what every hook is told, in Skaffold's names.
func (s *session) hookEnv() hook.Env {
	env := hook.Env{"WORK_DIR": s.world.Dir}
	if s.options.Repo.Repo != "" {
		env["DEFAULT_REPO"] = s.options.Repo.Repo
	}
	return env
}

func (s *session) insecure() []string {
	list := s.options.Insecure
	for _, c := range s.configs {
		list = append(list, c.Model.Build.InsecureRegistries...)
	}
	return list
}

func (s *session) dockerConfig() string {
	return engine.ConfigDir(s.world.Getenv, s.world.Home)
}

// close keeps what was learned about files. A failure costs the next run some hashing.
func (s *session) close() {
	if s.index == nil {
		return
	}
	if err := s.index.Save(); err != nil {
		s.sink.Emit(event.Warning{Message: err.Error()})
	}
}

// prepare makes the artifacts of the configs.
func (s *session) prepare(ctx context.Context) ([]plan.Artifact, error) {
	drafts, err := plan.Drafts(s.configs, s.options)
	if err != nil {
		return nil, err
	}
	artifacts, err := s.pipe.Prepare(ctx, drafts)
	if err == nil {
		s.hintImport(artifacts)
	}
	return artifacts, err
}

// build builds what is not up to date, tests the images unless that is not wanted, and gives those that no registry has to the cluster.
func (s *session) build(ctx context.Context, artifacts []plan.Artifact) ([]pipeline.Image, error) {
	cases, err := plan.Tests(s.configs, s.options)
	if err != nil {
		return nil, err
	}
	images, err := s.pipe.Build(ctx, artifacts)
	if err != nil {
		return nil, err
	}
	if s.deploys && !s.pipe.SkipTests {
		if err := s.pipe.TestImages(ctx, cases, images); err != nil {
			return nil, err
		}
	}
	return s.pipe.LoadImages(ctx, artifacts, images)
}

// render reads the manifests of the configs.
func (s *session) render(ctx context.Context) ([]pipeline.Rendered, error) {
	deployments, err := plan.Deployments(s.configs, s.project, s.options)
	if err != nil {
		return nil, err
	}
	return s.pipe.Render(ctx, deployments)
}
