package kube

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// LogLine is a line of a container's log, without its newline.
type LogLine struct {
	Pod       *corev1.Pod // as it was when its container was first seen
	Container string
	Image     string // as in the pod's spec
	Text      string
}

// TailOptions say which logs are followed.
type TailOptions struct {
	Namespaces []string
	Pick       func(*corev1.Pod) bool // pods; all their containers are followed
	Since      time.Time              // by this machine's clock
	Line       func(LogLine)          // called from many goroutines
	Warn       func(message string)   // what keeps a container from starting, and a cluster that does not answer
}

// Tail follows logs, also those of pods and containers that come later, until ctx is done. Logs and watches that break are taken up again where
// they broke. An error is something that asking again does not mend, such as a missing permission.
func (c *Client) Tail(ctx context.Context, o TailOptions) error {
	ctx, stop := context.WithCancel(quiet(ctx))
	t := &tailer{client: c, ctx: ctx, o: o, since: o.Since.Add(time.Duration(c.skew.Load())).Truncate(time.Second), alive: map[string]bool{}, warned: map[string]bool{}}
	defer t.streams.Wait()
	defer stop()
	for {
		err := c.WatchPods(ctx, o.Namespaces, t.see)
		if err == nil || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
			return err
		}
		t.warn(err.Error() + ": asking again")
	}
}

// tailer follows the containers of the pods that it observes.
type tailer struct {
	client  *Client
	ctx     context.Context //nolint:containedctx // of one call of Tail
	o       TailOptions
	since   time.Time
	streams sync.WaitGroup

	mu     sync.Mutex
	alive  map[string]bool // containers that were seen, by id: whether they run
	warned map[string]bool
}

// see takes up the containers of a pod.
func (t *tailer) see(pod *corev1.Pod, gone bool) {
	if !t.o.Pick(pod) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses) {
		if s.ContainerID == "" {
			if w := s.State.Waiting; w != nil && w.Message != "" && !t.warned[w.Message] {
				t.warned[w.Message] = true
				t.o.Warn("pod " + pod.Name + ", container " + s.Name + ": " + w.Message)
			}
			continue
		}
		_, known := t.alive[s.ContainerID]
		t.alive[s.ContainerID] = s.State.Running != nil && !gone
		if !known && !gone && (s.State.Running != nil || s.State.Terminated != nil) {
			t.streams.Go(func() { t.stream(pod, s) })
		}
	}
}

func (t *tailer) warn(message string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.warned[message] && t.ctx.Err() == nil {
		t.warned[message] = true
		t.o.Warn(message)
	}
}

func (t *tailer) runs(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.alive[id]
}

// stream follows the log of one container until that has ended.
func (t *tailer) stream(pod *corev1.Pod, s corev1.ContainerStatus) {
	image := imageOf(pod, s.Name)
	last, pause := t.since, 100*time.Millisecond
	for first := true; first || t.runs(s.ContainerID); first = false {
		told := last
		read := func(at time.Time, text string) {
			if at.After(told) {
				last, pause = at, 100*time.Millisecond
				t.o.Line(LogLine{Pod: pod, Container: s.Name, Image: image, Text: text})
			}
		}
		err := t.client.readLog(t.ctx, pod, s.Name, last, read)
		if t.ctx.Err() != nil || apierrors.IsNotFound(err) {
			return
		}
		if apierrors.IsForbidden(err) {
			t.warn("the log of pod " + pod.Name + ", container " + s.Name + ": " + err.Error())
			return
		}
		select { // the watch may be about to say that the container has ended
		case <-t.ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, 5*time.Second)
	}
}

func imageOf(pod *corev1.Pod, container string) string {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if c.Name == container {
			return c.Image
		}
	}
	return ""
}

// readLog reads a log from a time on until it ends.
func (c *Client) readLog(ctx context.Context, pod *corev1.Pod, container string, since time.Time, line func(at time.Time, text string)) error {
	stream, err := c.raw.Get().AbsPath("/api/v1/namespaces", pod.Namespace, "pods", pod.Name, "log").
		Param("container", container).Param("follow", "true").Param("timestamps", "true").Param("sinceTime", since.UTC().Format(time.RFC3339)).Stream(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	return eachLine(stream, func(text string) {
		stamp, rest, ok := strings.Cut(text, " ")
		if at, notATime := time.Parse(time.RFC3339Nano, stamp); ok && notATime == nil {
			line(at, rest)
		}
	})
}

// Logs reads what the containers of a pod have printed so far. Without all of it there is an error, after the lines that came.
func (c *Client) Logs(ctx context.Context, pod *corev1.Pod, line func(container, text string)) error {
	ctx = quiet(ctx)
	for _, container := range pod.Spec.Containers {
		stream, err := c.raw.Get().AbsPath("/api/v1/namespaces", pod.Namespace, "pods", pod.Name, "log").Param("container", container.Name).Stream(ctx)
		if err == nil {
			err = eachLine(stream, func(text string) { line(container.Name, text) })
			_ = stream.Close()
		}
		if err != nil {
			return fmt.Errorf("reading the log of pod %s, container %s: %w", pod.Name, container.Name, c.explain(err))
		}
	}
	return nil
}

// eachLine reads lines of any length. The last one need not be ended, but one that breaks off in an error is not told.
func eachLine(from io.Reader, line func(text string)) error {
	for r := bufio.NewReader(from); ; {
		text, err := r.ReadString('\n')
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return err
		}
		if text != "" {
			line(strings.TrimRight(text, "\r\n"))
		}
		if ended {
			return nil
		}
	}
}

// WatchPods tells of the pods of namespaces, those that are there and those that come and change, until ctx is done. seen is called from a goroutine
// for each namespace.
func (c *Client) WatchPods(ctx context.Context, namespaces []string, seen func(pod *corev1.Pod, gone bool)) error {
	ctx, stop := context.WithCancel(quiet(ctx))
	defer stop()
	errs := make([]error, len(namespaces))
	var wait sync.WaitGroup
	for i, namespace := range namespaces {
		wait.Go(func() {
			if errs[i] = c.follow(ctx, selection{resource: podResource, namespace: namespace}, podObserver(seen)); errs[i] != nil {
				stop()
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

type podObserver func(pod *corev1.Pod, gone bool)

func (o podObserver) reset(all []unstructured.Unstructured) {
	for i := range all {
		o.set(&all[i], false)
	}
}

func (o podObserver) set(u *unstructured.Unstructured, gone bool) {
	if pod, err := asPod(u); err == nil {
		o(pod, gone)
	}
}
