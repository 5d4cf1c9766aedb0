package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/moby/api/types/network"
	docker "github.com/moby/moby/client"

	"github.com/davit-dev/davit/internal/engine"
)

// MinikubeHome is minikube's folder. home is the user's home folder.
func MinikubeHome(getenv func(string) string, home string) string {
	dir := getenv("MINIKUBE_HOME")
	if dir == "" {
		dir = home
	}
	if filepath.Base(dir) == ".minikube" {
		return dir
	}
	return filepath.Join(dir, ".minikube")
}

// Profiles reads minikube's clusters from its folder; there are none where minikube never was. A profile that cannot be read is left out.
func Profiles(minikubeHome string) ([]Profile, error) {
	entries, err := os.ReadDir(filepath.Join(minikubeHome, "profiles"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for minikube's clusters: %w", err)
	}
	var profiles []Profile
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(minikubeHome, "profiles", e.Name(), "config.json"))
		if err != nil {
			continue
		}
		var c struct {
			Name, Driver     string
			KubernetesConfig struct{ ContainerRuntime string }
			Nodes            []struct {
				IP   string
				Port int
			}
		}
		if json.Unmarshal(data, &c) != nil {
			continue
		}
		p := Profile{Name: c.Name, Driver: c.Driver, Runtime: c.KubernetesConfig.ContainerRuntime}
		for _, n := range c.Nodes {
			p.Nodes = append(p.Nodes, Node(n))
		}
		profiles = append(profiles, p)
	}
	return profiles, nil
}

// MinikubeDocker finds the Docker Engine inside of minikube's cluster.
type MinikubeDocker struct {
	Home   string          // see MinikubeHome
	Docker engine.Endpoint // the machine's own
	// Run runs minikube's program and gives its stdout, for drivers that davit knows nothing of; nil or exec.ErrNotFound without one.
	Run func(ctx context.Context, args ...string) ([]byte, error)
}

// minikubePort is the port of the Docker Engine in minikube's nodes.
const minikubePort = "2376"

// Environ gives the variables that lead the docker command, and davit, to the Docker Engine of a profile: DOCKER_HOST, DOCKER_CERT_PATH,
// DOCKER_TLS_VERIFY and MINIKUBE_ACTIVE_DOCKERD. There are none when it is the machine's own, or when the cluster runs no Docker.
func (m MinikubeDocker) Environ(ctx context.Context, p Profile) ([]string, error) {
	if !p.runsDocker() || p.Driver == "none" {
		return nil, nil
	}
	address, err := m.address(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("looking for the Docker Engine of minikube's profile %s: %w", p.Name, err)
	}
	if address == "" {
		return m.ask(ctx, p)
	}
	return []string{
		"DOCKER_HOST=tcp://" + address, "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=" + filepath.Join(m.Home, "certs"),
		"MINIKUBE_ACTIVE_DOCKERD=" + p.Name,
	}, nil
}

// address is the host and port of the Engine, "" when only minikube knows.
func (m MinikubeDocker) address(ctx context.Context, p Profile) (string, error) {
	switch p.Driver {
	case "", "podman", "ssh", "generic", "qemu", "qemu2":
		return "", nil
	case "docker":
		return m.published(ctx, p)
	default:
		if len(p.Nodes) == 0 || p.Nodes[0].IP == "" {
			return "", nil
		}
		return net.JoinHostPort(p.Nodes[0].IP, minikubePort), nil
	}
}

// published is where the port of a node that is a container is published on this machine.
func (m MinikubeDocker) published(ctx context.Context, p Profile) (string, error) {
	client, err := engine.Open(m.Docker)
	if err != nil {
		return "", err
	}
	defer client.Close()
	node, err := client.ContainerInspect(ctx, p.Name, docker.ContainerInspectOptions{})
	if err != nil {
		return "", fmt.Errorf("%w; start it: minikube start -p %s", err, p.Name)
	}
	bindings := node.Container.NetworkSettings.Ports[network.MustParsePort(minikubePort+"/tcp")]
	if len(bindings) == 0 {
		return "", fmt.Errorf("its node publishes no port %s; start it: minikube start -p %s", minikubePort, p.Name)
	}
	host := "127.0.0.1"
	if u, err := url.Parse(m.Docker.Host); err == nil && u.Scheme == "tcp" {
		host = u.Hostname()
	} else if ip := bindings[0].HostIP; ip.IsValid() && ip != netip.IPv4Unspecified() {
		host = ip.String()
	}
	return net.JoinHostPort(host, bindings[0].HostPort), nil
}

// ask asks minikube's program.
func (m MinikubeDocker) ask(ctx context.Context, p Profile) ([]string, error) {
	fail := func(err error) error {
		return fmt.Errorf("asking minikube for the Docker Engine of its profile %s: %w; is minikube installed and the cluster up? minikube status -p %s", p.Name, err, p.Name)
	}
	if m.Run == nil {
		return nil, fail(errors.New("there is no minikube"))
	}
	out, err := m.Run(ctx, "docker-env", "--shell", "none", "-p", p.Name)
	if err != nil {
		return nil, fail(err)
	}
	var environ []string
	for line := range strings.Lines(string(out)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && value != "" && !strings.HasPrefix(name, "#") {
			environ = append(environ, name+"="+value)
		}
	}
	return environ, nil
}
