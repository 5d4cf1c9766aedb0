package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/plan"
)

// forwards are the ports of a run.
type forwards struct {
	*Pipeline

	mu   sync.Mutex
	open map[string]bool // by target and port
}

// all forwards what is known from the start: first the ports of the config, which may want certain ones here, then services. It returns once each
// has been tried.
func (f *forwards) all(ctx context.Context, follow plan.Follow) {
	var ports []plan.Port
	if follow.Forward.User {
		for _, p := range follow.Ports {
			p.Namespace = cmp.Or(p.Namespace, f.namespaceOf(p))
			ports = append(ports, p)
		}
	}
	if follow.Forward.Services {
		ports = append(ports, f.services()...)
	}
	var wait sync.WaitGroup
	for _, p := range ports {
		if listener := f.listen(p); listener != nil {
			wait.Go(func() { f.start(ctx, p, listener) })
		}
	}
	wait.Wait()
}

// namespaceOf finds where a resource of the config was deployed.
func (f *forwards) namespaceOf(p plan.Port) string {
	for _, a := range f.applied {
		if (kube.Target{Kind: a.Live.GetKind()}).Is(p.Kind) && a.Live.GetName() == p.Name {
			return a.Live.GetNamespace()
		}
	}
	if all := namespacesOf(f.applied); len(all) == 1 {
		return all[0]
	}
	return f.Kube.Namespace()
}

// services are the ports of the services that were deployed and lead to pods.
func (f *forwards) services() []plan.Port {
	var all []plan.Port
	for _, a := range f.applied {
		u := a.Live
		selector, _, _ := unstructured.NestedStringMap(u.Object, "spec", "selector")
		if u.GetKind() != "Service" || u.GetAPIVersion() != "v1" || len(selector) == 0 {
			continue
		}
		ports, _, _ := unstructured.NestedSlice(u.Object, "spec", "ports")
		for _, v := range ports {
			port, _ := v.(map[string]any)
			number, _ := port["port"].(int64)
			if protocol, _ := port["protocol"].(string); protocol == "UDP" || protocol == "SCTP" {
				continue
			}
			all = append(all, plan.Port{Kind: "service", Name: u.GetName(), Namespace: u.GetNamespace(), Port: strconv.FormatInt(number, 10), Local: unprivileged(int(number))})
		}
	}
	return all
}

// unprivileged is a port if everybody may listen on it, else 0.
func unprivileged(port int) int {
	if port < 1024 {
		return 0
	}
	return port
}

// pod forwards ports of the containers of a running pod, through what controls it where that can be: so they lead to the pod that replaces it. all is
// whether all ports count, or those for debuggers only.
func (f *forwards) pod(ctx context.Context, pod *corev1.Pod, all bool) {
	if pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil {
		return
	}
	target := plan.Port{Kind: "pod", Name: pod.Name, Namespace: pod.Namespace}
	if owner := metav1.GetControllerOf(pod); owner != nil && (kube.Target{Kind: owner.Kind}).HasPods() {
		target.Kind, target.Name = owner.Kind, owner.Name
	}
	for _, c := range pod.Spec.Containers {
		for _, port := range c.Ports {
			if !all && !slices.Contains(debugPorts(pod, c.Name), int(port.ContainerPort)) || port.Protocol != corev1.ProtocolTCP && port.Protocol != "" {
				continue
			}
			target.Port, target.Local = strconv.Itoa(int(port.ContainerPort)), unprivileged(int(port.ContainerPort))
			if listener := f.listen(target); listener != nil {
				go f.start(ctx, target, listener)
			}
		}
	}
}

// debugPorts are the ports that the annotation of Skaffold's debug names for a container.
func debugPorts(pod *corev1.Pod, container string) []int {
	var containers map[string]struct {
		Ports map[string]int `json:"ports"`
	}
	_ = json.Unmarshal([]byte(pod.Annotations["debug.cloud.google.com/config"]), &containers) // without it there are none
	var all []int
	for _, port := range containers[container].Ports {
		all = append(all, port)
	}
	return all
}

// listen opens a port here, the wanted one or the next that is free; nil for what is forwarded already, and when there is none.
func (f *forwards) listen(p plan.Port) net.Listener {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := kube.Target{Kind: p.Kind, Name: p.Name}.String() + "/" + p.Namespace + "/" + p.Port
	if f.open[key] {
		return nil
	}
	f.open[key] = true
	l, err := listen(p.Address, p.Local)
	if err != nil {
		f.warn("port %s of %s/%s is not forwarded: %v", p.Port, p.Kind, p.Name, err)
		return nil
	}
	if got := l.Addr().(*net.TCPAddr).Port; p.Local != 0 && got != p.Local {
		f.warn("port %d is taken on this machine: %s/%s is at %d", p.Local, p.Kind, p.Name, got)
	}
	return l
}

// listen tries the wanted port and the ten after it, then Skaffold's own from 4503 to 4533, then any.
func listen(address string, wanted int) (net.Listener, error) {
	var tries []int
	if wanted != 0 {
		for port := wanted; port <= min(wanted+10, 65535); port++ {
			tries = append(tries, port)
		}
	}
	for port := 4503; port <= 4533; port++ {
		tries = append(tries, port)
	}
	host := cmp.Or(address, "127.0.0.1")
	for _, port := range tries {
		if l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
			return l, nil
		}
	}
	return net.Listen("tcp", net.JoinHostPort(host, "0"))
}

// start leads a port to its pods. What cannot be reached now is tried again in the background.
func (f *forwards) start(ctx context.Context, p plan.Port, listener net.Listener) {
	target := kube.Target{Kind: p.Kind, Name: p.Name}
	told := false
	forwarding := kube.Forwarding{
		Namespace: p.Namespace, Target: target, Port: p.Port, Listener: listener,
		Say: func(pod string) {
			if told {
				f.Sink.Emit(event.Note{Message: fmt.Sprintf("Port forwarding %s now leads to pod %s", target, pod)})
				return
			}
			told = true
			f.Sink.Emit(event.PortForwarded{Resource: target.String(), Namespace: p.Namespace, Port: p.Port, Address: listener.Addr().String(), Pod: pod})
		},
		Warn: func(err error) { f.warn("%v", err) },
	}
	err := f.Kube.Forward(ctx, forwarding)
	if err == nil || ctx.Err() != nil {
		return
	}
	f.warn("%v: trying again", err)
	go func() {
		for {
			select {
			case <-ctx.Done():
				_ = listener.Close()
				return
			case <-time.After(2 * time.Second):
			}
			if f.Kube.Forward(ctx, forwarding) == nil {
				return
			}
		}
	}()
}
