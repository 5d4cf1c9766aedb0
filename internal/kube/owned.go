package kube

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// ownedPatience is how long the controller of a custom resource that this run changed has to run the images that the resource names. It cannot be
// known whether it ever will: some only keep them for later.
const ownedPatience = 10 * time.Second

// maxOwners bounds how far up owners are followed.
const maxOwners = 6

// ownedPods finds the pods of the custom resources, by following owner references up: from the pod to its ReplicaSet, to whatever made that, to the
// resource.
func (w *waiter) ownedPods(ctx context.Context) error {
	places := map[string][]*workload{}
	for _, l := range w.workloads {
		if w.view.live[l.ref.key()] != nil && l.custom() && l.ref.namespace != "" {
			places[l.ref.namespace] = append(places[l.ref.namespace], l)
		}
	}
	return forAll(slicesOf(places), func(here []*workload) error {
		f := &ownerFinder{client: w.client, of: map[types.UID]*workload{}, owners: map[types.UID][]metav1.OwnerReference{}}
		wanted := map[string]bool{}
		for _, l := range here {
			u := w.view.live[l.ref.key()]
			f.of[u.GetUID()] = l
			if l.fresh {
				for _, digest := range digestsIn(u) {
					wanted[digest] = true
				}
			}
		}
		err := f.find(ctx, here[0].ref.namespace, wanted)
		if apierrors.IsForbidden(err) {
			return nil // what may not be seen cannot be proved
		}
		return err
	})
}

// custom says whether it is of a kind that Kubernetes does not have itself.
func (l *workload) custom() bool { return readyFuncs[l.ref.gk] == nil && !builtIn(l.ref.gk.Group) }

func slicesOf(places map[string][]*workload) [][]*workload {
	var all [][]*workload
	for _, here := range places {
		all = append(all, here)
	}
	return all
}

var digestPattern = regexp.MustCompile(`@(sha256:[0-9a-f]{64})`)

// digestsIn are those of the images that an object's spec names.
func digestsIn(u *unstructured.Unstructured) []string {
	text, err := json.Marshal(u.Object["spec"])
	if err != nil {
		return nil
	}
	var all []string
	for _, m := range digestPattern.FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	return all
}

// ownerFinder sorts the pods of a namespace by the custom resource that they belong to.
type ownerFinder struct {
	client *Client
	of     map[types.UID]*workload
	owners map[types.UID][]metav1.OwnerReference // of what was looked at
	pods   map[types.UID]*corev1.Pod
	wake   chan struct{}
}

// find fills in the pods, and waits a little for those that run the wanted digests.
func (f *ownerFinder) find(ctx context.Context, namespace string, wanted map[string]bool) error {
	sets, err := f.client.list(ctx, replicaSetResource, namespace, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range sets {
		f.owners[sets[i].GetUID()] = sets[i].GetOwnerReferences()
	}
	pods, err := f.client.list(ctx, podResource, namespace, metav1.ListOptions{})
	if err != nil {
		return err
	}
	f.pods, f.wake = map[types.UID]*corev1.Pod{}, make(chan struct{}, 1)
	f.reset(pods)
	if f.sort(ctx, wanted) {
		return nil
	}
	seen := make(chan *unstructured.Unstructured)
	following, stop := context.WithTimeout(ctx, ownedPatience)
	defer stop()
	done := make(chan error, 1)
	go func() {
		done <- f.client.follow(following, selection{resource: podResource, namespace: namespace}, sender{following, seen})
	}()
	for {
		select {
		case err := <-done:
			return err
		case u := <-seen:
			if f.put(u); f.sort(following, wanted) {
				return nil
			}
		}
	}
}

// sender hands pods to the goroutine that sorts them.
type sender struct {
	ctx context.Context //nolint:containedctx // of one call of find
	to  chan<- *unstructured.Unstructured
}

func (s sender) reset(all []unstructured.Unstructured) {
	for i := range all {
		s.set(&all[i], false)
	}
}

func (s sender) set(u *unstructured.Unstructured, gone bool) {
	if gone {
		return
	}
	select {
	case s.to <- u:
	case <-s.ctx.Done():
	}
}

func (f *ownerFinder) reset(all []unstructured.Unstructured) {
	for i := range all {
		f.put(&all[i])
	}
}

func (f *ownerFinder) put(u *unstructured.Unstructured) {
	if pod, err := asPod(u); err == nil {
		f.pods[pod.UID] = pod
	}
}

// sort gives each resource its pods, and says whether all wanted digests run.
func (f *ownerFinder) sort(ctx context.Context, wanted map[string]bool) bool {
	runs := map[string]bool{}
	for _, l := range f.of {
		l.owned = nil
	}
	for _, pod := range f.pods {
		l := f.owner(ctx, pod.Namespace, pod.OwnerReferences, maxOwners)
		if l == nil || pod.DeletionTimestamp != nil {
			continue
		}
		l.owned = append(l.owned, pod)
		for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
			if imageID(pod, c.Name) != "" {
				runs[digestIn(c.Image)] = true
			}
		}
	}
	for _, l := range f.of {
		slices.SortFunc(l.owned, func(a, b *corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	}
	for digest := range wanted {
		if !runs[digest] {
			return false
		}
	}
	return true
}

// owner is the resource at the top of a chain of owners; nil if it is none of ours. What cannot be read is not ours.
func (f *ownerFinder) owner(ctx context.Context, namespace string, refs []metav1.OwnerReference, depth int) *workload {
	for _, ref := range refs {
		if l := f.of[ref.UID]; l != nil {
			return l
		}
		if depth == 0 {
			continue
		}
		above, known := f.owners[ref.UID]
		if !known {
			if u, err := f.client.Get(ctx, schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind), namespace, ref.Name); err == nil && u != nil {
				above = u.GetOwnerReferences()
			}
			f.owners[ref.UID] = above
		}
		if l := f.owner(ctx, namespace, above, depth-1); l != nil {
			return l
		}
	}
	return nil
}
