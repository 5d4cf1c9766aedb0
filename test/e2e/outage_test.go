//go:build e2e && outage

package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// These tests end parts of the cluster, so nothing else may run in it meanwhile: the build tag keeps them apart.

// component is the process of a part of the box.
func component(t *testing.T, name string) (pid int) {
	t.Helper()
	var out []byte
	var err error
	for range 1500 { // it fails until all of the box is of use
		if out, err = exec.Command(filepath.Join(suite.root, "bin", "kubebox"), "status", "-o", "json").Output(); err == nil {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if err != nil {
		t.Fatalf("asking for the state of the box: %v", err)
	}
	var status struct {
		Components []struct {
			Name string
			PID  int
		}
	}
	if err := json.Unmarshal(out, &status); err != nil {
		t.Fatal(err)
	}
	for _, c := range status.Components {
		if c.Name == name && c.PID > 0 {
			return c.PID
		}
	}
	t.Fatalf("%s does not run:\n%s", name, out)
	return 0
}

// crash ends a part of the box at once. Its supervisor starts it again.
func crash(t *testing.T, name string) {
	t.Helper()
	if err := syscall.Kill(component(t, name), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// answers waits until the API server does.
func answers(t *testing.T) {
	t.Helper()
	for range 1500 {
		if _, err := suite.client.Discovery().ServerVersion(); err == nil {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatal("the API server never came back")
}

func TestOutageInWait(t *testing.T) {
	p := newProject(t)
	p.webServer()
	p.write("skaffold.yaml", "apiVersion: skaffold/v4beta13\nkind: Config\nmetadata: {name: shop}\nbuild: {artifacts: [{image: web, context: web}]}\nmanifests: {rawYaml: [web.yaml]}\n")
	p.write("web.yaml", strings.Replace(sleeper("web"), "image: web", "image: web, readinessProbe: {initialDelaySeconds: 4, periodSeconds: 1, tcpSocket: {port: 8080}}", 1))
	for _, name := range []string{"kube-apiserver", "etcd"} {
		p.write("web/which", p.namespace+name)
		r := p.start("run")
		r.sees("Waiting for deployments")
		crash(t, name)
		r.wait().ok().says("deployment.apps/web is ready", "as built")
		answers(t)
	}
	p.davit("run").ok().says("deployment.apps/web unchanged")
}

func TestOutageInApply(t *testing.T) {
	p := newProject(t)
	p.write("skaffold.yaml", "apiVersion: skaffold/v4beta13\nkind: Config\nmetadata: {name: shop}\nmanifests: {rawYaml: [all.yaml]}\n")
	const many = 1000
	var all strings.Builder
	for i := range many {
		fmt.Fprintf(&all, "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: c%d}, data: {key: \"%s\"}}\n", i, strings.Repeat("x", 2000))
	}
	p.write("all.yaml", all.String())
	pid := component(t, "kube-apiserver")
	r := p.start("run")
	for there := 0; there < many/10; {
		list, err := suite.client.CoreV1().ConfigMaps(p.namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		there = len(list.Items)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.wait().ok()
	answers(t)
	list, err := suite.client.CoreV1().ConfigMaps(p.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "applyset.kubernetes.io/part-of"})
	if err != nil || len(list.Items) != many {
		t.Errorf("%d objects, %v", len(list.Items), err)
	}
	p.davit("run").ok().says("unchanged").saysNot("created", "configured")
}

// The database of the cluster stands still nine tenths of the time: that ends right or with a clear error, and the next run does the rest.
func TestOutageOfMostOfTheTime(t *testing.T) {
	p := newProject(t)
	p.plain(1, 100)
	pid := component(t, "etcd")
	stop := make(chan struct{})
	var rhythm sync.WaitGroup
	rhythm.Go(func() {
		for {
			_ = syscall.Kill(pid, syscall.SIGSTOP)
			time.Sleep(900 * time.Millisecond)
			_ = syscall.Kill(pid, syscall.SIGCONT)
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	r := p.davit("run")
	close(stop)
	rhythm.Wait()
	answers(t)
	t.Logf("it took %s and ended with %d: %s", r.took, r.code, r.stderr)
	if r.code != 0 {
		r.fails(1)
		if !strings.Contains(r.stderr, "etcdserver") && !strings.Contains(r.stderr, "cannot reach the Kubernetes cluster") && !strings.Contains(r.stderr, "not ready after") {
			t.Errorf("it does not say what is wrong")
		}
	}
	p.davit("run").ok()
	p.davit("run").ok().says("unchanged").saysNot("created", "configured")
	maps, err := suite.client.CoreV1().ConfigMaps(p.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "applyset.kubernetes.io/part-of"})
	if err != nil || len(maps.Items) != 101 {
		t.Errorf("there are %d ConfigMaps: %v", len(maps.Items), err)
	}
}

// Everything else about the cluster works on, but no pod comes: said in time, and mended by the next run.
func TestKubeletThatStops(t *testing.T) {
	p := newProject(t)
	p.webServer()
	p.write("skaffold.yaml", "apiVersion: skaffold/v4beta13\nkind: Config\nmetadata: {name: shop}\nbuild: {artifacts: [{image: web, context: web}]}\nmanifests: {rawYaml: [web.yaml]}\ndeploy: {statusCheckDeadlineSeconds: 60}\n")
	p.write("web.yaml", sleeper("web"))
	p.davit("run").ok() // the controllers may just come back from the test before
	p.write("web/which", "another")
	p.replace("skaffold.yaml", "Seconds: 60", "Seconds: 5")
	pid := component(t, "kubelet")
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r := p.davit("run")
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r.fails(1).complains("deployment.apps/web", "not ready after 5s", "pod web-", "node ", "has not begun with it")
	p.replace("skaffold.yaml", "Seconds: 5", "Seconds: 60")
	p.davit("run").ok().says("as built")
}
