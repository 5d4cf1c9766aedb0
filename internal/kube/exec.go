package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
)

// Process is a program that runs in a container, with its standard input and output as a connection.
type Process struct {
	net.Conn
	stop context.CancelFunc

	ended  chan struct{}
	mu     sync.Mutex
	closed bool
	err    error
}

// Exec starts a program in a container of a pod. Nothing is waited for: what keeps it from starting is read from the
// connection as an end of file, and from Err.
func (c *Client) Exec(ctx context.Context, namespace, pod, container string, command ...string) (*Process, error) {
	query := url.Values{"container": {container}, "command": command, "stdin": {"true"}, "stdout": {"true"}, "stderr": {"true"}}
	u := c.raw.Post().AbsPath("/api/v1/namespaces", namespace, "pods", pod, "exec").URL()
	u.RawQuery = query.Encode()
	executor, err := c.executor(u)
	if err != nil {
		return nil, fmt.Errorf("running %s in pod/%s: %w", command[0], pod, err)
	}
	ours, theirs := net.Pipe()
	// The program outlives the call that started it: it ends with the connection.
	running, stop := context.WithCancel(context.WithoutCancel(quiet(ctx)))
	p := &Process{Conn: ours, stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		defer theirs.Close()
		said := &tail{}
		err := executor.StreamWithContext(running, remotecommand.StreamOptions{Stdin: theirs, Stdout: theirs, Stderr: said})
		if text := said.String(); text != "" {
			err = errors.Join(err, errors.New(text))
		}
		p.end(c.explain(err))
	}()
	return p, nil
}

// executor speaks over WebSockets, or SPDY with servers that know only that.
func (c *Client) executor(u *url.URL) (remotecommand.Executor, error) {
	over, err := remotecommand.NewWebSocketExecutor(c.config, http.MethodGet, u.String())
	if err != nil {
		return nil, err
	}
	plain, err := remotecommand.NewSPDYExecutor(c.config, http.MethodPost, u)
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(over, plain, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
}

func (p *Process) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return // we ended it, and how that reads does not matter
	}
	if err == nil {
		err = errors.New("the program ended")
	}
	p.err = err
}

// Ended is closed once the program, or the connection to it, has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Err says why the program ended; nil while it runs, and when it ended because of Close.
func (p *Process) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Close ends the program.
func (p *Process) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.stop()
	return p.Conn.Close()
}

// tail keeps the end of what is written.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const tailSize = 2048

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(b)
	if over := t.buf.Len() - tailSize; over > 0 {
		t.buf.Next(over)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(t.buf.String())
}
