//go:build e2e

package kube_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/kube"
	"k8s.io/client-go/tools/clientcmd"
)

// asUser makes c a user of its own who may do what the rules of a Role say.
func (c *cluster) asUser(rules string) {
	c.t.Helper()
	user := c.namespace + "-user"
	for _, m := range []string{
		`{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: few}, rules: ` + rules + `}`,
		`{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: few}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: few}, subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: ` + user + `}]}`,
	} {
		c.create(object(c.t, m).Unstructured, "test")
	}
	config, err := clientcmd.LoadFromFile(c.kubeconfig)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, u := range config.AuthInfos {
		u.Impersonate = user
	}
	c.kubeconfig = filepath.Join(c.t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, c.kubeconfig); err != nil {
		c.t.Fatal(err)
	}
	c.reconnect()
}

func TestPreflight(t *testing.T) {
	c := newCluster(t)
	const manifest = `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}}
---
{apiVersion: example.org/v1, kind: Nothing, metadata: {name: n}}
---
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: davit-nowhere}}`
	all := kube.PreflightOptions{Delete: true, Wait: true, History: true}
	p, err := c.Preflight(c.ctx, c.set, objects(t, manifest), all)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(p.Version, "v1.") || !slices.Contains(p.Namespaces, kube.NamespaceState{Name: c.namespace, State: kube.NamespaceExists}) ||
		!slices.Contains(p.Namespaces, kube.NamespaceState{Name: "davit-nowhere", State: kube.NamespaceMissing}) {
		t.Errorf("got %+v", p)
	}
	fatal := p.Err()
	if fatal == nil || !strings.Contains(fatal.Error(), `namespace "davit-nowhere" does not exist`) ||
		!strings.Contains(fatal.Error(), "test.yaml:3: nothing.example.org/n: the cluster does not know the kind Nothing") || strings.Contains(fatal.Error(), "may not") {
		t.Errorf("got %v", fatal)
	}
	c.asUser(`[{apiGroups: [""], resources: [configmaps], verbs: [get, list, create]}, {apiGroups: [apps], resources: [deployments], verbs: ["*"]}]`)
	p, err = c.Preflight(c.ctx, c.set, objects(t, manifest[:strings.Index(manifest, "---\n{apiVersion: example")]), all)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, f := range p.Findings {
		told = append(told, map[bool]string{true: "! ", false: "? "}[f.Fatal]+strings.ReplaceAll(f.Message, c.namespace, "NS"))
	}
	for _, want := range []string{
		"! you may not patch configmaps in namespace NS", "! you may not delete configmaps in namespace NS",
		"! you may not watch pods in namespace NS, to wait for workloads and prove what runs",
		"? you may not create secrets in namespace NS, so no history is kept and nothing can be rolled back",
	} {
		if !strings.Contains(strings.Join(told, "\n"), want) {
			t.Errorf("%q is not said in\n%s", want, strings.Join(told, "\n"))
		}
	}
	if strings.Contains(strings.Join(told, "\n"), "deployments") || strings.Contains(strings.Join(told, "\n"), "create configmaps") {
		t.Errorf("said\n%s", strings.Join(told, "\n"))
	}
	if w := c.writes(); len(w) > 0 {
		t.Errorf("a preflight sent %q", w)
	}
}

// What may not be written is known before the rest is written.
func TestNothingIsWrittenHalf(t *testing.T) {
	c := newCluster(t)
	c.asUser(`[{apiGroups: [""], resources: [configmaps], verbs: ["*"]}, {apiGroups: [""], resources: [services], verbs: [get]}]`)
	_, r, err := c.apply(kube.ApplyOptions{}, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
---
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}`)
	if err == nil || len(r.Objects) > 0 {
		t.Fatalf("applied %v, %v", r.Objects, err)
	}
	for _, want := range []string{"nothing was written", "test.yaml:2: applying service/web", "you may not create services in namespace " + c.namespace} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if w := c.writes(); len(w) > 0 {
		t.Errorf("sent %q", w)
	}
}
