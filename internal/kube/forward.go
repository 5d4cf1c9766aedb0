package kube

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"
)

// Forward opens a port on 127.0.0.1 that leads to a port of a pod, until the context is done. The target is a pod, or a
// Service, Deployment, StatefulSet, DaemonSet or ReplicaSet, which stands for one of its ready pods. The port of a Service
// is led to its target port. localPort 0 takes a free one; the address is "127.0.0.1:PORT".
func (c *Client) Forward(ctx context.Context, namespace string, target Target, remotePort, localPort int) (string, error) {
	ctx = quiet(ctx)
	pod, port, err := c.podBehind(ctx, namespace, target, remotePort)
	if err != nil {
		return "", fmt.Errorf("forwarding a port to %s/%s in namespace %s: %w", target.Kind, target.Name, namespace, err)
	}
	dialer, err := c.forwardDialer(namespace, pod)
	if err != nil {
		return "", fmt.Errorf("forwarding a port to pod/%s: %w", pod, err)
	}
	ready, failed := make(chan struct{}), make(chan error, 1)
	f, err := portforward.NewOnAddressesForStreamingWithContext(ctx, dialer, []string{"127.0.0.1"},
		[]string{fmt.Sprintf("%d:%d", localPort, port)}, ready, io.Discard, io.Discard)
	if err != nil {
		return "", fmt.Errorf("forwarding a port to pod/%s: %w", pod, err)
	}
	go func() { failed <- f.ForwardPorts() }()
	select {
	case err := <-failed:
		return "", fmt.Errorf("forwarding a port to pod/%s: %w", pod, c.explain(err))
	case <-ready:
	}
	ports, err := f.GetPorts()
	if err != nil {
		return "", fmt.Errorf("forwarding a port to pod/%s: %w", pod, err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(ports[0].Local))), nil
}

// Target is what a port is forwarded to.
type Target struct{ Kind, Name string }

var forwardable = map[string]Resource{
	"Service":     {Version: "v1", Kind: "Service", Name: "services", Namespaced: true},
	"Deployment":  {Group: "apps", Version: "v1", Kind: "Deployment", Name: "deployments", Namespaced: true},
	"StatefulSet": {Group: "apps", Version: "v1", Kind: "StatefulSet", Name: "statefulsets", Namespaced: true},
	"DaemonSet":   {Group: "apps", Version: "v1", Kind: "DaemonSet", Name: "daemonsets", Namespaced: true},
	"ReplicaSet":  replicaSetResource,
}

// podBehind finds a ready pod, and its port.
func (c *Client) podBehind(ctx context.Context, namespace string, target Target, port int) (string, int, error) {
	if target.Kind == "Pod" {
		return target.Name, port, nil
	}
	r, ok := forwardable[target.Kind]
	if !ok {
		return "", 0, fmt.Errorf("a %s has no pods to forward to: name a pod, a service or a workload", target.Kind)
	}
	u, err := c.get(ctx, r, namespace, target.Name)
	if err != nil {
		return "", 0, err
	}
	if u == nil {
		return "", 0, fmt.Errorf("it does not exist: see what there is with kubectl get %s", r.Name)
	}
	path := []string{"spec", "selector", "matchLabels"}
	if target.Kind == "Service" {
		path = path[:2]
	}
	match, _, _ := unstructured.NestedStringMap(u.Object, path...)
	if len(match) == 0 {
		return "", 0, fmt.Errorf("it selects no pods by label")
	}
	pods, err := c.list(ctx, podResource, namespace, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(match).String()})
	if err != nil {
		return "", 0, err
	}
	for i := range pods {
		pod := &pods[i]
		if pod.GetDeletionTimestamp() == nil && conditionOf(pod, "Ready").Status == "True" {
			return pod.GetName(), targetPort(u, pod, port), nil
		}
	}
	return "", 0, fmt.Errorf("none of its %d pods is ready", len(pods))
}

// targetPort is the port of the pod behind a port of a Service; for all else the port itself.
func targetPort(u, pod *unstructured.Unstructured, port int) int {
	ports, _, _ := unstructured.NestedSlice(u.Object, "spec", "ports")
	for _, p := range ports {
		m, _ := p.(map[string]any)
		if u.GetKind() != "Service" || m["port"] != int64(port) {
			continue
		}
		switch to := m["targetPort"].(type) {
		case int64:
			return int(to)
		case string:
			return namedPort(pod, to, port)
		}
	}
	return port
}

func namedPort(pod *unstructured.Unstructured, name string, otherwise int) int {
	containers, _, _ := unstructured.NestedSlice(pod.Object, "spec", "containers")
	for _, c := range containers {
		container, _ := c.(map[string]any)
		ports, _, _ := unstructured.NestedSlice(container, "ports")
		for _, p := range ports {
			if m, _ := p.(map[string]any); m["name"] == name {
				if n, ok := m["containerPort"].(int64); ok {
					return int(n)
				}
			}
		}
	}
	return otherwise
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
