//go:build e2e

package kube_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/kube"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// record applies and keeps a revision of it.
func (c *cluster) record(status, changed string, limit int, manifests ...string) kube.Revision {
	c.t.Helper()
	result := c.mustApply(manifests...)
	content := kube.Content{Objects: objects(c.t, manifests...), Orphans: result.Orphans}
	r, err := c.Record(c.ctx, c.set, result, kube.Revision{Run: time.Now(), Status: status, Changed: changed}, content, limit)
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

func numbers(all []kube.Revision) string {
	var text []string
	for _, r := range all {
		text = append(text, fmt.Sprint(r.Number, " ", r.Status))
	}
	return strings.Join(text, ", ")
}

func (c *cluster) history() []kube.Revision {
	c.t.Helper()
	all, err := c.History(c.ctx, c.set)
	if err != nil {
		c.t.Fatal(err)
	}
	return all
}

func TestHistory(t *testing.T) {
	c := newCluster(t)
	version := func(v string) string {
		return `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {v: "` + v + `"}}`
	}
	const secret = `{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {password: hunter2}}`
	if r := c.record(kube.RevisionDeployed, "2 created", 3, version("1"), secret); r.Number != 1 || r.Objects != 2 {
		t.Fatalf("got %+v", r)
	}
	// A run that was killed before it kept its revision, or just after, does that the next time; once.
	if r := c.record(kube.RevisionDeployed, "", 3, version("1"), secret); r.Number != 1 {
		t.Fatalf("the same again is revision %d", r.Number)
	}
	digest, _ := kube.Content{Objects: objects(t, secret, version("1"))}.Digest()
	if was, known := c.mustApply(version("1"), secret).Recorded(); !known || was != digest {
		t.Errorf("the inventory says %q, want %q", was, digest)
	}
	c.record(kube.RevisionFailed, "1 configured", 3, version("2"))
	c.record(kube.RevisionFailed, "1 configured", 3, version("3"))
	c.record(kube.RevisionFailed, "1 configured", 3, version("4"))
	if got := numbers(c.history()); got != "4 failed, 3 failed, 2 failed, 1 deployed" { // the last good one stays, beyond the limit
		t.Errorf("history: %s", got)
	}
	if was, _ := c.mustApply(version("4")).Recorded(); was != digest {
		t.Errorf("a failed revision counts as deployed: %q", was)
	}
	c.record(kube.RevisionDeployed, "1 configured", 3, version("5"))
	if got := numbers(c.history()); got != "5 deployed, 4 failed, 3 failed" {
		t.Errorf("history: %s", got)
	}
	content, err := c.Content(c.ctx, c.set, 5)
	if err != nil {
		t.Fatal(err)
	}
	if got := content.Objects; len(got) != 1 || got[0].Origin != "test.yaml:1" || len(content.Orphans) != 1 || content.Orphans[0].Resource != "secret/s" {
		t.Errorf("revision 5 holds %v, %v", got, content.Orphans)
	}
	// Put back with what was there beside it.
	c.mustApply(version("6"), `{apiVersion: v1, kind: ConfigMap, metadata: {name: new}}`, secret)
	got, r, err := applyContent(c, content)
	if err != nil || !slices.Equal(got, []string{"configured configmap/a"}) || len(r.Pruned) != 1 || r.Pruned[0].Resource != "configmap/new" {
		t.Errorf("put back %q, pruned %v, %v", got, r.Pruned, err)
	}
	c.get(namespaced("secrets"), "s")
	if _, err := c.Content(c.ctx, c.set, 99); err == nil || !strings.Contains(err.Error(), "revision 99 of davit-test") {
		t.Errorf("got %v", err)
	}
	// The history goes with the set.
	if err := c.Delete(c.ctx, c.set, nil, kube.DeleteOptions{}, c); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the history goes", func() bool { return len(c.history()) == 0 })
}

func applyContent(c *cluster, content kube.Content) ([]string, *kube.ApplyResult, error) {
	r, err := c.Apply(c.ctx, c.set, content.Objects, kube.ApplyOptions{Prune: true, Keep: content.Orphans}, c)
	var verbs []string
	for _, a := range r.Objects {
		verbs = append(verbs, a.Verb+" "+a.Resource)
	}
	return verbs, r, err
}

func TestHistoryOfWhatIsTooLarge(t *testing.T) {
	c := newCluster(t)
	var all []string
	for i := range 3 {
		noise := make([]byte, 600<<10)
		_, _ = rand.Read(noise)
		all = append(all, fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: c%d}, data: {a: %x}}", i, noise[:450<<10]))
	}
	r := c.record(kube.RevisionDeployed, "3 created", 10, all...)
	if !r.Bare || r.Number != 1 {
		t.Errorf("got %+v", r)
	}
	if _, err := c.Content(c.ctx, c.set, 1); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("got %v", err)
	}
}

// What moves from one config to another within a run is neither pruned nor fought for.
func TestObjectsMoveBetweenSets(t *testing.T) {
	c := newCluster(t)
	const a, moves, b = `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`, `{apiVersion: v1, kind: ConfigMap, metadata: {name: moves}}`, `{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}`
	first, second := c.set, kube.Set{Name: "davit-second", Namespace: c.namespace}
	apply := func(set kube.Set, siblings kube.Sibling, manifests ...string) *kube.ApplyResult {
		t.Helper()
		r, err := c.Apply(c.ctx, set, objects(t, manifests...), kube.ApplyOptions{Prune: true, Siblings: []kube.Sibling{siblings}}, c)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	apply(first, kube.Sibling{Set: second, Objects: objects(t, b)}, a, moves)
	apply(second, kube.Sibling{Set: first, Objects: objects(t, a, moves)}, b)
	uid := c.get(configMaps, "moves").GetUID()
	for range 2 {
		if r := apply(first, kube.Sibling{Set: second, Objects: objects(t, b, moves)}, a); len(r.Pruned)+len(r.Orphans) > 0 {
			t.Errorf("pruned %v, orphans %v", r.Pruned, r.Orphans)
		}
		if r := apply(second, kube.Sibling{Set: first, Objects: objects(t, a)}, b, moves); len(r.Pruned)+len(r.Orphans) > 0 || len(r.Objects) != 2 {
			t.Errorf("pruned %v, orphans %v", r.Pruned, r.Orphans)
		}
	}
	if now := c.get(configMaps, "moves"); now.GetUID() != uid || now.GetLabels()["applyset.kubernetes.io/part-of"] != second.ID() || c.warnings() != "" {
		t.Errorf("it was made anew, or belongs to %v; warned: %s", now.GetLabels(), c.warnings())
	}
}

func TestKeptObjectsStay(t *testing.T) {
	c := newCluster(t)
	const a, kept = `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`, `{apiVersion: v1, kind: ConfigMap, metadata: {name: data, annotations: {davit.dev/keep: "true"}}}`
	c.mustApply(a, kept)
	r := c.expectVerbs(kube.ApplyOptions{Prune: true}, []string{"unchanged configmap/a"}, a)
	if len(r.Orphans) != 1 || len(r.Pruned) != 0 {
		t.Errorf("orphans %v, pruned %v", r.Orphans, r.Pruned)
	}
	if err := c.Delete(c.ctx, c.set, objects(t, a), kube.DeleteOptions{}, c); err != nil {
		t.Fatal(err)
	}
	c.get(configMaps, "data")
	c.expectVerbs(kube.ApplyOptions{}, []string{"created configmap/a", "unchanged configmap/data"}, a, kept) // and comes back into the set
}

// A deletion that hangs says on whose finalizer.
func TestDeletionSaysWhoHoldsIt(t *testing.T) {
	c := newCluster(t)
	c.mustApply(`{apiVersion: v1, kind: ConfigMap, metadata: {name: held}}`)
	u := c.get(configMaps, "held")
	u.SetFinalizers([]string{"example.org/never"})
	if _, err := c.others.Resource(configMaps).Namespace(c.namespace).Update(c.ctx, u, metav1.UpdateOptions{FieldManager: "some-controller"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		u, err := c.others.Resource(configMaps).Namespace(c.namespace).Get(context.Background(), "held", metav1.GetOptions{})
		if err == nil {
			u.SetFinalizers(nil)
			c.update(u)
		}
	})
	doomed, err := c.Doomed(c.ctx, c.set, nil, c)
	if err != nil || len(doomed) != 1 || doomed[0].GetName() != "held" {
		t.Errorf("would delete %v, %v", doomed, err)
	}
	err = c.Delete(c.ctx, c.set, nil, kube.DeleteOptions{Deadline: time.Second}, c)
	if err == nil || !strings.Contains(err.Error(), "it is held by finalizer example.org/never (set by some-controller)") {
		t.Errorf("got %v", err)
	}
	if err := c.Delete(c.ctx, c.set, nil, kube.DeleteOptions{NoWait: true}, c); err != nil {
		t.Error(err)
	}
}

// Somebody else may write the objects: they are members all the same, and what happened is read from the cluster.
func TestApplyBySomebodyElse(t *testing.T) {
	c := newCluster(t)
	const a, b = `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {v: "1"}}`, `{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}`
	by := kube.ApplyOptions{By: func(ctx context.Context, objects []kube.Object) error {
		for _, o := range objects {
			o := o.DeepCopy()
			old, err := c.others.Resource(configMaps).Namespace(c.namespace).Get(ctx, o.GetName(), metav1.GetOptions{})
			if err == nil {
				o.SetResourceVersion(old.GetResourceVersion())
				_, err = c.others.Resource(configMaps).Namespace(c.namespace).Update(ctx, o, metav1.UpdateOptions{})
			} else {
				_, err = c.others.Resource(configMaps).Namespace(c.namespace).Create(ctx, o, metav1.CreateOptions{})
			}
			if err != nil {
				return err
			}
		}
		return nil
	}}
	c.expectVerbs(by, []string{"created configmap/a", "created configmap/b"}, a, b)
	r := c.expectVerbs(by, []string{"configured configmap/a"}, strings.Replace(a, `"1"`, `"2"`, 1))
	if len(r.Orphans) != 1 || r.Orphans[0].Resource != "configmap/b" {
		t.Errorf("orphans are %v", r.Orphans)
	}
}
