package kube

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

var (
	podResource        = Resource{Version: "v1", Kind: "Pod", Name: "pods", Namespaced: true}
	nodeResource       = Resource{Version: "v1", Kind: "Node", Name: "nodes"}
	classResource      = Resource{Group: "storage.k8s.io", Version: "v1", Kind: "StorageClass", Name: "storageclasses"}
	eventResource      = Resource{Version: "v1", Kind: "Event", Name: "events", Namespaced: true}
	replicaSetResource = Resource{Group: "apps", Version: "v1", Kind: "ReplicaSet", Name: "replicasets", Namespaced: true}
	revisionResource   = Resource{Group: "apps", Version: "v1", Kind: "ControllerRevision", Name: "controllerrevisions", Namespaced: true}
)

// warningEvent is what the cluster warned of an object, and when it last did, by its own clock.
type warningEvent struct {
	Reason, Message string
	at              time.Time
}

// view is what the cluster shows of the workloads and of what belongs to them, kept by the watches.
type view struct {
	changed chan struct{} // holds one when something is new

	mu        sync.Mutex
	live      map[string]*unstructured.Unstructured // workloads by ref.key; nil when deleted
	pods      map[types.UID]*corev1.Pod
	revisions map[types.UID]*unstructured.Unstructured // ReplicaSets and ControllerRevisions
	warnings  map[types.UID][]warningEvent             // by the object that they are about
}

func newView() *view {
	return &view{changed: make(chan struct{}, 1), live: map[string]*unstructured.Unstructured{}, pods: map[types.UID]*corev1.Pod{},
		revisions: map[types.UID]*unstructured.Unstructured{}, warnings: map[types.UID][]warningEvent{}}
}

// put takes in one object of any of the kinds that are followed.
func (v *view) put(u *unstructured.Unstructured, gone bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := refOf(u).key()
	if _, isWorkload := v.live[key]; isWorkload {
		if v.live[key] = u; gone && !finished(u) {
			v.live[key] = nil
		}
	}
	switch u.GetKind() {
	case "Pod":
		pod := &corev1.Pod{}
		if gone || runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, pod) != nil {
			delete(v.pods, u.GetUID())
			break
		}
		v.pods[u.GetUID()] = pod
	case "ReplicaSet", "ControllerRevision":
		if v.revisions[u.GetUID()] = u; gone {
			delete(v.revisions, u.GetUID())
		}
	case "Event":
		v.warn(u)
	}
	select {
	case v.changed <- struct{}{}:
	default:
	}
}

// finished says whether an object that is gone had done its work: a Job may be cleared away at once.
func finished(u *unstructured.Unstructured) bool {
	phase, _, _ := unstructured.NestedString(u.Object, "status", "phase")
	return u.GetKind() == "Job" && jobReady(u).done || u.GetKind() == "Pod" && phase == "Succeeded"
}

func (v *view) warn(u *unstructured.Unstructured) {
	uid, _, _ := unstructured.NestedString(u.Object, "involvedObject", "uid")
	reason, _, _ := unstructured.NestedString(u.Object, "reason")
	message, _, _ := unstructured.NestedString(u.Object, "message")
	w := warningEvent{Reason: reason, Message: strings.TrimSpace(message), at: lastTime(u)}
	others := slices.DeleteFunc(v.warnings[types.UID(uid)], func(k warningEvent) bool { return k.Reason == w.Reason && k.Message == w.Message })
	v.warnings[types.UID(uid)] = append(others, w)
}

// lastTime is when an event last happened: what repeats is counted on the same object, in one of two ways.
func lastTime(u *unstructured.Unstructured) time.Time {
	for _, path := range [][]string{{"series", "lastObservedTime"}, {"lastTimestamp"}, {"eventTime"}, {"metadata", "creationTimestamp"}} {
		text, _, _ := unstructured.NestedString(u.Object, path...)
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			return at
		}
	}
	return time.Time{}
}

// newPods are the pods of the latest generation of a workload, by name. None as long as the controller has not
// taken up that generation: pods of the one before say nothing about it.
func (v *view) newPods(u *unstructured.Unstructured) []*corev1.Pod {
	var mine func(*corev1.Pod) bool
	owner := u.GetUID()
	switch u.GetKind() {
	case "Deployment":
		owner = v.currentReplicaSet(u)
		mine = func(*corev1.Pod) bool { return owner != "" }
	case "StatefulSet":
		revision, _, _ := unstructured.NestedString(u.Object, "status", "updateRevision")
		mine = func(p *corev1.Pod) bool { return p.Labels["controller-revision-hash"] == revision }
	case "DaemonSet":
		hash := v.currentRevisionHash(u)
		mine = func(p *corev1.Pod) bool { return p.Labels["controller-revision-hash"] == hash }
	case "Pod":
		if p := v.pods[owner]; p != nil {
			return []*corev1.Pod{p}
		}
		return nil
	default:
		mine = func(*corev1.Pod) bool { return true }
	}
	if _, stale := notObserved(u); stale && u.GetKind() != "Job" {
		return nil
	}
	var pods []*corev1.Pod
	for _, p := range v.pods {
		if isOwnedBy(p.OwnerReferences, owner) && mine(p) {
			pods = append(pods, p)
		}
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	return pods
}

// currentReplicaSet is the one that carries the same revision as the Deployment; "" if it is not there yet.
func (v *view) currentReplicaSet(deployment *unstructured.Unstructured) types.UID {
	const revision = "deployment.kubernetes.io/revision"
	for uid, rs := range v.revisions {
		if isOwnedBy(rs.GetOwnerReferences(), deployment.GetUID()) && rs.GetAnnotations()[revision] == deployment.GetAnnotations()[revision] {
			return uid
		}
	}
	return ""
}

// currentRevisionHash is the hash of the ControllerRevision with the highest number.
func (v *view) currentRevisionHash(owner *unstructured.Unstructured) string {
	best, hash := int64(-1), "-"
	for r := range maps.Values(v.revisions) {
		if n := count(r, 0, "revision"); n > best && isOwnedBy(r.GetOwnerReferences(), owner.GetUID()) {
			best, hash = n, r.GetLabels()["controller-revision-hash"]
		}
	}
	return hash
}

func isOwnedBy(owners []metav1.OwnerReference, uid types.UID) bool {
	return slices.ContainsFunc(owners, func(o metav1.OwnerReference) bool { return o.UID == uid })
}

// mirror brings one selection into the view.
type mirror struct {
	view *view
	have map[types.UID]*unstructured.Unstructured
}

// newMirror starts with what is known to be there: should the first list lack it, it is gone.
func newMirror(v *view, known ...*unstructured.Unstructured) *mirror {
	m := &mirror{view: v, have: map[types.UID]*unstructured.Unstructured{}}
	for _, u := range known {
		m.have[u.GetUID()] = u
	}
	return m
}

func (m *mirror) reset(all []unstructured.Unstructured) {
	now := map[types.UID]bool{}
	for i := range all {
		now[all[i].GetUID()] = true
		m.set(&all[i], false)
	}
	for uid, u := range m.have {
		if !now[uid] {
			m.set(u, true)
		}
	}
}

func (m *mirror) set(u *unstructured.Unstructured, gone bool) {
	if m.have[u.GetUID()] = u; gone {
		delete(m.have, u.GetUID())
	}
	m.view.put(u, gone)
}

// podSelector is a label selector that all pods of the workloads match, as narrow as can be said in one; "" for all pods.
func podSelector(workloads []*unstructured.Unstructured) string {
	values := map[string][]string{} // by key, one for each workload that has the key
	for _, u := range workloads {
		labels, _, _ := unstructured.NestedStringMap(u.Object, "spec", "selector", "matchLabels")
		for k, val := range labels {
			values[k] = append(values[k], val)
		}
	}
	var terms []string
	for _, k := range slices.Sorted(maps.Keys(values)) {
		if len(values[k]) < len(workloads) {
			continue
		}
		slices.Sort(values[k])
		terms = append(terms, k+" in ("+strings.Join(slices.Compact(values[k]), ",")+")")
	}
	return strings.Join(terms, ",")
}
