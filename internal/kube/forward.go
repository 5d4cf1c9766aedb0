package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"
)

// podPatience is how long a connection waits for a pod to lead to: the one before may just be replaced.
const podPatience = 30 * time.Second

// Forwarding is a port on this machine that leads to a port of the cluster.
type Forwarding struct {
	Namespace string
	Target    Target
	Port      string           // of the target: a number, or the name that it has there
	Listener  net.Listener     // on this machine
	Say       func(pod string) // told which pod it leads to, at first and whenever that is another one; may be nil
	Warn      func(error)      // told why a connection cannot be led there; may be nil
}

// far is the other end: a connection to the API server that carries many streams to one pod.
type far struct {
	httpstream.Connection
	pod  *corev1.Pod
	port int
}

// Forward leads each connection to the listener to a pod of the target, until ctx is done: to the same one while that is ready, then to another.
// The listener is closed at the end. An error says that there is no pod now, or that it cannot be reached; then the listener stays open.
func (c *Client) Forward(ctx context.Context, f Forwarding) error {
	ctx = quiet(ctx)
	o := &forwarder{Forwarding: f, client: c}
	if _, err := o.connection(ctx, 0); err != nil {
		return fmt.Errorf("forwarding a port to %s in namespace %s: %w", f.Target, f.Namespace, c.explain(err))
	}
	go o.serve(ctx)
	return nil
}

// forwarder is one forwarding at work.
type forwarder struct {
	Forwarding
	client *Client

	mu      sync.Mutex
	current *far
	request int
}

func (f *forwarder) serve(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { _ = f.Listener.Close() })
	defer stop()
	var wait sync.WaitGroup
	for {
		local, err := f.Listener.Accept()
		if err != nil {
			break
		}
		wait.Go(func() {
			defer func() { _ = local.Close() }()
			stop := context.AfterFunc(ctx, func() { _ = local.Close() })
			defer stop()
			if err := f.carry(ctx, local); err != nil && ctx.Err() == nil && f.Warn != nil {
				f.Warn(fmt.Errorf("a connection through %s to %s in namespace %s: %w", f.Listener.Addr(), f.Target, f.Namespace, f.client.explain(err)))
			}
		})
	}
	wait.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop()
}

// connection gives the connection to the pod, a new one where that pod is not ready any more. It waits that long for a pod.
func (f *forwarder) connection(ctx context.Context, patience time.Duration) (*far, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current != nil {
		if f.good(ctx) {
			return f.current, nil
		}
		f.drop()
	}
	err := again(ctx, patience, func(err error) bool { return errors.Is(err, errNoPod) || passing(err) }, func() error {
		pod, port, err := f.client.podBehind(ctx, f.Namespace, f.Target, f.Port)
		if err != nil {
			return err
		}
		dialer, err := f.client.forwardDialer(f.Namespace, pod.Name)
		if err != nil {
			return err
		}
		conn, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
		if err != nil {
			return fmt.Errorf("pod %s: %w", pod.Name, err)
		}
		f.current = &far{conn, pod, port}
		if f.Say != nil {
			f.Say(pod.Name)
		}
		return nil
	})
	return f.current, err
}

// good says whether the connection and its pod are still there.
func (f *forwarder) good(ctx context.Context) bool {
	select {
	case <-f.current.CloseChan():
		return false
	default:
	}
	u, err := f.client.get(ctx, podResource, f.Namespace, f.current.pod.Name)
	if err != nil {
		return ctx.Err() == nil // the server is away; the streams to the pod may still work
	}
	return u != nil && u.GetUID() == f.current.pod.UID && u.GetDeletionTimestamp() == nil && (f.Target.kind() == "pod" || conditionOf(u, "Ready").Status == "True")
}

func (f *forwarder) drop() {
	if f.current != nil {
		_ = f.current.Close()
		f.current = nil
	}
}

// carry leads one connection to the pod and back.
func (f *forwarder) carry(ctx context.Context, local net.Conn) error {
	conn, err := f.connection(ctx, podPatience)
	if err != nil {
		return err
	}
	data, trouble, err := f.streams(conn)
	if err != nil {
		return err
	}
	defer conn.RemoveStreams(data, trouble)
	said := make(chan error, 1)
	go func() {
		text, err := io.ReadAll(trouble)
		if len(text) > 0 {
			err = fmt.Errorf("pod %s: %s", conn.pod.Name, text)
		}
		said <- err
	}()
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(local, data)
	}()
	go func() {
		if _, err := io.Copy(data, local); err == nil {
			_ = data.Close() // half of it: what the pod still says is waited for
		}
	}()
	defer func() { _ = data.Reset() }()
	for {
		select {
		case <-back:
			return nil
		case <-ctx.Done():
			return nil
		case err := <-said:
			if err != nil {
				return err
			}
			said = nil // it ended well
		}
	}
}

// streams opens the two streams of a forwarded connection: its data, and what is wrong with it.
func (f *forwarder) streams(conn *far) (data, trouble httpstream.Stream, err error) {
	f.mu.Lock()
	f.request++
	id := strconv.Itoa(f.request)
	f.mu.Unlock()
	open := func(kind string) (httpstream.Stream, error) {
		s, err := conn.CreateStream(http.Header{
			corev1.StreamType: {kind}, corev1.PortHeader: {strconv.Itoa(conn.port)}, corev1.PortForwardRequestIDHeader: {id},
		})
		if err != nil {
			return nil, fmt.Errorf("pod %s: %w", conn.pod.Name, err)
		}
		return s, nil
	}
	if trouble, err = open(corev1.StreamTypeError); err != nil {
		return nil, nil, err
	}
	_ = trouble.Close() // we only read it
	if data, err = open(corev1.StreamTypeData); err != nil {
		conn.RemoveStreams(trouble)
		return nil, nil, err
	}
	return data, trouble, nil
}

// forwardDialer speaks over WebSockets, or SPDY with servers that know only that.
func (c *Client) forwardDialer(namespace, pod string) (httpstream.Dialer, error) {
	url := c.raw.Post().AbsPath("/api/v1/namespaces", namespace, "pods", pod, "portforward").URL()
	over, err := portforward.NewSPDYOverWebsocketDialerForStreamingWithLogger(klog.Logger{}, url, c.config)
	if err != nil {
		return nil, err
	}
	transport, upgrader, err := spdy.RoundTripperFor(c.config)
	if err != nil {
		return nil, err
	}
	plain := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	return portforward.NewFallbackDialerForStreaming(over, plain, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}
