package kube

import (
	"context"
	"fmt"
	"io"
	"net/url"

	"k8s.io/client-go/tools/remotecommand"
)

// RunIn runs a command in a container and waits for its end. What it prints to stdout and stderr goes to out, which is written to from two
// goroutines. A command that fails gives an error that names its exit code.
func (c *Client) RunIn(ctx context.Context, namespace, pod, container string, command []string, out io.Writer) error {
	query := url.Values{"container": {container}, "command": command, "stdout": {"true"}, "stderr": {"true"}}
	u := c.raw.Post().AbsPath("/api/v1/namespaces", namespace, "pods", pod, "exec").URL()
	u.RawQuery = query.Encode()
	executor, err := c.executor(u)
	if err == nil {
		err = executor.StreamWithContext(quiet(ctx), remotecommand.StreamOptions{Stdout: out, Stderr: out})
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("pod %s, container %s: %w", pod, container, c.explain(err))
	}
	return ctx.Err()
}
