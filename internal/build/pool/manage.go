package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/internal/build/buildkit"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
)

// Pool is a pool as the cluster has it.
type Pool struct {
	Options
	Pods []*corev1.Pod // by name
	kube *kube.Client
}

// List finds davit's pools: those of a namespace, or, when that is empty, all that the user may see, which may be those of the
// kubeconfig's namespace only.
func List(ctx context.Context, client *kube.Client, namespace string) ([]Pool, error) {
	sets, err := client.Find(ctx, statefulSets, namespace, labelPool+","+labelManagedBy+"="+managedBy)
	if apierrors.IsForbidden(err) && namespace == "" {
		namespace = client.Namespace()
		sets, err = client.Find(ctx, statefulSets, namespace, labelPool+","+labelManagedBy+"="+managedBy)
	}
	if err != nil {
		return nil, err
	}
	pods, err := client.Pods(ctx, namespace, labelPool+","+labelManagedBy+"="+managedBy)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	var pools []Pool
	for _, set := range sets {
		p := Pool{kube: client, Options: asOptions(set.Unstructured)}
		for _, pod := range pods {
			if pod.Namespace == p.Namespace && pod.Labels[labelPool] == p.Name {
				p.Pods = append(p.Pods, pod)
			}
		}
		pools = append(pools, p)
	}
	return pools, nil
}

// Find is the pool at an address, as the cluster has it.
func Find(ctx context.Context, client *kube.Client, o Options) (Pool, error) {
	o = o.in(client.Namespace())
	pools, err := List(ctx, client, o.Namespace)
	if err != nil {
		return Pool{}, fmt.Errorf("the pool %s: %w", o, err)
	}
	i := slices.IndexFunc(pools, func(p Pool) bool { return p.Name == o.Name })
	if i < 0 {
		return Pool{}, fmt.Errorf("there is no pool %s; see davit builder ls", o)
	}
	return pools[i], nil
}

// asOptions reads what the cluster says of a pool.
func asOptions(set *unstructured.Unstructured) Options {
	replicas, _, _ := unstructured.NestedInt64(set.Object, "spec", "replicas")
	o := Options{Namespace: set.GetNamespace(), Name: set.GetName(), Replicas: int(replicas)}
	containers, _, _ := unstructured.NestedSlice(set.Object, "spec", "template", "spec", "containers")
	for _, c := range containers {
		fields, _ := c.(map[string]any)
		o.Image, _, _ = unstructured.NestedString(fields, "image")
		args, _, _ := unstructured.NestedStringSlice(fields, "args")
		o.Rootless = slices.Contains(args, noProcessSandbox)
	}
	o.HostNetwork, _, _ = unstructured.NestedBool(set.Object, "spec", "template", "spec", "hostNetwork")
	return o
}

// Ready says whether a buildkitd answers in a pod of a pool.
func Ready(pod *corev1.Pod) bool { return ready(pod) }

// Where is the BuildKit in one of the pool's pods.
func (p Pool) Where(pod *corev1.Pod) buildkit.Where {
	a := &attempt{kube: p.kube, options: p.Options, pod: pod}
	return buildkit.Where{Kind: buildkit.Replica, Address: podName(pod), Dial: a.dial}
}

func podName(pod *corev1.Pod) string { return "pod/" + pod.Name + " in namespace " + pod.Namespace }

// Remove deletes the pool and waits until it is gone, with its caches but without what it left in registries.
func (p Pool) Remove(ctx context.Context, sink event.Sink) error {
	objects, err := p.objects()
	if err != nil {
		return err
	}
	var errs []error
	for _, o := range objects {
		there, err := p.kube.Get(ctx, o.GroupVersionKind(), o.GetNamespace(), o.GetName())
		switch {
		case err != nil:
			errs = append(errs, err)
		case there != nil && isOurs(there):
			errs = append(errs, p.kube.Delete(ctx, kube.Set{}, []kube.Object{o}, kube.DeleteOptions{Foreground: true}, sink))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing the pool %s: %w", p.Options, err)
	}
	return nil
}

// Describe names what sets the pool apart, for people.
func (p Pool) Describe() string {
	words := []string{p.Image}
	if p.Rootless {
		words = append(words, "rootless")
	} else {
		words = append(words, "privileged")
	}
	if p.HostNetwork {
		words = append(words, "in the nodes' network")
	}
	return strings.Join(words, ", ")
}
