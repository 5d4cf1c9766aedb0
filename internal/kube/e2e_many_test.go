//go:build e2e

package kube_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/kube"
)

// Many objects cost a request each at first, and one for all of them afterwards. The times are printed, not judged.
func TestManyObjects(t *testing.T) {
	c := newCluster(t)
	var all strings.Builder
	for i := range 500 {
		fmt.Fprintf(&all, "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: c%d}, data: {a: b}}\n", i)
	}
	for _, run := range []struct {
		name     string
		requests int
		verb     string
	}{{"first", 500 + 10, kube.VerbCreated}, {"again", 3, kube.VerbUnchanged}} {
		c.reconnect()
		objects := objects(t, all.String())
		start := time.Now()
		r, err := c.Apply(c.ctx, c.set, objects, kube.ApplyOptions{}, c)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("500 ConfigMaps, %s: %s, %d requests", run.name, time.Since(start), len(c.requests))
		if len(c.requests) > run.requests {
			t.Errorf("%s: sent %d requests, want at most %d", run.name, len(c.requests), run.requests)
		}
		for _, a := range r.Objects {
			if a.Verb != run.verb {
				t.Fatalf("%s: %s is %s", run.name, a.Resource, a.Verb)
			}
		}
	}
}

func TestManyWorkloads(t *testing.T) {
	c := newCluster(t)
	var all strings.Builder
	for i := range 100 {
		all.WriteString("---" + workload("Deployment", fmt.Sprintf("web-%d", i), "example.org/none", "replicas: 0"))
		fmt.Fprintf(&all, "---\n{apiVersion: v1, kind: Service, metadata: {name: web-%d}, spec: {selector: {app: web-%[1]d}, ports: [{port: 80}]}}\n", i)
	}
	for _, name := range []string{"first", "again"} {
		c.reconnect()
		objects := objects(t, all.String())
		start := time.Now()
		r, err := c.Apply(c.ctx, c.set, objects, kube.ApplyOptions{}, c)
		if err != nil {
			t.Fatal(err)
		}
		applied := time.Since(start)
		if _, err := c.Wait(c.ctx, r.Objects, kube.WaitOptions{}, c); err != nil {
			t.Fatal(err)
		}
		t.Logf("100 Deployments with Services, %s: applied in %s, ready after %s, %d requests", name, applied, time.Since(start), len(c.requests))
	}
	if len(c.requests) > 5 || len(c.writes()) > 0 {
		t.Errorf("again: sent\n%s", strings.Join(c.requests, "\n"))
	}
}
