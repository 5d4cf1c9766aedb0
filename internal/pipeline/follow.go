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
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if len(p.applied) == 0 {
		p.warn("nothing was deployed to a cluster: --tail and --port-forward have nothing to show")
		return nil
	}
	namespaces := namespacesOf(p.applied)
	if len(namespaces) == 0 { // all of it is the cluster's own
		namespaces = []string{p.Kube.Namespace()}
	}
	ports := &forwards{Pipeline: p, open: map[string]bool{}}
	ports.all(ctx, f)
	var wait sync.WaitGroup
	defer wait.Wait()
	failed := make(chan error, 2)
	if f.Forward.Pods || f.Forward.Debug {
		wait.Go(func() {
			failed <- p.Kube.WatchPods(ctx, namespaces, func(pod *corev1.Pod, gone bool) {
				if !gone && usesOf(pod, images) != nil {
					ports.pod(ctx, pod, f.Forward.Pods)
				}
			})
		})
	}
	if f.Tail {
		wait.Go(func() { failed <- p.tail(ctx, f, images, namespaces, since) })
	}
	p.Sink.Emit(event.Note{Message: "Press Ctrl+C to exit"})
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		stop()
		return err
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
