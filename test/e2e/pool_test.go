//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/internal/build/pool/pooltest"
)

// TestPool takes the example through BuildKits in the cluster, and looks after them.
func TestPool(t *testing.T) {
	image, err := pooltest.Push("localhost:5000/davit-e2e/buildkit:v1", suite.davit, "buildkitd")
	if err != nil {
		t.Fatal(err)
	}
	p, builders := newProject(t), newNamespace(t)
	address := "kubernetes://" + builders
	builder := address + "?replicas=2&network=host&image=" + image
	first := p.davit("run", "--builder", builder).ok()
	first.says("Builder pool "+address, "statefulset.apps/davit-builder created", "ready", "with the pool "+address, "building on the replica davit-builder-",
		"Successfully built and tagged", "1 pod runs sha256:", "as built")
	digest := p.running()

	// The variable says the same, and nothing of the pool changes.
	p.replace("page/index.html", "Hello", "Goodbye")
	p.env = []string{"DAVIT_BUILDER=" + builder}
	again := p.davit("run").ok()
	again.says("with the pool "+address, "as built").saysNot("Builder pool")
	if p.running() == digest {
		t.Error("an edit changed nothing")
	}
	if was, is := replica(t, first), replica(t, again); was != is {
		t.Errorf("built on %s, and after an edit on %s", was, is)
	}

	p.davit("builder", "ls").ok().says("BUILDER", "davit", address+" *", "pool", "2/2 ready", "v0.", "linux/amd64")
	p.davit("builder", "inspect").ok().says("Builder:  "+address, "2/2 ready", image, "davit-builder-0", "Cache:", "linux/amd64", "Clean-up 1", "davit-builder-1")
	p.davit("builder", "prune", address, "--dry-run").ok().says(address+" davit-builder-0: would free about", "davit-builder-1: would free about")
	var freed []struct {
		Replica string
		DryRun  bool
		Records int
		Bytes   int64
	}
	out := p.davit("builder", "prune", address, "--all", "--output", "json").ok().stdout
	if err := json.Unmarshal([]byte(out), &freed); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if len(freed) != 2 || freed[0].DryRun || freed[0].Records+freed[1].Records == 0 || freed[0].Bytes+freed[1].Bytes == 0 {
		t.Errorf("freed %+v", freed)
	}
	p.davit("builder", "rm", address).ok().says("statefulset.apps/davit-builder deleted")
	p.davit("builder", "ls").ok().saysNot(address)
	p.davit("builder", "rm", address).fails(1).complains("there is no pool " + address)
	pods, err := suite.client.CoreV1().Pods(builders).List(t.Context(), metav1.ListOptions{LabelSelector: "davit.dev/pool"})
	if err != nil || len(pods.Items) != 0 {
		t.Errorf("%d pods of the pool are left (%v)", len(pods.Items), err)
	}
}

// newNamespace is one beside the project's, so that only what is deployed runs there.
func newNamespace(t *testing.T) string {
	t.Helper()
	ns, err := suite.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "builders-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := suite.client.CoreV1().Namespaces().Delete(context.Background(), ns.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	return ns.Name
}

// replica is where a run built.
func replica(t *testing.T, r result) string {
	t.Helper()
	_, after, found := strings.Cut(r.stdout, "building on the replica ")
	if !found {
		t.Fatalf("no replica is named in\n%s", r.stdout)
	}
	return strings.Fields(after)[0]
}

// TestPoolThatCannotBe ends runs before they build: by an address that is wrong, and by what is in a pool's way.
func TestPoolThatCannotBe(t *testing.T) {
	p := newProject(t)
	p.davit("build", "--builder", "kubernetes://"+p.namespace+"?replica=2").complains("replica=2", "no such option", "replicas")
	p.davit("build", "--builder", "kubernetes://nowhere-"+p.namespace).fails(1).complains("nowhere-"+p.namespace, "namespace")
	_, err := suite.client.CoreV1().ConfigMaps(p.namespace).Create(t.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "davit-builder"}, Data: map[string]string{"mine": "yes"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.davit("build", "--builder", "kubernetes://"+p.namespace).fails(1).complains("ConfigMap davit-builder", "not a pool of davit's", "name=")
	left, err := suite.client.CoreV1().ConfigMaps(p.namespace).Get(t.Context(), "davit-builder", metav1.GetOptions{})
	if err != nil || left.Data["mine"] != "yes" || len(left.Data) != 1 {
		t.Errorf("somebody else's ConfigMap was touched: %v %v", left, err)
	}
}

// TestCarriedBuilder looks after the BuildKit inside davit.
func TestCarriedBuilder(t *testing.T) {
	p := newProject(t)
	p.env = []string{"XDG_CACHE_HOME=" + t.TempDir(), "KUBECONFIG=/nowhere"}
	p.davit("builder", "ls").ok().says("docker", "unreachable", "davit *", "stopped")
	p.davit("builder", "rm", "davit").ok().says("does not run")
	p.davit("builder", "inspect").ok().says("Builder:  davit", "Cache:", "0B in 0 records", "linux/amd64", "Clean-up 1")
	p.davit("builder", "ls").ok().says("davit *", "running", "linux/amd64")
	p.davit("builder", "prune", "--keep-storage", "1GB", "--older-than", "1h").ok().says("davit: freed 0B in 0 records")
	p.davit("builder", "rm", "davit").ok().says("is stopped")
	p.davit("builder", "ls").ok().says("davit *", "stopped")
	p.davit("builder", "rm", "docker").fails(2).complains("not davit's to remove")
	p.davit("builder", "prune", "--keep-storage", "much").fails(2).complains("--keep-storage much")
	p.davit("builder", "inspect", "nonsense").fails(2).complains("nonsense", "davit builder ls")
}
