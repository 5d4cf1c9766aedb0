package pool

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/davit-dev/davit/internal/build"
)

func podsNamed(names ...string) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, name := range names {
		pods = append(pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	return pods
}

// homes says on which pod each of many artifacts is built.
func homes(pods []*corev1.Pod) map[string]string {
	all := map[string]string{}
	for i := range 300 {
		artifact := fmt.Sprintf("team/artifact-%d", i)
		byRank(pods, artifact)
		all[artifact] = pods[0].Name
	}
	return all
}

// A replica that goes away moves its own artifacts only, to all others.
func TestReplicasKeepTheirArtifacts(t *testing.T) {
	before := homes(podsNamed("b-0", "b-1", "b-2"))
	after := homes(podsNamed("b-2", "b-0"))
	count := map[string]int{}
	for artifact, home := range before {
		count[home]++
		if home != "b-1" && after[artifact] != home {
			t.Errorf("%s moved from %s to %s, and %s is alive", artifact, home, after[artifact], home)
		}
		if home == "b-1" {
			count["from b-1 to "+after[artifact]]++
		}
	}
	for _, name := range []string{"b-0", "b-1", "b-2"} {
		if count[name] < 70 {
			t.Errorf("%s has only %d of 300 artifacts", name, count[name])
		}
	}
	for _, name := range []string{"b-0", "b-2"} {
		if count["from b-1 to "+name] < 30 {
			t.Errorf("only %d artifacts moved to %s", count["from b-1 to "+name], name)
		}
	}
}

// What an artifact is made of changes with each edit; where it is built does not.
func TestAnEditMovesNothing(t *testing.T) {
	first, second := build.Request{Image: "web", Key: "1"}, build.Request{Image: "web", Key: "2"}
	if artifact(first) != artifact(second) {
		t.Error("an edit moves an artifact")
	}
	if artifact(first) == artifact(build.Request{Image: "api", Key: "1"}) {
		t.Error("all artifacts have the same place")
	}
}

func TestSharedCache(t *testing.T) {
	request := func(image string, push bool, spec build.Docker) build.Request {
		return build.Request{Image: image, Ref: "r.example.com/team/" + image + ":v1", Push: push, Spec: spec}
	}
	long := strings.Repeat("very/long/", 20)
	for name, c := range map[string]struct {
		cache    string
		request  build.Request
		from, to []string
	}{
		"beside the image": {request: request("web", true, build.Docker{}),
			from: []string{"type=registry,ref=r.example.com/team/web:davit-cache"},
			to:   []string{"type=registry,ref=r.example.com/team/web:davit-cache,mode=max,ignore-error=true"}},
		"nowhere, when nothing is pushed": {request: request("web", false, build.Docker{})},
		"off":                             {cache: "off", request: request("web", true, build.Docker{})},
		"a repository for all": {cache: "r.example.com/cache", request: request("team/web", false, build.Docker{}),
			from: []string{"type=registry,ref=r.example.com/cache:team-web-a5cb1ff6"},
			to:   []string{"type=registry,ref=r.example.com/cache:team-web-a5cb1ff6,mode=max,ignore-error=true"}},
		"a long name": {cache: "r.example.com/cache", request: request(long, false, build.Docker{CacheTo: []string{"x"}}),
			from: []string{"type=registry,ref=r.example.com/cache:" + strings.Repeat("very-long-", 10) + "-2190e0f8"}, to: []string{"x"}},
		"with the config's": {request: request("web", true, build.Docker{CacheFrom: []string{"a"}, CacheTo: []string{"b"}}),
			from: []string{"a", "type=registry,ref=r.example.com/team/web:davit-cache"}, to: []string{"b"}},
		"an insecure registry": {request: build.Request{Image: "web", Ref: "r.example.com/web", Push: true, Insecure: []string{"r.example.com"}, Spec: build.Docker{}},
			from: []string{"type=registry,ref=r.example.com/web:davit-cache,registry.insecure=true"},
			to:   []string{"type=registry,ref=r.example.com/web:davit-cache,registry.insecure=true,mode=max,ignore-error=true"}},
	} {
		spec := Options{Cache: c.cache}.withCache(c.request).Spec.(build.Docker)
		if !slices.Equal(spec.CacheFrom, c.from) || !slices.Equal(spec.CacheTo, c.to) {
			t.Errorf("%s: from %q to %q, want from %q to %q", name, spec.CacheFrom, spec.CacheTo, c.from, c.to)
		}
	}
}

func TestRegistriesOutOfReach(t *testing.T) {
	b := &Builder{options: Options{Namespace: "builders", Name: DefaultName}}
	for ref, out := range map[string]bool{"localhost:5000/web": true, "127.0.0.1:5000/web": true, "r.example.com/web": false, "web": false} {
		err := b.reaches(build.Request{Ref: ref, Push: true})
		if (err != nil) != out {
			t.Errorf("%s: %v", ref, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "network=host") || !strings.Contains(err.Error(), "kubernetes://builders")) {
			t.Errorf("%s: no next step in %v", ref, err)
		}
	}
	b.options.HostNetwork = true
	if err := b.reaches(build.Request{Ref: "localhost:5000/web", Push: true}); err != nil {
		t.Error(err)
	}
}

func statefulSetOf(t *testing.T, address string) *appsv1.StatefulSet {
	t.Helper()
	o, err := Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := o.objects()
	if err != nil {
		t.Fatal(err)
	}
	set := &appsv1.StatefulSet{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(objects[1].Object, set, true); err != nil {
		t.Fatal(err)
	}
	return set
}

// A pod has no rights that it does not need: nothing of the cluster, no port, and without root where that is asked for.
func TestPodHasFewRights(t *testing.T) {
	pod := statefulSetOf(t, "kubernetes://b?rootless=true").Spec.Template.Spec
	c := pod.Containers[0]
	if s := c.SecurityContext; s.Privileged != nil || *s.RunAsUser != 1000 || s.Capabilities != nil {
		t.Errorf("a rootless replica has %+v", s)
	}
	if *pod.AutomountServiceAccountToken || len(c.Ports) != 0 || pod.HostNetwork {
		t.Errorf("a token of the cluster, ports or the node's network: %+v", pod)
	}
	if args := strings.Join(c.Args, " "); !strings.Contains(args, "--addr unix:///run/user/1000/") || strings.Contains(args, "tcp://") {
		t.Errorf("it listens elsewhere than at its own socket: %s", args)
	}
	if s := statefulSetOf(t, "kubernetes://b").Spec.Template.Spec.Containers[0].SecurityContext; !*s.Privileged {
		t.Errorf("a replica with root has %+v", s)
	}
}

func TestStorage(t *testing.T) {
	set := statefulSetOf(t, "kubernetes://b?storage=10Gi").Spec
	if len(set.VolumeClaimTemplates) != 1 || set.PersistentVolumeClaimRetentionPolicy.WhenDeleted != "Delete" {
		t.Errorf("volumes that stay: %+v", set)
	}
	if set = statefulSetOf(t, "kubernetes://b").Spec; len(set.VolumeClaimTemplates) != 0 || set.Template.Spec.Volumes[1].EmptyDir == nil {
		t.Errorf("want the node's disk, have %+v", set.Template.Spec.Volumes)
	}
}

// Another configuration is another pod template: BuildKit reads it when it starts.
func TestConfigurationRestartsReplicas(t *testing.T) {
	template := func(address string) string {
		return statefulSetOf(t, address).Spec.Template.Annotations[annotationConfig]
	}
	if template("kubernetes://b") == template("kubernetes://b?keep=5GB") {
		t.Error("another bound of the cache changes nothing")
	}
	o, err := Parse("kubernetes://b?keep=5GB&insecure=r.example.com:5000")
	if err != nil {
		t.Fatal(err)
	}
	want := "[worker.oci]\ngc = true\nmaxUsedSpace = \"5GB\"\n[registry.\"r.example.com:5000\"]\nhttp = true\ninsecure = true\n"
	if o.config() != want {
		t.Errorf("the configuration is\n%swant\n%s", o.config(), want)
	}
}
