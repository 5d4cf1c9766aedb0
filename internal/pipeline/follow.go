package pipeline

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/plan"
)

// Follow shows the logs of what runs the images, and forwards ports, until ctx is done. It comes after Deploy. since is when that began.
func (p *Pipeline) Follow(ctx context.Context, f plan.Follow, images []Image, since time.Time) error {
	if !f.Some() {
		return nil
	}
	if len(p.applied)+len(p.running.started)+len(p.inCloud.services) == 0 {
		p.warn("nothing was deployed that runs: --tail and --port-forward have nothing to show")
		return nil
	}
	ctx, stop := context.WithCancel(ctx)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer stop()
	failed := make(chan error, 4)
	follow := func(until func() error) { wait.Go(func() { failed <- until() }) }
	if err := p.followCloudRun(ctx, f, follow); err != nil {
		return err
	}
	if f.Tail && len(p.running.started) > 0 {
		follow(func() error {
			p.tailContainers(ctx, f, since)
			return nil
		})
	}
	if len(p.applied) > 0 {
		p.followCluster(ctx, f, images, since, follow)
	}
	p.Sink.Emit(event.Note{Message: "Press Ctrl+C to exit"})
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// followCluster begins what goes on in the cluster.
func (p *Pipeline) followCluster(ctx context.Context, f plan.Follow, images []Image, since time.Time, follow func(func() error)) {
	namespaces := namespacesOf(p.applied)
	if len(namespaces) == 0 { // all of it is the cluster's own
		namespaces = []string{p.Kube.Namespace()}
	}
	ports := &forwards{Pipeline: p, open: map[string]bool{}}
	ports.all(ctx, f)
	if f.Forward.Pods || f.Forward.Debug {
		follow(func() error {
			return p.Kube.WatchPods(ctx, namespaces, func(pod *corev1.Pod, gone bool) {
				if !gone && usesOf(pod, images) != nil {
					ports.pod(ctx, pod, f.Forward.Pods)
				}
			})
		})
	}
	if f.Tail {
		follow(func() error { return p.tail(ctx, f, images, namespaces, since) })
	}
}

func (p *Pipeline) tail(ctx context.Context, f plan.Follow, images []Image, namespaces []string, since time.Time) error {
	return p.Kube.Tail(ctx, kube.TailOptions{
		Namespaces: namespaces, Since: since,
		Pick: func(pod *corev1.Pod) bool { return usesOf(pod, images) != nil },
		Line: func(l kube.LogLine) {
			logs := f.Default
			if image := usesOf(l.Pod, images); image != nil {
				if own, ok := f.Logs[image.Name]; ok {
					logs = own
				}
			}
			p.Sink.Emit(event.PodLog{
				Namespace: l.Pod.Namespace, Pod: l.Pod.Name, Container: l.Container, Image: l.Image,
				Prefix: logs.Prefix(l.Pod.Name, l.Container), Line: logs.Line(l.Text),
			})
		},
		Warn: func(message string) { p.warn("%s", message) },
	})
}

// usesOf finds the first of the images that a container of the pod runs; nil if none does.
func usesOf(pod *corev1.Pod, images []Image) *Image {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for i := range images {
			if c.Image == images[i].Ref || images[i].Digest != "" && !images[i].Local && strings.HasSuffix(c.Image, "@"+images[i].Digest) {
				return &images[i]
			}
		}
	}
	return nil
}
