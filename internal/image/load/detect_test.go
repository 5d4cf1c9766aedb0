package load_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/image/load"
)

func TestDetect(t *testing.T) {
	docker := load.Profile{Name: "minikube", Driver: "kvm2", Runtime: "docker", Nodes: []load.Node{{IP: "192.168.39.2", Port: 8443}}}
	containerd := load.Profile{Name: "dev", Driver: "docker", Runtime: "containerd", Nodes: []load.Node{{IP: "192.168.49.2", Port: 8443}}}
	for _, c := range []struct {
		name  string
		facts load.Facts
		want  load.Cluster
		why   string
	}{
		{"no cluster", load.Facts{}, load.Cluster{Kind: load.Remote, Push: true}, "there is no kube context"},
		{"a cluster elsewhere", load.Facts{Context: "prod", Cluster: "prod"}, load.Cluster{Kind: load.Remote, Push: true}, "none of a local cluster"},
		{"kind", load.Facts{Context: "kind-dev", Cluster: "kind-dev"}, load.Cluster{Kind: load.KinD, Name: "dev", Local: true, Load: true}, "the kube context is kind-dev"},
		{"kind of old", load.Facts{Context: "dev@kind", Cluster: "dev@kind"}, load.Cluster{Kind: load.KinD, Name: "dev", Local: true, Load: true}, "dev@kind"},
		{
			"kind that does not load", load.Facts{Context: "kind-dev", Cluster: "kind-dev", KindDisableLoad: new(true)},
			load.Cluster{Kind: load.KinD, Name: "dev", Local: true, Push: true}, "kind-disable-load is true",
		},
		{
			"kind that is called remote", load.Facts{Context: "kind-dev", Cluster: "kind-dev", LocalCluster: new(false)},
			load.Cluster{Kind: load.Remote, Push: true}, "local-cluster is false",
		},
		{"k3d", load.Facts{Context: "k3d-dev", Cluster: "k3d-dev", KindDisableLoad: new(true)}, load.Cluster{Kind: load.K3d, Name: "dev", Local: true, Load: true}, "k3d-dev"},
		{
			"k3d that does not load", load.Facts{Context: "k3d-dev", Cluster: "k3d-dev", K3dDisableLoad: new(true)},
			load.Cluster{Kind: load.K3d, Name: "dev", Local: true, Push: true}, "k3d-disable-load is true",
		},
		{"Docker Desktop", load.Facts{Context: "docker-desktop"}, load.Cluster{Kind: load.Shared, Local: true}, "docker-desktop"},
		{"called local", load.Facts{Context: "colima", LocalCluster: new(true)}, load.Cluster{Kind: load.Shared, Local: true}, "local-cluster is true"},
		{"not called local", load.Facts{Context: "colima"}, load.Cluster{Kind: load.Remote, Push: true}, "davit config set local-cluster true"},
		{
			"minikube", load.Facts{Context: "minikube", Profiles: []load.Profile{containerd, docker}},
			load.Cluster{Kind: load.Minikube, Name: "minikube", Local: true, Profile: docker}, "minikube",
		},
		{
			"a minikube that nothing is known of", load.Facts{Context: "minikube"},
			load.Cluster{Kind: load.Minikube, Name: "minikube", Local: true, Profile: load.Profile{Name: "minikube"}}, "minikube",
		},
		{
			"minikube by its certificate", load.Facts{Context: "dev", DetectMinikube: true, MinikubeHome: "/home/me/.minikube", Authority: "/home/me/.minikube/ca.crt", Profiles: []load.Profile{containerd}},
			load.Cluster{Kind: load.Minikube, Name: "dev", Local: true, Load: true, Profile: containerd}, "its certificate",
		},
		{
			"minikube by its node", load.Facts{Context: "dev", DetectMinikube: true, Server: "https://192.168.49.2:8443", Profiles: []load.Profile{containerd}},
			load.Cluster{Kind: load.Minikube, Name: "dev", Local: true, Load: true, Profile: containerd}, "its server",
		},
		{
			"minikube not looked for", load.Facts{Context: "dev", Server: "https://192.168.49.2:8443", Profiles: []load.Profile{containerd}},
			load.Cluster{Kind: load.Remote, Push: true}, "none of a local cluster",
		},
		{
			"a profile by flag", load.Facts{Context: "prod", MinikubeProfile: "dev", LocalCluster: new(false), Profiles: []load.Profile{containerd}},
			load.Cluster{Kind: load.Minikube, Name: "dev", Local: true, Load: true, Profile: containerd}, "--minikube-profile is dev",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, why := load.Detect(c.facts)
			if !reflect.DeepEqual(got, c.want) || !strings.Contains(why, c.why) {
				t.Errorf("got %+v because %s\nwant %+v because %s", got, why, c.want, c.why)
			}
		})
	}
}

func TestProfiles(t *testing.T) {
	home := t.TempDir()
	getenv := func(string) string { return "" }
	if got := load.MinikubeHome(getenv, home); got != filepath.Join(home, ".minikube") {
		t.Errorf("home %s", got)
	}
	if got := load.MinikubeHome(func(string) string { return home }, "/elsewhere"); got != filepath.Join(home, ".minikube") {
		t.Errorf("home by MINIKUBE_HOME %s", got)
	}
	if got, err := load.Profiles(filepath.Join(home, ".minikube")); got != nil || err != nil {
		t.Errorf("profiles %v, error %v", got, err)
	}
	// As minikube v1.34 writes it, less what does not matter.
	const config = `{"Name": "dev", "Driver": "docker", "KubernetesConfig": {"ContainerRuntime": "containerd"},
		"Nodes": [{"Name": "", "IP": "192.168.49.2", "Port": 8443, "ControlPlane": true, "Worker": true}]}`
	for name, text := range map[string]string{"dev": config, "broken": "{"} {
		dir := filepath.Join(home, ".minikube", "profiles", name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := load.Profiles(filepath.Join(home, ".minikube"))
	want := []load.Profile{{Name: "dev", Driver: "docker", Runtime: "containerd", Nodes: []load.Node{{IP: "192.168.49.2", Port: 8443}}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("profiles %+v, error %v", got, err)
	}
}
