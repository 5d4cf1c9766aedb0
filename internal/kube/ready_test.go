package kube

import (
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/event"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestReady(t *testing.T) {
	deployment := func(rest string) string {
		return `{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, generation: 2}, ` + rest + `}`
	}
	stateful := func(rest string) string {
		return `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: a, generation: 2}, ` + rest + `}`
	}
	custom := func(rest string) string {
		return `{apiVersion: x.io/v1, kind: Widget, metadata: {name: a, generation: 2}, ` + rest + `}`
	}
	tests := []struct{ name, object, want string }{
		{"not observed", deployment(`spec: {replicas: 1}, status: {observedGeneration: 1, replicas: 1, updatedReplicas: 1, availableReplicas: 1}`), "wait: waiting for the change to be observed..."},
		{"not updated", deployment(`spec: {replicas: 2}, status: {observedGeneration: 2, replicas: 2, updatedReplicas: 1, availableReplicas: 2}`),
			"wait: waiting for rollout to finish: 1 out of 2 new replicas have been updated..."},
		{"old ones left", deployment(`spec: {replicas: 1}, status: {observedGeneration: 2, replicas: 2, updatedReplicas: 1, availableReplicas: 2}`),
			"wait: waiting for rollout to finish: 1 old replicas are pending termination..."},
		{"not available", deployment(`spec: {replicas: 1}, status: {observedGeneration: 2, replicas: 1, updatedReplicas: 1}`),
			"wait: waiting for rollout to finish: 0 of 1 updated replicas are available..."},
		{"rolled out", deployment(`spec: {replicas: 1}, status: {observedGeneration: 2, replicas: 1, updatedReplicas: 1, availableReplicas: 1}`), "done"},
		{"zero replicas", deployment(`spec: {replicas: 0}, status: {observedGeneration: 2}`), "done"},
		{"paused", deployment(`spec: {paused: true, replicas: 1}, status: {observedGeneration: 2}`), "done"},
		{"no progress", deployment(`status: {observedGeneration: 2, conditions: [{type: Progressing, status: "False", reason: ProgressDeadlineExceeded, message: too slow}]}`),
			"fail: it made no progress within its progressDeadlineSeconds: too slow"},
		{"set: not ready", stateful(`spec: {replicas: 2}, status: {observedGeneration: 2, readyReplicas: 1}`), "wait: waiting for 1 pods to be ready..."},
		{"set: old revision", stateful(`spec: {replicas: 1}, status: {observedGeneration: 2, readyReplicas: 1, currentRevision: a-1, updateRevision: a-2, updatedReplicas: 0}`),
			"wait: waiting for rolling update to complete: 0 pods at revision a-2..."},
		{"set: on delete", stateful(`spec: {updateStrategy: {type: OnDelete}}, status: {observedGeneration: 1}`), "done"},
		{"set: partition", stateful(`spec: {replicas: 3, updateStrategy: {rollingUpdate: {partition: 2}}}, status: {observedGeneration: 2, readyReplicas: 3, updatedReplicas: 1, currentRevision: a-1, updateRevision: a-2}`), "done"},
		{"daemons", `{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: a, generation: 1}, status: {observedGeneration: 1, desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberAvailable: 1}}`,
			"wait: waiting for rollout to finish: 1 of 2 updated pods are available..."},
		{"no nodes for daemons", `{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: a, generation: 1}, status: {observedGeneration: 1, desiredNumberScheduled: 0}}`, "done"},
		{"job at work", `{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {completions: 2}, status: {succeeded: 1}}`, "wait: waiting for completion: 1 of 2 pods succeeded..."},
		{"job done", `{apiVersion: batch/v1, kind: Job, metadata: {name: a}, status: {conditions: [{type: Complete, status: "True"}]}}`, "done"},
		{"job failed", `{apiVersion: batch/v1, kind: Job, metadata: {name: a}, status: {conditions: [{type: Failed, status: "True", reason: BackoffLimitExceeded, message: too often}]}}`,
			"fail: the job failed (BackoffLimitExceeded): too often"},
		{"job suspended", `{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {suspend: true}}`, "done"},
		{"pod ended well", `{apiVersion: v1, kind: Pod, metadata: {name: a}, status: {phase: Succeeded}}`, "done"},
		{"pod failed", `{apiVersion: v1, kind: Pod, metadata: {name: a}, status: {phase: Failed, reason: Evicted}}`, "fail: the pod failed: Evicted"},
		{"claim that waits for its pod", `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a}, status: {phase: Pending}}`, "done"},
		{"load balancer without an address", `{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: LoadBalancer}}`, "wait: waiting for the load balancer's address..."},
		{"load balancer", `{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: LoadBalancer}, status: {loadBalancer: {ingress: [{ip: 10.0.0.1}]}}}`, "done"},
		{"service", `{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: ClusterIP}}`, "none"},
		{"custom without conditions", custom(`status: {phase: x}`), "done"},
		{"custom not ready", custom(`status: {observedGeneration: 2, conditions: [{type: Ready, status: "False", message: soon}]}`), "wait: soon"},
		{"custom ready", custom(`status: {observedGeneration: 2, conditions: [{type: Ready, status: "True"}]}`), "done"},
		{"custom stalled", custom(`status: {observedGeneration: 2, conditions: [{type: Stalled, status: "True", message: never}]}`), "fail: never"},
		{"nothing to wait for", `{apiVersion: v1, kind: Service, metadata: {name: a}}`, "none"},
		{"an autoscaler is not waited for", `{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: a}, status: {conditions: [{type: ScalingActive, status: "False"}]}}`, "none"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			u := parse(t, test.object)
			got := "none"
			if ready := (WaitOptions{LoadBalancers: true}).readyFunc(u); ready != nil {
				switch r := ready(u); {
				case r.done:
					got = "done"
				case r.failure != "":
					got = "fail: " + r.failure
				default:
					got = "wait: " + r.message
				}
			}
			if got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func parsePod(t *testing.T, text string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(parse(t, text).Object, pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

func TestPodTrouble(t *testing.T) {
	pod := func(container string) string {
		return `{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {restartPolicy: Always, containers: [{name: c}]}, status: {containerStatuses: [{name: c, image: i, ` + container + `}]}}`
	}
	tests := []struct {
		name, pod string
		ofJob     bool
		want      string
	}{
		{"runs", pod(`state: {running: {}}`), false, ""},
		{"image", pod(`state: {waiting: {reason: ErrImagePull, message: not found}}`), false, "cannot pull image i: not found"},
		{"image of a job", pod(`state: {waiting: {reason: ImagePullBackOff, message: "Back-off pulling: ErrImagePull: denied"}}`), true, "cannot pull image i: Back-off pulling: ErrImagePull: denied"},
		{"image, told by an event", pod(`state: {waiting: {reason: ImagePullBackOff, message: Back-off pulling image}}`), false, "cannot pull image i: Failed to pull: denied"},
		{"first crash may pass", pod(`restartCount: 0, state: {terminated: {exitCode: 1}}`), false, ""},
		{"second crash", pod(`restartCount: 1, state: {terminated: {exitCode: 3}}`), false, "the container crashed with exit code 3"},
		{"backs off", pod(`restartCount: 2, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 3}}`), false, "the container crashed with exit code 3"},
		{"backs off after a good end", pod(`restartCount: 2, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 0}}`), false,
			"the container ends by itself (exit code 0), but should keep running"},
		{"out of memory", pod(`restartCount: 2, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 137, reason: OOMKilled}}`), false,
			"the container was killed for using more memory than its limit"},
		{"a job counts its crashes", pod(`restartCount: 2, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 3}}`), true, ""},
		{"no command", pod(`state: {waiting: {reason: RunContainerError, message: exec failed}}`), false, "the container cannot be started: exec failed"},
		{"no secret", pod(`state: {waiting: {reason: CreateContainerConfigError, message: secret "x" not found}}`), false, `the container cannot be created: secret "x" not found`},
		{"no node", `{apiVersion: v1, kind: Pod, metadata: {name: p}, status: {conditions: [{type: PodScheduled, status: "False", reason: Unschedulable, message: 0/1 nodes}]}}`, false, "no node takes the pod: 0/1 nodes"},
		{"an old pod that goes", `{apiVersion: v1, kind: Pod, metadata: {name: p, deletionTimestamp: "2026-01-01T00:00:00Z"}, status: {containerStatuses: [{name: c, state: {waiting: {reason: ErrImagePull}}}]}}`, false, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			warnings := []warningEvent{{Reason: "Failed", Message: "Failed to pull: denied"}, {Reason: "Failed", Message: "Error: ImagePullBackOff"}}
			if trouble := podTrouble(parsePod(t, test.pod), warnings, test.ofJob); trouble != nil {
				got = trimmed(trouble.cause, trouble.detail)
			}
			if got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestProve(t *testing.T) {
	pod := func(id string) *corev1.Pod {
		return parsePod(t, `{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: "reg/web:1@sha256:aa"}, {name: mesh, image: mesh}]},
 status: {containerStatuses: [{name: c, imageID: "`+id+`", state: {running: {}}}, {name: mesh, imageID: "mesh@sha256:ff", state: {running: {}}}]}}`)
	}
	built := []Built{{Image: "web", Digests: []string{"sha256:aa", "sha256:bb"}}}
	prove := func(ids ...string) (events []event.Event, err error) {
		w := Workload{Resource: "deployment.apps/web", Namespace: "default", Kind: "Deployment"}
		for _, id := range ids {
			w.Pods = append(w.Pods, pod(id))
		}
		err = Prove(&Rollout{Workloads: []Workload{w}}, built, event.SinkFunc(func(e event.Event) { events = append(events, e) }))
		return events, err
	}
	for _, id := range []string{"reg/web@sha256:aa", "sha256:bb", "docker-pullable://reg/web@sha256:aa"} {
		events, err := prove(id, id)
		if err != nil || len(events) != 1 {
			t.Fatalf("%s: got %v, %v", id, events, err)
		}
		c := events[0].(event.WorkloadProved).Containers
		if len(c) != 1 || c[0].Name != "c" || c[0].Image != "web" || c[0].Pods != 2 || c[0].Digest != digestIn(id) {
			t.Errorf("%s: got %+v", id, c)
		}
	}
	events, err := prove("reg/web@sha256:cc")
	if err == nil || len(events) != 0 {
		t.Fatalf("got %v, %v", events, err)
	}
	for _, part := range []string{"deployment.apps/web", "pod p, container c", "sha256:cc", "sha256:aa"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
}

func TestNewPodsAreThoseOfTheLatestGeneration(t *testing.T) {
	v := newView()
	put := func(text string) { v.put(parse(t, text), false) }
	put(`{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: old, uid: rs1, annotations: {deployment.kubernetes.io/revision: "1"}, ownerReferences: [{uid: d}]}}`)
	put(`{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: new, uid: rs2, annotations: {deployment.kubernetes.io/revision: "2"}, ownerReferences: [{uid: d}]}}`)
	put(`{apiVersion: v1, kind: Pod, metadata: {name: p1, uid: p1, ownerReferences: [{uid: rs1}]}}`)
	put(`{apiVersion: v1, kind: Pod, metadata: {name: p2, uid: p2, ownerReferences: [{uid: rs2}]}}`)
	put(`{apiVersion: v1, kind: Pod, metadata: {name: s1, uid: s1, labels: {controller-revision-hash: a}, ownerReferences: [{uid: s}]}}`)
	put(`{apiVersion: v1, kind: Pod, metadata: {name: s2, uid: s2, labels: {controller-revision-hash: b}, ownerReferences: [{uid: s}]}}`)
	put(`{apiVersion: apps/v1, kind: ControllerRevision, revision: 1, metadata: {name: r1, uid: r1, labels: {controller-revision-hash: x}, ownerReferences: [{uid: n}]}}`)
	put(`{apiVersion: apps/v1, kind: ControllerRevision, revision: 2, metadata: {name: r2, uid: r2, labels: {controller-revision-hash: y}, ownerReferences: [{uid: n}]}}`)
	put(`{apiVersion: v1, kind: Pod, metadata: {name: n1, uid: n1, labels: {controller-revision-hash: x}, ownerReferences: [{uid: n}]}}`)
	put(`{apiVersion: v1, kind: Pod, metadata: {name: n2, uid: n2, labels: {controller-revision-hash: y}, ownerReferences: [{uid: n}]}}`)
	tests := []struct{ name, owner, want string }{
		{"deployment", `{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, uid: d, annotations: {deployment.kubernetes.io/revision: "2"}}}`, "p2"},
		{"deployment whose change is not observed", `{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, uid: d, generation: 2, annotations: {deployment.kubernetes.io/revision: "2"}}}`, ""},
		{"stateful set", `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: a, uid: s}, status: {updateRevision: b}}`, "s2"},
		{"daemon set", `{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: a, uid: n}}`, "n2"},
		{"pod", `{apiVersion: v1, kind: Pod, metadata: {name: p1, uid: p1}}`, "p1"},
	}
	for _, test := range tests {
		var names []string
		for _, p := range v.newPods(parse(t, test.owner)) {
			names = append(names, p.Name)
		}
		if got := strings.Join(names, " "); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// What waits at the deadline without a pod that explains it says what the cluster last warned of.
func TestDeadlineShowsTheLastWarning(t *testing.T) {
	claim := parse(t, `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: disk, namespace: shop, uid: u}, status: {phase: Pending}}`)
	w := newWaiter(&Client{}, []Awaited{{Applied: []Applied{{Live: claim, Verb: VerbCreated}}, WaitOptions: WaitOptions{Kinds: func(schema.GroupKind) bool { return true }}}}, event.SinkFunc(func(event.Event) {}))
	w.view.warnings["u"] = []warningEvent{{Reason: "ProvisioningFailed", Message: "no room on any disk"}}
	l := w.workloads[0]
	w.giveUp(l, l.ready(claim), nil)
	got := l.errorFor(l.verdict, l.trouble).Error()
	for _, part := range []string{"persistentvolumeclaim/disk in namespace shop", "not ready after 10m0s", "ProvisioningFailed: no room on any disk", "provisioner"} {
		if !strings.Contains(got, part) {
			t.Errorf("the error does not say %q: %s", part, got)
		}
	}
}
