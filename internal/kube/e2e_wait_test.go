//go:build e2e

package kube_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// run applies, waits and proves, as one run of davit does.
func (c *cluster) run(o kube.WaitOptions, images []kube.Built, manifests ...string) error {
	c.t.Helper()
	rollout, err := c.Wait(c.t.Context(), c.mustApply(manifests...).Objects, o, c)
	if err != nil {
		return err
	}
	return kube.Prove(rollout, images, c)
}

func (c *cluster) mustRun(images []kube.Built, manifests ...string) {
	c.t.Helper()
	if err := c.run(kube.WaitOptions{}, images, manifests...); err != nil {
		c.t.Fatal(err)
	}
}

// failsWith runs and expects an error that says all of these.
func (c *cluster) failsWith(manifest string, parts ...string) {
	c.t.Helper()
	c.waitFails(c.mustApply(manifest).Objects, kube.WaitOptions{}, parts...)
}

// waitFails is failsWith for what is applied already.
func (c *cluster) waitFails(applied []kube.Applied, o kube.WaitOptions, parts ...string) {
	c.t.Helper()
	start := time.Now()
	o.Settle = 10 * time.Minute // nothing here is to succeed, however long it takes to fail
	_, err := c.Wait(c.ctx, applied, o, c)
	c.t.Logf("after %s: %v", time.Since(start).Round(time.Millisecond), err)
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			c.t.Errorf("the error does not say %q: %v", part, err)
		}
	}
	var failed *kube.RolloutError
	if !errors.As(err, &failed) {
		c.t.Errorf("got %v", err)
	}
}

// eventuallyPod waits until a pod of an app is in some state.
func (c *cluster) eventuallyPod(app, what string, is func(*corev1.Pod) bool) {
	c.t.Helper()
	eventually(c.t, "a pod of "+app+" "+what, func() bool {
		all, err := c.others.Resource(pods).Namespace(c.namespace).List(c.ctx, metav1.ListOptions{LabelSelector: "app=" + app})
		if err != nil {
			c.t.Fatal(err)
		}
		return slices.ContainsFunc(all.Items, func(u unstructured.Unstructured) bool {
			p := &corev1.Pod{}
			return runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, p) == nil && is(p)
		})
	})
}

// proofs are "resource container pods digest" of what was proved.
func (c *cluster) proofs() string {
	var all []string
	for _, e := range c.events {
		if p, ok := e.(event.WorkloadProved); ok {
			for _, k := range p.Containers {
				all = append(all, fmt.Sprintf("%s %s %d %s", p.Resource, k.Name, k.Pods, k.Digest))
			}
		}
	}
	return strings.Join(all, "\n")
}

func TestRunAgainLooksOnce(t *testing.T) {
	c := newCluster(t)
	one, two := c.image(forever), c.image(forever)
	manifest := strings.Replace(deployment("web", one.ref), "  selector:", "  replicas: 2\n  selector:", 1)
	c.mustRun(one.proof("web"), manifest)
	if want := "deployment.apps/web main 2 " + one.digest; c.proofs() != want {
		t.Errorf("proved %q, want %q", c.proofs(), want)
	}
	c.reconnect()
	start := time.Now()
	c.mustRun(one.proof("web"), manifest)
	t.Logf("nothing changed: %s, %d requests", time.Since(start), len(c.requests))
	if want := "deployment.apps/web main 2 " + one.digest; c.proofs() != want {
		t.Errorf("proved %q, want %q", c.proofs(), want)
	}
	if len(c.writes()) > 0 || len(c.watches()) > 0 || len(c.requests) > 4 {
		t.Errorf("nothing changed, and sent:\n%s", strings.Join(c.requests, "\n"))
	}
	c.reconnect()
	c.mustRun(two.proof("web"), strings.ReplaceAll(manifest, one.ref, two.ref))
	if want := "deployment.apps/web main 2 " + two.digest; c.proofs() != want {
		t.Errorf("proved %q, want %q", c.proofs(), want)
	}
}

func TestAllKindsRollOut(t *testing.T) {
	c := newCluster(t)
	long, short := c.image(forever), c.image("echo done")
	images := append(long.proof("long"), short.proof("short")...)
	job := `{apiVersion: batch/v1, kind: Job, metadata: {name: j}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: "` + short.ref + `"}]}}}}`
	pod := `{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {terminationGracePeriodSeconds: 1, initContainers: [{name: first, image: "` + short.ref + `"}], containers: [{name: main, image: "` + long.ref + `"}]}}`
	cron := `{apiVersion: batch/v1, kind: CronJob, metadata: {name: c}, spec: {schedule: "0 0 1 1 *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: "` + short.ref + `"}]}}}}}}`
	manifests := []string{
		workload("StatefulSet", "s", long.ref, "serviceName: s"), workload("DaemonSet", "d", long.ref, ""),
		workload("ReplicaSet", "r", long.ref, ""), job, pod, cron,
		workload("Deployment", "paused", "example.org/none", "paused: true"), workload("Deployment", "zero", "example.org/none", "replicas: 0"),
		`{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: unused}, spec: {accessModes: [ReadWriteOnce], storageClassName: none, resources: {requests: {storage: 1Gi}}}}`,
	}
	for range 2 {
		c.mustRun(images, manifests...)
		for _, want := range []string{"statefulset.apps/s main 1 " + long.digest, "daemonset.apps/d main 1 " + long.digest, "replicaset.apps/r main 1 " + long.digest,
			"job.batch/j main 1 " + short.digest, "pod/p first 1 " + short.digest, "pod/p main 1 " + long.digest} {
			if !strings.Contains(c.proofs(), want) {
				t.Errorf("not proved: %s\nbut\n%s", want, c.proofs())
			}
		}
		c.reconnect()
	}
}

func TestImageThatCannotBePulled(t *testing.T) {
	c := newCluster(t)
	good := c.image(forever)
	missing := strings.Replace(good.ref, "davit-test", "davit-missing", 1)
	for _, kind := range []string{"Deployment", "StatefulSet", "DaemonSet"} {
		t.Run(kind, func(t *testing.T) {
			c.t = t
			c.failsWith(workload(kind, strings.ToLower(kind), missing, ""), "cannot pull image", "davit-missing", "not found", "test.yaml:1", "container main")
		})
	}
	c.t = t
	c.failsWith(`{apiVersion: batch/v1, kind: Job, metadata: {name: j}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: "`+missing+`"}]}}}}`, "job.batch/j", "cannot pull")
	c.failsWith(`{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: main, image: "UPPER/case"}]}}`, "pod/p", "UPPER/case", "invalid reference format")
}

func TestCrashShowsTheLastLines(t *testing.T) {
	c := newCluster(t)
	bad := c.image("echo cannot find my database; exit 3")
	c.failsWith(deployment("web", bad.ref), "deployment.apps/web", "pod web-", "container main", "exit code 3", "\n    cannot find my database")
	c.failsWith(`{apiVersion: batch/v1, kind: Job, metadata: {name: j}, spec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: main, image: "`+bad.ref+`"}]}}}}`,
		"job.batch/j", "BackoffLimitExceeded", "cannot find my database")
	c.failsWith(`{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {restartPolicy: Never, containers: [{name: main, image: "`+bad.ref+`"}]}}`, "pod/p", "exit code 3", "cannot find my database")
}

// The pods of the generation before may fail as they like.
func TestOldPodsDoNotCount(t *testing.T) {
	c := newCluster(t)
	bad, good := c.image("exit 3"), c.image(forever)
	c.failsWith(deployment("web", bad.ref), "exit code 3")
	c.mustRun(good.proof("web"), deployment("web", good.ref))
	if want := "deployment.apps/web main 1 " + good.digest; c.proofs() != want {
		t.Errorf("proved %q, want %q", c.proofs(), want)
	}
}

func TestToleratedFailuresMayPass(t *testing.T) {
	c := newCluster(t)
	// Crashes until somebody makes the ConfigMap that it mounts say go.
	img := c.image(`/bin/busybox grep -q go /conf/state || { echo not yet; exit 1; }; ` + forever)
	c.mustApply(`{apiVersion: v1, kind: ConfigMap, metadata: {name: conf}, data: {state: stop}}`)
	manifest := strings.Replace(deployment("web", img.ref), "image:", "volumeMounts: [{name: conf, mountPath: /conf}], image:", 1) + "      volumes: [{name: conf, configMap: {name: conf}}]\n"
	applied := c.mustApply(manifest).Objects
	c.eventuallyPod("web", "has crashed", func(p *corev1.Pod) bool {
		return slices.ContainsFunc(p.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.LastTerminationState.Terminated != nil })
	})
	c.waitFails(applied, kube.WaitOptions{TolerateFailuresUntilDeadline: true, Deadline: 2 * time.Second}, "not ready after 2s", "exit code 1", "pod web-", "not yet")
	done := make(chan error)
	go func() {
		time.Sleep(time.Second)
		u := c.get(configMaps, "conf")
		_ = unstructured.SetNestedField(u.Object, "go", "data", "state")
		_, err := c.others.Resource(configMaps).Namespace(c.namespace).Update(c.ctx, u, metav1.UpdateOptions{})
		// The kubelet would find out in its own time: a new pod finds out at once.
		if err == nil {
			err = c.others.Resource(pods).Namespace(c.namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "app=web"})
		}
		done <- err
	}()
	err := c.run(kube.WaitOptions{TolerateFailuresUntilDeadline: true}, img.proof("web"), manifest)
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
}

func TestWhatKeepsPodsFromBeingMade(t *testing.T) {
	c := newCluster(t)
	good := c.image(forever)
	c.mustApply(`{apiVersion: v1, kind: ResourceQuota, metadata: {name: q}, spec: {hard: {pods: "0"}}}`)
	eventually(t, "the quota is in force", func() bool {
		u := c.get(namespaced("resourcequotas"), "q")
		_, found, _ := unstructured.NestedString(u.Object, "status", "hard", "pods")
		return found
	})
	c.failsWith(deployment("web", good.ref), "deployment.apps/web", "exceeded quota: q", "raise the quota")
	db := workload("StatefulSet", "db", good.ref, "serviceName: s")
	c.failsWith(db, "statefulset.apps/db", "exceeded quota: q")
	// What was warned of before the quota was raised is over.
	c.mustApply(`{apiVersion: v1, kind: ResourceQuota, metadata: {name: q}, spec: {hard: {pods: "9"}}}`)
	c.mustRun(good.proof("db"), db)
}

// A Job that is cleared away as soon as it has ended was not lost.
func TestJobThatIsClearedAway(t *testing.T) {
	c := newCluster(t)
	img := c.image("exit 0")
	c.mustRun(nil, `{apiVersion: batch/v1, kind: Job, metadata: {name: j}, spec: {ttlSecondsAfterFinished: 0, template: {spec: {restartPolicy: Never, containers: [{name: main, image: "`+img.ref+`"}]}}}}`)
}

func TestWorkloadThatIsDeletedMeanwhile(t *testing.T) {
	c := newCluster(t)
	applied := c.mustApply(deployment("web", c.image(forever).ref)).Objects
	if err := c.others.Resource(applied[0].Live.GroupVersionKind().GroupVersion().WithResource("deployments")).Namespace(c.namespace).Delete(c.ctx, "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := c.Wait(c.ctx, applied, kube.WaitOptions{}, c)
	if err == nil || !strings.Contains(err.Error(), "deployment.apps/web (test.yaml:1)") || !strings.Contains(err.Error(), "it was deleted") {
		t.Errorf("got %v", err)
	}
}

func TestWhatKeepsPodsFromStarting(t *testing.T) {
	c := newCluster(t)
	good := c.image(forever)
	withSecret := strings.Replace(deployment("web", good.ref), "image:", "envFrom: [{secretRef: {name: missing}}], image:", 1)
	c.failsWith(withSecret, "deployment.apps/web", `secret "missing" not found`)
	noCommand := strings.Replace(deployment("cmd", good.ref), "image:", "command: [/no/such/program], image:", 1)
	c.failsWith(noCommand, "cannot be started", "/no/such/program")
	notReady := strings.Replace(deployment("probe", good.ref), "image:", "readinessProbe: {periodSeconds: 1, exec: {command: [/bin/busybox, \"false\"]}}, image:", 1)
	applied := c.mustApply(notReady).Objects
	eventually(t, "a readiness probe has failed", func() bool {
		all, err := c.others.Resource(namespaced("events")).Namespace(c.namespace).List(c.ctx, metav1.ListOptions{FieldSelector: "reason=Unhealthy"})
		return err == nil && len(all.Items) > 0
	})
	c.waitFails(applied, kube.WaitOptions{Deadline: 8 * time.Second}, "deployment.apps/probe", "not ready after 8s", "Readiness probe failed", "\n    started")
}

func TestVolumeThatIsNotThere(t *testing.T) {
	c := newCluster(t)
	good := c.image(forever)
	noVolume := strings.Replace(deployment("mount", good.ref), "image:", "volumeMounts: [{name: conf, mountPath: /conf}], image:", 1) + "      volumes: [{name: conf, configMap: {name: missing}}]\n"
	c.failsWith(noVolume, "a volume cannot be mounted", `configmap "missing" not found`)
}

func TestNoNodeTakesThePod(t *testing.T) {
	c := newCluster(t)
	good := c.image(forever)
	noNode := deployment("node", good.ref) + "      nodeSelector: {no: such}\n"
	c.failsWith(noNode, "no node takes the pod", "node affinity/selector")
}

// One that fails does not hide the others.
func TestOthersAreToldToo(t *testing.T) {
	c := newCluster(t)
	good, bad := c.image(forever), c.image("exit 3")
	c.mustRun(nil, deployment("good", good.ref)) // so that it is ready in time
	c.reconnect()
	err := c.run(kube.WaitOptions{Settle: 10 * time.Minute}, nil, deployment("good", good.ref), deployment("bad", bad.ref), deployment("worse", strings.Replace(bad.ref, "davit-test", "davit-missing", 1)))
	if err == nil || !strings.Contains(err.Error(), "deployment.apps/bad") || !strings.Contains(err.Error(), "deployment.apps/worse") || strings.Contains(err.Error(), "deployment.apps/good") {
		t.Errorf("got %v", err)
	}
	ready := false
	for _, e := range c.events {
		r, ok := e.(event.WorkloadReady)
		ready = ready || ok && r.Resource == "deployment.apps/good"
	}
	if !ready {
		t.Error("nobody says that the good one is ready")
	}
}

// Something on the way to the node gives it another image than the one that was built.
func TestProofFails(t *testing.T) {
	c := newCluster(t)
	img := c.image(forever)
	rollout, err := c.Wait(t.Context(), c.mustApply(deployment("web", img.ref)).Objects, kube.WaitOptions{}, c)
	if err != nil {
		t.Fatal(err)
	}
	pod := rollout.Workloads[0].Pods[0]
	pod.Status.ContainerStatuses[0].ImageID = "elsewhere@sha256:0000"
	err = kube.Prove(rollout, img.proof("web"), c)
	var failed *kube.ProofError
	if !errors.As(err, &failed) || failed.Pod != pod.Name || failed.Want != img.digest {
		t.Errorf("got %v", err)
	}
}

func TestDeleteRemovesAll(t *testing.T) {
	c := newCluster(t)
	img := c.image(forever)
	manifests := []string{`{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`, `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}`, deployment("web", img.ref)}
	c.mustRun(nil, manifests...)
	c.reconnect()
	if err := c.Delete(t.Context(), c.set, objects(t, manifests[2]), kube.DeleteOptions{Foreground: true}, c); err != nil {
		t.Fatal(err)
	}
	for _, resource := range []string{"configmaps", "services", "pods"} {
		left, err := c.others.Resource(namespaced(resource)).Namespace(c.namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range left.Items {
			if u.GetName() != "kube-root-ca.crt" {
				t.Errorf("left: %s %s", resource, u.GetName())
			}
		}
	}
	if err := c.Delete(t.Context(), c.set, objects(t, manifests...), kube.DeleteOptions{}, c); err != nil {
		t.Errorf("deleting what is gone: %v", err)
	}
}

func TestDeleteSaysWhatHangs(t *testing.T) {
	c := newCluster(t)
	const held = `{apiVersion: v1, kind: ConfigMap, metadata: {name: held, finalizers: [example.org/never]}}`
	c.mustApply(held)
	t.Cleanup(func() {
		u := c.get(configMaps, "held")
		u.SetFinalizers(nil)
		c.update(u)
	})
	err := c.Delete(t.Context(), c.set, nil, kube.DeleteOptions{Deadline: time.Second}, c)
	if err == nil || !strings.Contains(err.Error(), "configmap/held") || !strings.Contains(err.Error(), "example.org/never") {
		t.Errorf("got %v", err)
	}
	c.get(configMaps, c.set.Name) // the inventory stays until its members are gone
}

func TestForward(t *testing.T) {
	c := newCluster(t)
	img := c.image(`echo hello >/tmp/index.html; exec /bin/busybox httpd -f -p 8080 -h /tmp`)
	service := `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}}`
	manifest := strings.Replace(deployment("web", img.ref), "image:", "volumeMounts: [{name: tmp, mountPath: /tmp}], ports: [{containerPort: 8080, name: http}], image:", 1) + "      volumes: [{name: tmp, emptyDir: {}}]\n"
	c.mustRun(nil, service, manifest)
	for target, port := range map[kube.Target]string{{Kind: "Service", Name: "web"}: "80", {Kind: "deployment", Name: "web"}: "http"} {
		address := c.forward(target, port)
		eventually(t, target.String()+" gives the page", func() bool { return page(address) == "hello\n" })
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	err = c.Forward(t.Context(), kube.Forwarding{Namespace: c.namespace, Target: kube.Target{Kind: "Service", Name: "none"}, Port: "80", Listener: l})
	if err == nil || !strings.Contains(err.Error(), "service/none") {
		t.Errorf("got %v", err)
	}
}

// A port leads to the new pod when the one behind it is replaced, and to a container that was started again.
func TestForwardOutlivesPods(t *testing.T) {
	c := newCluster(t)
	img := c.image(`/bin/busybox hostname >/tmp/index.html; exec /bin/busybox httpd -f -p 8080 -h /tmp`)
	manifest := strings.Replace(deployment("web", img.ref), "image:", "readinessProbe: {periodSeconds: 1, httpGet: {port: 8080}}, volumeMounts: [{name: tmp, mountPath: /tmp}], image:", 1) + "      volumes: [{name: tmp, emptyDir: {}}]\n"
	c.mustRun(nil, manifest)
	address := c.forward(kube.Target{Kind: "Deployment", Name: "web"}, "8080")
	first := page(address)
	if !strings.HasPrefix(first, "web-") {
		t.Fatalf("got %q", first)
	}
	if err := c.others.Resource(pods).Namespace(c.namespace).Delete(c.ctx, strings.TrimSpace(first), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if second := page(address); second == first || !strings.HasPrefix(second, "web-") {
		t.Errorf("after %q came %q", first, second)
	}
}

// forward opens a port of this machine.
func (c *cluster) forward(target kube.Target, port string) (address string) {
	c.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	f := kube.Forwarding{Namespace: c.namespace, Target: target, Port: port, Listener: l, Warn: func(err error) { c.t.Log(err) }}
	if err := c.Forward(c.t.Context(), f); err != nil {
		c.t.Fatal(err)
	}
	return l.Addr().String()
}

// page is what a web server says; empty when it says nothing.
func page(address string) string {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + address)
	if err != nil {
		return ""
	}
	body, err := io.ReadAll(resp.Body)
	if errors.Join(err, resp.Body.Close()) != nil {
		return ""
	}
	return string(body)
}

func TestNodePlatforms(t *testing.T) {
	c := newCluster(t)
	if got, err := c.NodePlatforms(t.Context()); err != nil || len(got) != 1 || !strings.HasPrefix(got[0], "linux/") {
		t.Errorf("got %v, %v", got, err)
	}
}

// The pods of a custom resource are proved, however far down they are: here a controller makes a Deployment of it some time later.
func TestCustomResourceThatOwnsPods(t *testing.T) {
	c := newCluster(t)
	group := strings.ReplaceAll(c.namespace, "davit-", "x") + ".example.org"
	definition := `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: shops.` + group + `}, spec: {group: ` + group + `, scope: Namespaced, names: {kind: Shop, plural: shops},
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}`
	t.Cleanup(func() {
		crds := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
		_ = c.others.Resource(crds).Delete(c.ctx, "shops."+group, metav1.DeleteOptions{})
	})
	img := c.image(forever)
	shop := `{apiVersion: ` + group + `/v1, kind: Shop, metadata: {name: corner}, spec: {image: "` + img.ref + `"}}`
	applied := c.mustApply(definition, shop).Objects
	live := applied[1].Live
	done := make(chan error)
	go func() {
		time.Sleep(time.Second)
		u := object(t, deployment("corner", img.ref)).Unstructured
		u.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: live.GetAPIVersion(), Kind: live.GetKind(), Name: live.GetName(), UID: live.GetUID()}})
		_, err := c.others.Resource(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}).Namespace(c.namespace).Create(c.ctx, u, metav1.CreateOptions{})
		done <- err
	}()
	rollout, err := c.Wait(c.ctx, applied, kube.WaitOptions{}, c)
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	if err := kube.Prove(rollout, img.proof("shop"), c); err != nil {
		t.Fatal(err)
	}
	if want := "shop." + group + " main 1 " + img.digest; !strings.Contains(c.proofs(), img.digest) || !strings.HasPrefix(c.proofs(), "shop.") {
		t.Errorf("proved %q, want %q", c.proofs(), want)
	}
}

// A Service of type LoadBalancer is waited for where its annotation asks for that. Who gives addresses here is the test.
func TestLoadBalancer(t *testing.T) {
	c := newCluster(t)
	const service = `{apiVersion: v1, kind: Service, metadata: {name: web, annotations: {davit.dev/wait: "true"}}, spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}}`
	plain := strings.ReplaceAll(service, `, annotations: {davit.dev/wait: "true"}`, "")
	if _, err := c.Wait(c.ctx, c.mustApply(strings.ReplaceAll(plain, "web", "plain")).Objects, kube.WaitOptions{}, c); err != nil {
		t.Fatal(err)
	}
	applied := c.mustApply(service).Objects
	_, err := c.Wait(c.ctx, applied, kube.WaitOptions{Deadline: time.Second}, c)
	if err == nil || !strings.Contains(err.Error(), "service/web") || !strings.Contains(err.Error(), "waiting for the load balancer's address") {
		t.Errorf("got %v", err)
	}
	done := make(chan error)
	go func() {
		time.Sleep(time.Second)
		patch := []byte(`{"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}`)
		_, err := c.others.Resource(namespaced("services")).Namespace(c.namespace).Patch(c.ctx, "web", types.MergePatchType, patch, metav1.PatchOptions{}, "status")
		done <- err
	}()
	_, err = c.Wait(c.ctx, applied, kube.WaitOptions{}, c)
	if err := errors.Join(err, <-done); err != nil {
		t.Error(err)
	}
}
