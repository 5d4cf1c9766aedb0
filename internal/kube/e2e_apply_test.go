//go:build e2e

package kube_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/kube"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// everyKind holds fields of all the sorts that the server changes in its own way: defaults, quantities, keys that it fills
// in, atomic lists, int-or-string, text that becomes data.
const everyKind = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, creationTimestamp: null}
data: {a: "1", b: "two\nlines\n"}
---
apiVersion: v1
kind: Secret
metadata: {name: secret}
stringData: {password: hunter2}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: runner}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: runner}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: disk}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1024Mi}}, storageClassName: none}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: open}
spec: {podSelector: {}, ingress: [{ports: [{port: 80}], from: [{podSelector: {matchLabels: {a: b}}}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http, name: http}, {port: 53, protocol: UDP, name: dns}, {port: 53, name: dns-tcp}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, annotations: {note: "yes"}}
spec:
  replicas: 0
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 25%}}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, creationTimestamp: null}
    spec:
      serviceAccountName: runner
      securityContext: {}
      initContainers: [{name: first, image: example.org/first}]
      containers:
      - name: main
        image: example.org/main:1
        command: [sh, -c, "true"]
        env: [{name: B, value: "1"}, {name: A, valueFrom: {fieldRef: {fieldPath: status.podIP}}}, {name: E, value: ""}]
        envFrom: [{configMapRef: {name: settings}}]
        ports: [{containerPort: 80, name: http}, {containerPort: 53, protocol: UDP}]
        resources: {limits: {cpu: 1000m, memory: 1024Mi}, requests: {cpu: 0.5, memory: 134217728}}
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 5}
        volumeMounts: [{name: tmp, mountPath: /tmp}, {name: conf, mountPath: /etc/conf, readOnly: true}]
        securityContext: {capabilities: {drop: [ALL]}, runAsNonRoot: true}
      tolerations: [{key: a, operator: Exists}]
      volumes: [{name: tmp, emptyDir: {sizeLimit: 1024Mi}}, {name: conf, configMap: {name: settings, items: [{key: a, path: a}]}}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 0
  serviceName: db
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, image: example.org/db}]}}
  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec: {schedule: "0 0 1 1 *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: example.org/c}]}}}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec: {suspend: true, template: {spec: {restartPolicy: Never, containers: [{name: c, image: example.org/c}]}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, maxReplicas: 3, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 50%, selector: {matchLabels: {app: web}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {rules: [{host: example.org, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}
`

func TestApplyAgainWritesNothing(t *testing.T) {
	c := newCluster(t)
	first := c.mustApply(everyKind)
	for _, a := range first.Objects {
		if a.Verb != kube.VerbCreated {
			t.Errorf("%s is %s at first", a.Resource, a.Verb)
		}
	}
	c.reconnect()
	again := c.mustApply(everyKind)
	for i, a := range again.Objects {
		if a.Verb != kube.VerbUnchanged {
			t.Errorf("%s is %s the second time", a.Resource, a.Verb)
		}
		// Controllers write the status, which moves the version as well: the generation is what davit would move.
		if was := first.Objects[i].Live; a.Live.GetGeneration() != was.GetGeneration() {
			t.Errorf("the generation of %s moved", a.Resource)
		}
	}
	if w := c.writes(); len(w) > 0 {
		t.Errorf("the second time wrote:\n%s", strings.Join(w, "\n"))
	}
	if most := len(first.Objects) + 2; len(c.requests) > most {
		t.Errorf("the second time sent %d requests, want at most %d:\n%s", len(c.requests), most, strings.Join(c.requests, "\n"))
	}
}

func TestApplyWritesOnlyWhatChanged(t *testing.T) {
	c := newCluster(t)
	c.mustApply(everyKind)
	c.reconnect()
	edited := strings.Replace(everyKind, `{a: "1", b: "two\nlines\n"}`, `{a: "2"}`, 1)
	edited = strings.Replace(edited, "envFrom: [{configMapRef: {name: settings}}]", "", 1)
	var changed []string
	for _, a := range c.mustApply(edited).Objects {
		if a.Verb != kube.VerbUnchanged {
			changed = append(changed, a.Verb+" "+a.Resource)
		}
	}
	if want := []string{"configured configmap/settings", "configured deployment.apps/web"}; !slices.Equal(changed, want) {
		t.Errorf("got %q, want %q", changed, want)
	}
	if w := c.writes(); len(w) != 2 {
		t.Errorf("wrote:\n%s", strings.Join(w, "\n"))
	}
	data, _, _ := unstructured.NestedStringMap(c.get(configMaps, "settings").Object, "data")
	if len(data) != 1 || data["a"] != "2" {
		t.Errorf("the ConfigMap holds %v", data)
	}
}

func TestApplyNamespaceAndDefinitionFirst(t *testing.T) {
	c := newCluster(t)
	group := c.namespace + ".example.org"
	manifest := `
{apiVersion: ` + group + `/v1, kind: Widget, metadata: {name: w, namespace: ` + c.namespace + `-new}, spec: {size: 3, limits: {cpu: 1000m}}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: ` + c.namespace + `-new}, data: {a: b}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.` + group + `}
spec:
  group: ` + group + `
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
{apiVersion: v1, kind: Namespace, metadata: {name: ` + c.namespace + `-new}}`
	c.set.Namespace = c.namespace + "-new" // the inventory lives in the namespace that the set itself brings
	t.Cleanup(func() {
		if err := c.Delete(c.ctx, c.set, objects(t, manifest), kube.DeleteOptions{}, c); err != nil {
			t.Error(err)
		}
	})
	for _, want := range []string{kube.VerbCreated, kube.VerbUnchanged} {
		for _, a := range c.mustApply(manifest).Objects {
			if a.Verb != want {
				t.Errorf("%s is %s, want %s", a.Resource, a.Verb, want)
			}
		}
		c.reconnect()
	}
}

func TestApplyTakesOverFromClientSideApply(t *testing.T) {
	c := newCluster(t)
	old := object(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {kept: x, dropped: y}}`)
	raw, _ := json.Marshal(old.Object)
	old.SetAnnotations(map[string]string{"kubectl.kubernetes.io/last-applied-configuration": string(raw)})
	c.create(old.Unstructured, "kubectl-client-side-apply")
	const now = `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {kept: x}}`
	c.expectVerbs(kube.ApplyOptions{NoForceConflicts: true}, []string{"configured configmap/a"}, now)
	u := c.get(configMaps, "a")
	if data, _, _ := unstructured.NestedStringMap(u.Object, "data"); len(data) != 1 || len(u.GetAnnotations()) != 0 {
		t.Errorf("after the takeover: data %v, annotations %v", data, u.GetAnnotations())
	}
	c.reconnect()
	c.expectVerbs(kube.ApplyOptions{NoForceConflicts: true}, []string{"unchanged configmap/a"}, now)
}

// What kubectl or Skaffold deployed goes over to davit without a rollout.
func TestTakeoverRestartsNothing(t *testing.T) {
	c := newCluster(t)
	specs := map[string]any{}
	for _, o := range objects(t, everyKind) {
		raw, _ := json.Marshal(o.Object)
		o.SetAnnotations(map[string]string{"kubectl.kubernetes.io/last-applied-configuration": string(raw)})
		c.create(o.Unstructured, "kubectl-client-side-apply")
		gvr := o.GroupVersionKind().GroupVersion().WithResource(plural(o.GetKind()))
		specs[o.GetKind()] = c.get(gvr, o.GetName()).Object["spec"]
	}
	for _, want := range []string{kube.VerbConfigured, kube.VerbUnchanged} {
		c.reconnect()
		for _, a := range c.mustApply(everyKind).Objects {
			if a.Verb != want {
				t.Errorf("%s is %s, want %s", a.Resource, a.Verb, want)
			}
			// Not the generation: that of a Deployment moves with its annotations, and the old one goes.
			if was, now := specs[a.Live.GetKind()], a.Live.Object["spec"]; !reflect.DeepEqual(was, now) {
				t.Errorf("the spec of %s was %v, is %v", a.Resource, was, now)
			}
			if len(a.Live.GetAnnotations()["kubectl.kubernetes.io/last-applied-configuration"]) > 0 {
				t.Errorf("%s still says what was applied before", a.Resource)
			}
		}
	}
	if len(c.writes()) > 0 {
		t.Errorf("again wrote:\n%s", strings.Join(c.writes(), "\n"))
	}
}

func TestApplySaysWhoseFieldsItTakes(t *testing.T) {
	c := newCluster(t)
	const manifest = `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: mine, b: mine}}`
	c.mustApply(manifest)
	steal := func() {
		t.Helper()
		_, err := c.others.Resource(configMaps).Namespace(c.namespace).Patch(t.Context(), "a", types.MergePatchType, []byte(`{"data":{"a":"theirs"}}`), metav1.PatchOptions{FieldManager: "somebody"})
		if err != nil {
			t.Fatal(err)
		}
	}
	steal()
	_, _, err := c.apply(kube.ApplyOptions{NoForceConflicts: true}, manifest)
	var failed *kube.ObjectError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), `.data.a owned by "somebody"`) || !strings.HasPrefix(err.Error(), "test.yaml:1: ") {
		t.Errorf("got %v", err)
	}
	c.expectVerbs(kube.ApplyOptions{}, []string{"configured configmap/a"}, manifest)
	if w := c.warnings(); !strings.Contains(w, `configmap/a: took over .data.a owned by "somebody"`) {
		t.Errorf("warned: %s", w)
	}
}

func TestApplyImmutable(t *testing.T) {
	c := newCluster(t)
	job := func(image string) string {
		return `{apiVersion: batch/v1, kind: Job, metadata: {name: j}, spec: {suspend: true, template: {spec: {restartPolicy: Never, containers: [{name: c, image: "` + image + `"}]}}}}`
	}
	was := c.mustApply(job("example.org/a")).Objects[0].Live.GetUID()
	_, _, err := c.apply(kube.ApplyOptions{}, job("example.org/b"))
	if err == nil || !strings.Contains(err.Error(), "field is immutable") || !strings.Contains(err.Error(), "--force") {
		t.Errorf("got %v", err)
	}
	now := c.expectVerbs(kube.ApplyOptions{Force: true}, []string{"replaced job.batch/j"}, job("example.org/b"))
	if now.Objects[0].Live.GetUID() == was {
		t.Error("it is still the same object")
	}
	// A manifest that is wrong must not cost the object that is there, and replacing it is no way out.
	for _, force := range []bool{false, true} {
		if _, _, err = c.apply(kube.ApplyOptions{Force: force}, job("")); err == nil || strings.Contains(err.Error(), "--force") {
			t.Errorf("a job without an image: %v", err)
		}
	}
	c.expectVerbs(kube.ApplyOptions{}, []string{"unchanged job.batch/j"}, job("example.org/b"))
}

func TestApplyErrorsNameTheObject(t *testing.T) {
	c := newCluster(t)
	_, r, err := c.apply(kube.ApplyOptions{}, `{apiVersion: v1, kind: ConfigMap, metadata: {name: good}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: Bad}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: unknown}, dota: {}}`)
	for _, part := range []string{"test.yaml:2: applying configmap/Bad", "test.yaml:3: applying configmap/unknown", ".dota"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
	if len(r.Objects) != 1 || r.Objects[0].Resource != "configmap/good" {
		t.Errorf("done: %+v", r.Objects)
	}
	// What can be known before anything is written costs nothing but the error.
	c.reconnect()
	_, r, err = c.apply(kube.ApplyOptions{}, `{apiVersion: v1, kind: ConfigMap, metadata: {name: better}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: lost, namespace: no-such-namespace}}`)
	if want := `test.yaml:2: applying configmap/lost in namespace no-such-namespace: namespace "no-such-namespace" does not exist: create it`; err == nil ||
		!strings.Contains(err.Error(), want) || len(r.Objects)+len(c.writes()) > 0 {
		t.Errorf("got %v, %v, wrote %q", err, r.Objects, c.writes())
	}
	_, _, err = c.apply(kube.ApplyOptions{}, `{apiVersion: example.org/v1, kind: Nothing, metadata: {name: a}}`)
	if err == nil || !strings.Contains(err.Error(), "does not know the kind Nothing of example.org/v1") {
		t.Errorf("got %v", err)
	}
}

func TestOrphansAndPrune(t *testing.T) {
	c := newCluster(t)
	const a, b = `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`, `{apiVersion: v1, kind: Secret, metadata: {name: b}}`
	c.mustApply(a, b)
	for range 2 { // an orphan is told each time, not forgotten
		c.reconnect()
		r := c.mustApply(a)
		if want := []kube.Orphan{{Resource: "secret/b", Namespace: c.namespace}}; !slices.Equal(r.Orphans, want) {
			t.Fatalf("orphans are %v", r.Orphans)
		}
	}
	if w := c.writes(); len(w) > 0 {
		t.Errorf("an orphan makes davit write:\n%s", strings.Join(w, "\n"))
	}
	if r := c.expectVerbs(kube.ApplyOptions{Prune: true}, []string{"unchanged configmap/a"}, a); len(r.Orphans) != 0 {
		t.Errorf("after pruning there are orphans: %v", r.Orphans)
	}
	if kinds := c.get(configMaps, c.set.Name).GetAnnotations()["applyset.kubernetes.io/contains-group-kinds"]; kinds != "ConfigMap" {
		t.Errorf("the inventory says %q", kinds)
	}
}

func TestAnotherSetKeepsItsObjects(t *testing.T) {
	c := newCluster(t)
	const shared = `{apiVersion: v1, kind: ConfigMap, metadata: {name: shared}, data: {a: b}}`
	c.mustApply(shared)
	c.set.Name = "davit-other"
	c.expectVerbs(kube.ApplyOptions{}, []string{"unchanged configmap/shared"}, shared)
	if !strings.Contains(c.warnings(), "configmap/shared belongs to another set") {
		t.Errorf("warned: %s", c.warnings())
	}
	if err := c.Delete(t.Context(), c.set, objects(t, shared), kube.DeleteOptions{}, c); err != nil {
		t.Fatal(err)
	}
	c.get(configMaps, "shared") // is still there
	// Once the other set is gone, its objects are free.
	if err := c.others.Resource(configMaps).Namespace(c.namespace).Delete(t.Context(), "davit-test", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.expectVerbs(kube.ApplyOptions{}, []string{"configured configmap/shared"}, shared)
}

// What is still being deleted is waited for, and made anew.
func TestApplyOverADeletion(t *testing.T) {
	c := newCluster(t)
	const held = `{apiVersion: v1, kind: ConfigMap, metadata: {name: held, finalizers: [example.org/once]}}`
	c.mustApply(held)
	if err := c.others.Resource(configMaps).Namespace(c.namespace).Delete(c.ctx, "held", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		time.Sleep(300 * time.Millisecond)
		u := c.get(configMaps, "held")
		u.SetFinalizers(nil)
		c.update(u)
	})
	c.expectVerbs(kube.ApplyOptions{}, []string{"created configmap/held"}, `{apiVersion: v1, kind: ConfigMap, metadata: {name: held}}`)
	wg.Wait()
}

// Whoever may do little can still deploy what they may.
func TestApplyWithFewPermissions(t *testing.T) {
	c := newCluster(t)
	c.asUser(`[{apiGroups: [""], resources: [secrets], verbs: [get, create, patch, delete]}, {apiGroups: [""], resources: [services], verbs: [get]}]`)
	const manifest = `{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {a: b}}`
	for _, want := range []string{"created secret/s", "unchanged secret/s"} {
		c.reconnect()
		c.expectVerbs(kube.ApplyOptions{}, []string{want}, manifest)
		if !strings.Contains(c.warnings(), "no inventory is kept") {
			t.Errorf("warned: %s", c.warnings())
		}
	}
	if err := c.Delete(c.ctx, c.set, objects(t, manifest), kube.DeleteOptions{}, c); err != nil || !strings.Contains(c.warnings(), "only what is in the manifests is deleted") {
		t.Errorf("got %v, warned: %s", err, c.warnings())
	}
	_, _, err := c.apply(kube.ApplyOptions{}, `{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 80}]}}`)
	if err == nil || !strings.Contains(err.Error(), "service/s") || !strings.Contains(err.Error(), "the user of this context may not do this") {
		t.Errorf("got %v", err)
	}
}

func TestGenerateName(t *testing.T) {
	c := newCluster(t)
	const manifest = `{apiVersion: v1, kind: ConfigMap, metadata: {generateName: run-}}`
	first, second := c.mustApply(manifest).Objects[0], c.mustApply(manifest).Objects[0]
	if first.Verb != kube.VerbCreated || second.Verb != kube.VerbCreated || first.Resource == second.Resource {
		t.Errorf("got %s, then %s", first.Resource, second.Resource)
	}
}
