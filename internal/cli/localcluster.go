package cli

import (
	"context"
	"errors"
	"os/exec"
	"runtime"
	"slices"

	"github.com/davit-dev/davit/internal/config/global"
	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/event"
	imageload "github.com/davit-dev/davit/internal/image/load"
	"github.com/davit-dev/davit/internal/imagetest"
)

// findLocalCluster finds out whether the cluster is one on this machine, and leads what talks to a Docker Engine to the cluster's own, if it has one.
func (s *session) findLocalCluster(ctx context.Context, settings global.Settings) error {
	home := imageload.MinikubeHome(s.world.Getenv, s.world.Home)
	profiles, err := imageload.Profiles(home)
	if err != nil {
		return err
	}
	facts := imageload.Facts{
		Context: s.flags.kubeContext, LocalCluster: settings.LocalCluster, KindDisableLoad: settings.KindDisableLoad, K3dDisableLoad: settings.K3dDisableLoad,
		MinikubeProfile: s.flags.minikubeProfile, DetectMinikube: s.flags.detectMinikube, MinikubeHome: home, Profiles: profiles,
	}
	if s.kube != nil {
		facts.Context, facts.Cluster, facts.Server, facts.Authority = s.kube.Context(), s.kube.ClusterName(), s.kube.Server(), s.kube.AuthorityFile()
	}
	var why string
	s.cluster, why = imageload.Detect(facts)
	s.sink.Emit(event.Debug{Message: "the cluster is " + s.cluster.String() + ": " + why})
	s.options.LocalCluster = !s.cluster.Push
	if s.cluster.Kind != imageload.Minikube {
		return nil
	}
	docker, err := engine.Find(s.world.Getenv, s.world.Home, runtime.GOOS)
	if err != nil {
		return err
	}
	minikube := imageload.MinikubeDocker{Home: home, Docker: docker, Run: s.minikube}
	s.dockerEnviron, err = minikube.Environ(ctx, s.cluster.Profile)
	return err
}

// minikube runs minikube's program.
func (s *session) minikube(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "minikube", args...)
	cmd.Env = s.world.Environ
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		err = errors.New(string(exit.Stderr))
	}
	return out, err
}

// load gives images that are in a Docker Engine their final names and, for commands that deploy, brings them into the cluster.
func (s *session) load(ctx context.Context, images []imageload.Image) ([]imageload.Loaded, error) {
	docker, err := s.engine()
	if err != nil {
		return nil, err
	}
	cluster := s.cluster
	cluster.Load = s.pipe.Loads
	return imageload.New(docker, cluster).Load(ctx, images, s.sink)
}

// test runs tests of images.
func (s *session) test(ctx context.Context, cases []imagetest.Case) error {
	docker, err := s.engine()
	if err != nil {
		return err
	}
	var passed *imagetest.Passed
	if !s.pipe.NoCache {
		passed = imagetest.NewPassed(s.world.cacheDir("tests"), s.world.Now)
	}
	return imagetest.Run(ctx, cases, imagetest.Options{
		Environ: slices.Concat(s.world.Environ, s.dockerEnviron), Docker: docker, DockerConfig: s.dockerConfig(), LookPath: exec.LookPath,
		Inputs: s.pipe.Inputs, Passed: passed, Workers: s.pipe.Workers,
	}, s.sink)
}

// getenv reads the environment, with what leads to the cluster's own Docker Engine.
func (s *session) getenv(name string) string {
	w := s.world
	w.Environ = slices.Concat(w.Environ, s.dockerEnviron)
	return w.Getenv(name)
}
