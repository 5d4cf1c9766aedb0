package kube

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// logLines is how many of the last lines of a crashed container are shown.
const logLines = 10

// RolloutError says why a workload does not get ready.
type RolloutError struct {
	Resource, Namespace, Origin string
	Pod, Container              string   // where the trouble is, if it is in a pod
	Cause                       string   // "the container crashed with exit code 3"
	Detail                      string   // the words of the registry, kubelet, scheduler, controller
	Next                        string   // what to try
	Logs                        []string // the last lines of the container

	logs, previous bool   // what to read
	node           string // whose state may say more
}

func (e *RolloutError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in namespace %s is not ready: ", e.Resource, e.Namespace)
	if e.Origin != "" {
		b.Reset()
		fmt.Fprintf(&b, "%s (%s) in namespace %s is not ready: ", e.Resource, e.Origin, e.Namespace)
	}
	if e.Pod != "" {
		b.WriteString("pod " + e.Pod)
		if e.Container != "" {
			b.WriteString(", container " + e.Container)
		}
		b.WriteString(": ")
	}
	b.WriteString(trimmed(e.Cause, e.Detail, e.Next))
	if len(e.Logs) > 0 {
		b.WriteString("\n  its last log lines:")
	}
	for _, line := range e.Logs {
		b.WriteString("\n    " + line)
	}
	return b.String()
}

// errorFor makes the error of a workload from its own status and, where there is one, the trouble of a pod, which says more.
func (l *workload) errorFor(r readiness, t *trouble) *RolloutError {
	e := &RolloutError{Resource: l.ref.String(), Namespace: l.ref.namespace, Origin: l.origin, Cause: r.failure, Next: r.next}
	if t == nil {
		return e
	}
	e.Pod, e.Container, e.Cause, e.Detail, e.Next = t.pod, t.container, trimmed(r.failure, t.cause), t.detail, t.next
	e.logs, e.previous, e.node = t.logs, t.previous, t.node
	return e
}

// readLog fetches the last lines of the container. Without them the error is still true.
func (e *RolloutError) readLog(ctx context.Context, c *Client) {
	if !e.logs {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	lines, err := c.lastLines(ctx, e.Namespace, e.Pod, e.Container, e.previous)
	if err != nil && e.previous {
		lines, err = c.lastLines(ctx, e.Namespace, e.Pod, e.Container, false)
	}
	if err == nil {
		e.Logs = lines
	}
}

// readNode says what is wrong with the pod's node, where something is. Without that the error is still true.
func (e *RolloutError) readNode(ctx context.Context, c *Client) {
	if e.node == "" {
		return
	}
	u, err := c.get(ctx, nodeResource, "", e.node)
	switch {
	case err != nil:
	case u == nil:
		e.Detail = trimmed(e.Detail, "the node is gone from the cluster")
	default:
		if ready := conditionOf(u, "Ready"); ready.Status != "True" {
			e.Detail = trimmed(e.Detail, "the node is not ready", ready.Message)
		}
	}
}

func (c *Client) lastLines(ctx context.Context, namespace, pod, container string, previous bool) ([]string, error) {
	stream, err := c.raw.Get().AbsPath("/api/v1/namespaces", namespace, "pods", pod, "log").
		Param("container", container).Param("tailLines", strconv.Itoa(logLines)).Param("limitBytes", "20000").
		Param("previous", strconv.FormatBool(previous)).Stream(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = stream.Close() }()
	text, err := io.ReadAll(stream)
	if err != nil {
		return nil, err
	}
	all := strings.TrimRight(string(text), "\n")
	if all == "" {
		return nil, nil
	}
	return strings.Split(all, "\n"), nil
}
