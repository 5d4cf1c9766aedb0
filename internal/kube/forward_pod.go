package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// Target is what a port is forwarded to: a pod, or what selects pods. Kind is as kubectl takes it: "Service", "svc", "deployment".
type Target struct{ Kind, Name string }

func (t Target) String() string { return t.kind() + "/" + t.Name }

// kind is the kind in lower case, without its short form.
func (t Target) kind() string {
	kind := strings.ToLower(t.Kind)
	short := map[string]string{"po": "pod", "svc": "service", "deploy": "deployment", "sts": "statefulset", "ds": "daemonset", "rs": "replicaset", "rc": "replicationcontroller"}
	if long := short[kind]; long != "" {
		return long
	}
	kind, _, _ = strings.Cut(kind, ".")
	return strings.TrimSuffix(kind, "s")
}

// Is says whether a kind means the same.
func (t Target) Is(kind string) bool { return t.kind() == Target{Kind: kind}.kind() }

// HasPods says whether a port of its pods can be forwarded.
func (t Target) HasPods() bool { return forwardable[t.kind()].Name != "" }

var forwardable = map[string]Resource{
	"service":               {Version: "v1", Kind: "Service", Name: "services", Namespaced: true},
	"replicationcontroller": {Version: "v1", Kind: "ReplicationController", Name: "replicationcontrollers", Namespaced: true},
	"deployment":            {Group: "apps", Version: "v1", Kind: "Deployment", Name: "deployments", Namespaced: true},
	"statefulset":           {Group: "apps", Version: "v1", Kind: "StatefulSet", Name: "statefulsets", Namespaced: true},
	"daemonset":             {Group: "apps", Version: "v1", Kind: "DaemonSet", Name: "daemonsets", Namespaced: true},
	"replicaset":            replicaSetResource,
	"job":                   {Group: "batch", Version: "v1", Kind: "Job", Name: "jobs", Namespaced: true},
}

// errNoPod says that there is no pod to forward to now.
var errNoPod = errors.New("no pod")

// podBehind finds the newest ready pod of a target, and its port.
func (c *Client) podBehind(ctx context.Context, namespace string, target Target, port string) (*corev1.Pod, int, error) {
	if target.kind() == "pod" {
		return c.podItself(ctx, namespace, target.Name, port)
	}
	r, ok := forwardable[target.kind()]
	if !ok {
		return nil, 0, fmt.Errorf("a %s has no pods to forward to: name a pod, a service or a workload", target.Kind)
	}
	u, err := c.get(ctx, r, namespace, target.Name)
	if err != nil {
		return nil, 0, err
	}
	if u == nil {
		return nil, 0, fmt.Errorf("it does not exist: see what there is with kubectl get %s", r.Name)
	}
	path := []string{"spec", "selector", "matchLabels"}
	if r.Group == "" {
		path = path[:2]
	}
	match, _, _ := unstructured.NestedStringMap(u.Object, path...)
	if len(match) == 0 {
		return nil, 0, errors.New("it selects no pods by label")
	}
	pods, err := c.Pods(ctx, namespace, labels.SelectorFromSet(match).String())
	if err != nil {
		return nil, 0, err
	}
	ready := slices.DeleteFunc(slices.Clone(pods), func(p *corev1.Pod) bool { return p.DeletionTimestamp != nil || !isReady(p) })
	if len(ready) == 0 {
		return nil, 0, fmt.Errorf("%w: none of its %d pods is ready", errNoPod, len(pods))
	}
	newest := slices.MaxFunc(ready, func(a, b *corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	if r.Name == "services" {
		number, err := servicePort(u, newest, port)
		return newest, number, err
	}
	number, err := podPort(newest, port)
	return newest, number, err
}

func (c *Client) podItself(ctx context.Context, namespace, name, port string) (*corev1.Pod, int, error) {
	pods, err := c.list(ctx, podResource, namespace, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		return nil, 0, err
	}
	if len(pods) == 0 {
		return nil, 0, fmt.Errorf("%w: it does not exist: see what there is with kubectl get pods", errNoPod)
	}
	pod, err := asPod(&pods[0])
	if err != nil {
		return nil, 0, err
	}
	if pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil {
		return nil, 0, fmt.Errorf("%w: it does not run (%s)", errNoPod, pod.Status.Phase)
	}
	number, err := podPort(pod, port)
	return pod, number, err
}

// podPort finds a port of a pod by its number or its name.
func podPort(pod *corev1.Pod, port string) (int, error) {
	if number, err := strconv.ParseUint(port, 10, 16); err == nil && number > 0 {
		return int(number), nil
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, p := range c.Ports {
			if p.Name == port {
				return int(p.ContainerPort), nil
			}
		}
	}
	return 0, fmt.Errorf("pod %s has no port named %q", pod.Name, port)
}

// servicePort is the port of the pod behind a port of a service, given by number or name.
func servicePort(service *unstructured.Unstructured, pod *corev1.Pod, port string) (int, error) {
	ports, _, _ := unstructured.NestedSlice(service.Object, "spec", "ports")
	for _, p := range ports {
		m, _ := p.(map[string]any)
		number := fmt.Sprint(m["port"])
		if number != port && m["name"] != port {
			continue
		}
		to := m["targetPort"]
		if to == nil || to == int64(0) {
			to = number
		}
		return podPort(pod, fmt.Sprint(to))
	}
	return 0, fmt.Errorf("service %s has no port %s", service.GetName(), cmp.Or(port, `""`))
}
