//go:build e2e

package kube_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/kube"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// preview gives "action resource" of each object, with its changes, and makes sure that nothing was written.
func (c *cluster) preview(o kube.ApplyOptions, manifests ...string) (*kube.Preview, []string) {
	c.t.Helper()
	c.reconnect()
	p, err := c.Preview(c.ctx, c.set, objects(c.t, manifests...), o, c)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, w := range c.writes() {
		if !strings.Contains(w, "dryRun=All") {
			c.t.Errorf("a preview sent %s", w)
		}
	}
	var all []string
	for _, e := range p.Objects {
		line := e.Action + " " + e.Resource
		for _, change := range e.Changes {
			before, _ := json.Marshal(change.Before)
			after, _ := json.Marshal(change.After)
			line += fmt.Sprintf("; %s %s → %s", change.Path, before, after)
		}
		for _, note := range e.Notes {
			line += "; " + note
		}
		all = append(all, line)
	}
	return p, all
}

func (c *cluster) expectPreview(want []string, manifests ...string) *kube.Preview {
	c.t.Helper()
	p, got := c.preview(kube.ApplyOptions{}, manifests...)
	if !slices.Equal(got, want) {
		c.t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	return p
}

const previewed = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: "1", b: "2"}
---
apiVersion: v1
kind: Secret
metadata: {name: secret}
stringData: {password: hunter2, user: me}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: main, image: example.org/web:v1, env: [{name: A, value: "1"}, {name: B, value: "2"}]}
`

func TestPreview(t *testing.T) {
	c := newCluster(t)
	creates := []string{"create configmap/settings", "create secret/secret", "create deployment.apps/web"}
	c.expectPreview(creates, previewed)
	c.mustApply(previewed)
	c.expectPreview([]string{"unchanged configmap/settings", "unchanged secret/secret", "unchanged deployment.apps/web"}, previewed)

	changed := strings.NewReplacer(`a: "1"`, `a: "one"`, `, b: "2"}`, `, "c.d": "3"}`, "hunter2", "swordfish", ", user: me", "", "web:v1", "web:v2",
		`{name: B, value: "2"}`, `{name: C, value: "3"}`).Replace(previewed)
	p := c.expectPreview([]string{
		`change configmap/settings; data.a "1" → "one"; data.b "2" → null; data["c.d"] null → "3"`,
		`change secret/secret; data.password "(hidden)" → "(hidden)"; data.user "(hidden)" → null`,
		`change deployment.apps/web; spec.template.spec.containers[main].env[B] {"name":"B","value":"2"} → null; ` +
			`spec.template.spec.containers[main].env[C] null → {"name":"C","value":"3"}; ` +
			`spec.template.spec.containers[main].image "example.org/web:v1" → "example.org/web:v2"`,
	}, changed)
	if uid := string(c.get(configMaps, "settings").GetUID()); p.Objects[0].UID != uid || p.Objects[0].Version == "" {
		t.Errorf("the live object is %s, not %s", p.Objects[0].UID, uid)
	}
	// What the preview says is what happens.
	c.expectVerbs(kube.ApplyOptions{}, []string{"configured configmap/settings", "configured secret/secret", "configured deployment.apps/web"}, changed)
	p = c.expectPreview([]string{"unchanged configmap/settings"}, changed[:strings.Index(changed, "---")])
	if got := fmt.Sprint(p.Orphans); !strings.Contains(got, "secret/secret") || !strings.Contains(got, "deployment.apps/web") {
		t.Errorf("orphans: %s", got)
	}
}

func TestPreviewOfWhatCannotBeAskedYet(t *testing.T) {
	c := newCluster(t)
	c.expectPreview([]string{
		"create namespace/davit-not-yet", "create configmap/a; namespace davit-not-yet does not exist yet",
		"create customresourcedefinition.apiextensions.k8s.io/widgets.preview.davit.dev", "create widget.preview.davit.dev/w",
		"create gadget.nobody.davit.dev/g; the cluster does not know its kind yet",
	}, `
apiVersion: v1
kind: Namespace
metadata: {name: davit-not-yet}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: davit-not-yet}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.preview.davit.dev}
spec:
  group: preview.davit.dev
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: preview.davit.dev/v1
kind: Widget
metadata: {name: w}
---
apiVersion: nobody.davit.dev/v1
kind: Gadget
metadata: {name: g}
`)
}

func TestPreviewOfRefusals(t *testing.T) {
	c := newCluster(t)
	c.mustApply(previewed)
	relabelled := strings.ReplaceAll(previewed, "app: web", "app: shop")
	p, got := c.preview(kube.ApplyOptions{}, relabelled)
	if len(got) != 3 || got[2] != "fail deployment.apps/web" || !strings.Contains(p.Objects[2].Err.Error(), "run again with --force") {
		t.Errorf("got %q, %v", got, p.Objects[2].Err)
	}
	if _, got := c.preview(kube.ApplyOptions{Force: true}, relabelled); !strings.HasPrefix(got[2], "replace deployment.apps/web; the server does not let it change") {
		t.Errorf("with force: %q", got[2])
	}
	p, got = c.preview(kube.ApplyOptions{}, strings.Replace(previewed, "replicas: 0", "replica: 0", 1))
	if got[2] != "fail deployment.apps/web" || !strings.Contains(p.Objects[2].Err.Error(), ".spec.replica: field not declared") {
		t.Errorf("a misspelt field: %q, %v", got[2], p.Objects[2].Err)
	}
}

// What kubectl applied on the client's side is taken over: fields that the manifest no longer has go.
func TestPreviewOfTakingOver(t *testing.T) {
	c := newCluster(t)
	old := object(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, labels: {old: "1"}}, data: {a: "1", gone: x}}`)
	raw, err := json.Marshal(old.Object)
	if err != nil {
		t.Fatal(err)
	}
	old.SetAnnotations(map[string]string{"kubectl.kubernetes.io/last-applied-configuration": string(raw)})
	c.create(old.Unstructured, "kubectl-client-side-apply")
	other := c.get(configMaps, "settings")
	if err := unstructured.SetNestedField(other.Object, "theirs", "data", "b"); err != nil {
		t.Fatal(err)
	}
	c.update(other)

	desired := `{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: "2", b: "3"}}`
	p, got := c.preview(kube.ApplyOptions{}, desired)
	if len(got) != 1 || !strings.Contains(got[0], `data.a "1" → "2"`) || !strings.Contains(got[0], `data.b "theirs" → "3"`) ||
		!strings.Contains(got[0], `data.gone "x" → null`) || !strings.Contains(got[0], "takes over .data.b owned by") || strings.Contains(got[0], "data.a owned") {
		t.Errorf("got %q", got)
	}
	c.mustApply(desired)
	live := c.get(configMaps, "settings")
	for _, change := range p.Objects[0].Changes {
		if name, ok := strings.CutPrefix(change.Path, "data."); ok {
			if is, _, _ := unstructured.NestedString(live.Object, "data", name); change.After != nil && is != change.After || change.After == nil && is != "" {
				t.Errorf("%s was to be %v and is %q", name, change.After, is)
			}
		}
	}
}

// Defaults that client-side apply owns, and what controllers write, do not look as if they went.
func TestPreviewOfTakingOverDefaults(t *testing.T) {
	c := newCluster(t)
	for _, o := range objects(t, previewed) {
		raw, err := json.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		o.SetAnnotations(map[string]string{"kubectl.kubernetes.io/last-applied-configuration": string(raw)})
		c.create(o.Unstructured, "kubectl-client-side-apply")
	}
	deployments := namespaces.GroupVersion().WithResource("deployments")
	deployments.Group = "apps"
	eventually(t, "the controller has seen the Deployment", func() bool {
		return c.get(deployments, "web").GetAnnotations()["deployment.kubernetes.io/revision"] != ""
	})
	_, got := c.preview(kube.ApplyOptions{}, previewed)
	for _, line := range got {
		if strings.Count(line, ";") != 1 || !strings.Contains(line, "metadata.labels") {
			t.Errorf("got %s", line)
		}
	}
}
