package hook

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/davit-dev/davit/internal/command"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
)

// Item is one hook around a deployment: [Host] or [Container].
type Item interface{ item() }

func (Host) item()      {}
func (Container) item() {}

// Container is a command in all running containers whose names match: glob patterns of package path, which match the whole name. An empty one
// matches all.
type Container struct {
	Command   []string
	Pod, Name string
}

// Place is where the hooks of a deployment run.
type Place struct {
	Env     Env
	Environ []string // to start from

	Kube       *kube.Client
	Namespaces []string // where containers are looked for
	// Prefix begins the lines that a container prints, "[pod container]"; may give nothing.
	Prefix func(pod, container string) string
}

// Run runs hooks in order and stops at the first that fails; a container hook runs in all its containers at once. when is "before" or "after" the
// deployment.
func (p Place) Run(ctx context.Context, when string, items []Item, sink event.Sink) error {
	for _, item := range items {
		var err error
		switch h := item.(type) {
		case Host:
			err = Run(ctx, []Host{h}, "deploy", p.Env, p.Environ, event.SinkFunc(func(e event.Event) { sink.Emit(ofDeploy(e)) }))
		case Container:
			err = p.inContainers(ctx, when, h, sink)
		}
		if err != nil {
			return fmt.Errorf("%s deploying: %w", when, err)
		}
	}
	return nil
}

func ofDeploy(e event.Event) event.Event {
	if log, ok := e.(event.ArtifactLog); ok {
		log.Stage = event.StageDeploy
		return log
	}
	return e
}

// inContainers runs a hook in the containers that match.
func (p Place) inContainers(ctx context.Context, when string, h Container, sink event.Sink) error {
	if len(h.Command) == 0 {
		return errors.New("a hook has no command: give one in skaffold.yaml")
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for _, namespace := range p.Namespaces {
		pods, err := p.Kube.Pods(ctx, namespace, "")
		if err != nil {
			return err
		}
		for _, pod := range pods {
			names, err := h.matches(pod)
			if err != nil {
				return err
			}
			for _, name := range names {
				wait.Go(func() {
					err := p.inContainer(ctx, h, pod, name, sink)
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, err)
				})
			}
		}
	}
	wait.Wait()
	if len(errs) == 0 && when == "after" {
		sink.Emit(event.Warning{Message: fmt.Sprintf("hook %q ran nowhere: no container that runs in %s matches podName %q, containerName %q",
			strings.Join(h.Command, " "), strings.Join(p.Namespaces, ", "), h.Pod, h.Name)})
	}
	return errors.Join(errs...)
}

// matches are the containers of a pod that run and that the hook is for.
func (h Container) matches(pod *corev1.Pod) ([]string, error) {
	if pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil {
		return nil, nil
	}
	if ok, err := glob(h.Pod, pod.Name); !ok || err != nil {
		return nil, err
	}
	var names []string
	for _, s := range pod.Status.ContainerStatuses {
		ok, err := glob(h.Name, s.Name)
		if err != nil {
			return nil, err
		}
		if ok && s.State.Running != nil {
			names = append(names, s.Name)
		}
	}
	return names, nil
}

func glob(pattern, name string) (bool, error) {
	if pattern == "" {
		return true, nil
	}
	ok, err := path.Match(pattern, name)
	if err != nil {
		return false, fmt.Errorf("hook: pattern %q: %w: write it as in \"web-*\"", pattern, err)
	}
	return ok, nil
}

func (p Place) inContainer(ctx context.Context, h Container, pod *corev1.Pod, container string, sink event.Sink) error {
	out := command.NewLines(func(line string) {
		sink.Emit(event.PodLog{Namespace: pod.Namespace, Pod: pod.Name, Container: container, Prefix: p.Prefix(pod.Name, container), Line: line,
			Stage: event.StageDeploy})
	})
	err := p.Kube.RunIn(ctx, pod.Namespace, pod.Name, container, h.Command, out)
	out.Flush()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("hook %q: %w: its output is above; mend it and run again", strings.Join(h.Command, " "), err)
	}
	return err
}
