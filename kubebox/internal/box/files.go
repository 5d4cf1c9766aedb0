package box

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/miekg/dns"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/davit-dev/davit/kubebox/internal/host"
	"github.com/davit-dev/davit/kubebox/internal/image"
)

// writeFiles writes the settings of every component.
func (b Box) writeFiles(c Config) error {
	for _, write := range []func(Config) error{
		b.writePKI, b.writeKubeconfigs, b.writeContainerd, b.writeNetwork, b.writeKubelet, b.writeCorefile, b.writePause,
	} {
		if err := write(c); err != nil {
			return err
		}
	}
	return nil
}

func (b Box) pki(name string) string { return b.state("pki/" + name) }

// kubeconfig is the file with which a component talks to the API server.
func (b Box) kubeconfig(component string) string { return b.pki(component + ".kubeconfig") }

func (b Box) writeKubeconfigs(c Config) error {
	for _, name := range []string{"controller-manager", "scheduler", "proxy", "dns", "kubelet"} {
		if err := b.writeKubeconfig(c, b.kubeconfig(name), name); err != nil {
			return err
		}
	}
	return b.writeKubeconfig(c, b.Kubeconfig(), "admin")
}

func (b Box) writeKubeconfig(c Config, path, name string) error {
	var content [3][]byte
	for i, file := range []string{"ca.crt", name + ".crt", name + ".key"} {
		var err error
		if content[i], err = os.ReadFile(b.pki(file)); err != nil {
			return fmt.Errorf("cannot read a certificate: %w", err)
		}
	}
	config := clientcmdapi.NewConfig()
	config.CurrentContext = Context
	config.Contexts[Context] = &clientcmdapi.Context{Cluster: Context, AuthInfo: Context}
	config.Clusters[Context] = &clientcmdapi.Cluster{Server: c.Server(), CertificateAuthorityData: content[0]}
	config.AuthInfos[Context] = &clientcmdapi.AuthInfo{ClientCertificateData: content[1], ClientKeyData: content[2]}
	encoded, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return writeFile(path, 0o600, encoded)
}

func (b Box) writeContainerd(Config) error {
	plugins, err := host.Plugins()
	if err != nil {
		return err
	}
	snapshotter := "overlayfs"
	if host.OnOverlay(b.State) {
		snapshotter = "native"
	}
	// Without the capability every container would fail to start, because runc may not do as told.
	restrict := !host.MayRaisePriority()
	settings := fmt.Sprintf(`version = 2
root = %[1]q
state = %[2]q
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = %[3]q

[plugins."io.containerd.internal.v1.opt"]
  path = %[4]q

[plugins."io.containerd.nri.v1.nri"]
  disable = true

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[5]q
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = %[6]t

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = %[7]q
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = %[8]q

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %[9]q
    conf_dir = %[10]q
`, b.state("containerd"), b.run("containerd"), b.containerd(), b.state("containerd-opt"), image.PauseName,
		restrict, snapshotter, b.run("runc"), plugins, b.state("cni"))
	return writeFile(b.state("containerd.toml"), 0o644, []byte(settings))
}

func (b Box) writeNetwork(c Config) error {
	return writeJSON(b.state("cni/10-kubebox.conflist"), 0o644, map[string]any{
		"cniVersion": "0.4.0",
		"name":       host.Bridge,
		"plugins": []any{
			map[string]any{
				"type": "bridge", "bridge": host.Bridge, "isGateway": true, "hairpinMode": true,
				"ipam": map[string]any{
					"type": "host-local", "dataDir": b.run("addresses"),
					"ranges": []any{[]any{map[string]any{"subnet": c.Pods.String()}}},
					"routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
				},
			},
			map[string]any{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}},
		},
	})
}

func (b Box) writeKubelet(c Config) error {
	return writeJSON(b.state("kubelet.json"), 0o644, map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false},
			"webhook":   map[string]any{"enabled": true},
			"x509":      map[string]any{"clientCAFile": b.pki("ca.crt")},
		},
		"authorization":            map[string]any{"mode": "Webhook"},
		"address":                  c.Node(),
		"port":                     c.KubeletPort,
		"healthzPort":              0,
		"tlsCertFile":              b.pki("kubelet.crt"),
		"tlsPrivateKeyFile":        b.pki("kubelet.key"),
		"containerRuntimeEndpoint": "unix://" + b.containerd(),
		"podLogsDir":               b.state("pod-logs"),
		"volumePluginDir":          b.state("volume-plugins"),
		"resolvConf":               resolvers(),
		"clusterDNS":               []any{c.DNSService()},
		"clusterDomain":            "cluster.local",
		"cgroupDriver":             "cgroupfs",
		"cgroupRoot":               "/" + host.Cgroup,
		"failCgroupV1":             false,
		"failSwapOn":               false,
		"serializeImagePulls":      false,
		"registerNode":             true,
		// A developer's disk is often nearly full; pods must not be thrown out for that.
		"evictionHard": map[string]string{
			"memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%",
			"imagefs.available": "0%", "imagefs.inodesFree": "0%",
		},
		"imageGCHighThresholdPercent": 100,
		"imageGCLowThresholdPercent":  99,
	})
}

// resolvers is the file with the machine's own name servers. The stub of systemd-resolved listens on
// a loopback address, which means nothing in a pod.
func resolvers() string {
	const behindStub = "/run/systemd/resolve/resolv.conf"
	if _, err := os.Stat(behindStub); err == nil {
		return behindStub
	}
	return "/etc/resolv.conf"
}

func (b Box) writeCorefile(c Config) error {
	forward := ""
	if config, err := dns.ClientConfigFromFile(resolvers()); err == nil && len(config.Servers) > 0 {
		forward = "forward . " + resolvers()
	}
	// Answers about the cluster are not cached: they are at hand, and a Service just made should be found.
	corefile := fmt.Sprintf(`.:%d {
    bind %s
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig %s %s
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 5
    }
    cache 30 {
        disable success cluster.local
        disable denial cluster.local
    }
    %s
}
`, c.DNSPort, c.Node(), b.kubeconfig("dns"), Context, forward)
	return writeFile(b.state("Corefile"), 0o644, []byte(corefile))
}

func (b Box) pauseArchive() string { return b.state("pause.tar") }

func (b Box) writePause(Config) error {
	pause, err := image.Pause(runtime.GOARCH)
	if err != nil {
		return err
	}
	var archive strings.Builder
	if err := pause.WriteArchive(&archive, image.PauseName); err != nil {
		return err
	}
	return writeFile(b.pauseArchive(), 0o644, []byte(archive.String()))
}

func (b Box) makeFolders() error {
	for _, dir := range []struct {
		path string
		mode os.FileMode
	}{
		{b.State, 0o755}, {b.Run, 0o755}, {b.Logs(), 0o755}, {b.state("pki"), 0o700},
		{b.state("etcd"), 0o700}, {b.state("kubelet"), 0o750}, {b.Registry(), 0o755},
	} {
		if err := os.MkdirAll(filepath.Clean(dir.path), dir.mode); err != nil {
			return fmt.Errorf("cannot make the box's folders: %w", err)
		}
	}
	return nil
}
