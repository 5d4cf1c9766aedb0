// Package box puts a one-node Kubernetes together, and takes it apart.
//
// A box is two folders: one of state, which outlives a reboot, and one of
// sockets and mounts, which does not. Up makes what is missing in them, starts
// the supervisor and waits until the cluster is of use; Down removes it all
// but the images pushed to the registry. There is one box on a machine.
package box

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/davit-dev/davit/kubebox/internal/host"
)

// NodeName is the name of the one node, of the cluster and of the kubeconfig's context.
const (
	NodeName = "kubebox"
	Context  = "kubebox"
)

// Default folders of a box.
const (
	DefaultState = "/var/lib/kubebox"
	DefaultRun   = "/run/kubebox"
)

// Both locks are the machine's, not a folder's, because there is one box on a machine.
const (
	operationLock  = "/run/kubebox.lock"            // held while a box is brought up or down
	supervisorLock = "/run/kubebox-supervisor.lock" // held by the supervisor; names the folders of its box
)

// Box is where a box has its files.
type Box struct {
	State string
	Run   string
}

// Kubeconfig is the path of the file that gives its reader all rights in the cluster.
func (b Box) Kubeconfig() string { return b.state("kubeconfig") }

// Logs is the folder with a file NAME.log of every component, and of the supervisor.
func (b Box) Logs() string { return b.state("log") }

// Registry is the folder of the images pushed to the registry.
func (b Box) Registry() string { return b.state("registry") }

func (b Box) state(path string) string { return filepath.Join(b.State, path) }
func (b Box) run(path string) string   { return filepath.Join(b.Run, path) }

func (b Box) configFile() string { return b.state("box.json") }
func (b Box) statusFile() string { return b.run("status.json") }
func (b Box) containerd() string { return b.run("containerd.sock") }
func (b Box) etcd() string       { return b.run("etcd.sock") }

// Config is what is chosen when a box is first brought up, and kept as long as it can be.
type Config struct {
	BootID       string       `json:"bootID"` // of the machine's run in which the box was last up
	Pods         netip.Prefix `json:"pods"`
	Services     netip.Prefix `json:"services"`
	APIPort      int          `json:"apiPort"`
	KubeletPort  int          `json:"kubeletPort"`
	DNSPort      int          `json:"dnsPort"`
	RegistryPort int          `json:"registryPort"`
	// These folders were not there before the box, so that they go with it.
	KubeletFolder bool `json:"kubeletFolder"`
	VolumeFolder  bool `json:"volumeFolder"`
}

// Node is the node's address: the first of the pods' range, on the bridge.
func (c Config) Node() netip.Addr { return c.Pods.Addr().Next() }

// APIService is the cluster address of the API server, the first of the services' range.
func (c Config) APIService() netip.Addr { return c.Services.Addr().Next() }

// DNSService is the cluster address of DNS, the tenth of the services' range, as in most clusters.
func (c Config) DNSService() netip.Addr {
	address := c.Services.Addr().As4()
	address[3] = 10
	return netip.AddrFrom4(address)
}

// Server is the API server's address for the machine itself.
func (c Config) Server() string { return fmt.Sprintf("https://127.0.0.1:%d", c.APIPort) }

// RegistryHost is the registry's name in image references, on the machine as in the cluster.
func (c Config) RegistryHost() string { return fmt.Sprintf("localhost:%d", c.RegistryPort) }

// ErrNoBox is returned where there is no box in the folder.
var ErrNoBox = errors.New("there is no box: bring one up with kubebox up")

// Config returns the box's choices, or ErrNoBox.
func (b Box) Config() (Config, error) {
	var c Config
	content, err := os.ReadFile(b.configFile())
	if errors.Is(err, fs.ErrNotExist) {
		return c, ErrNoBox
	}
	if err != nil {
		return c, fmt.Errorf("cannot read the box's settings: %w", err)
	}
	if err := json.Unmarshal(content, &c); err != nil {
		return c, fmt.Errorf("cannot read the box's settings in %s: %w: remove the box with kubebox down", b.configFile(), err)
	}
	return c, nil
}

// choose returns the settings to bring the box up with: those it had, and where it had none or
// somebody else has taken a port meanwhile, the first that are free.
func (b Box) choose() (Config, error) {
	boot, err := host.BootID()
	if err != nil {
		return Config{}, err
	}
	c, err := b.Config()
	if errors.Is(err, ErrNoBox) {
		c = Config{APIPort: 6443, KubeletPort: 10250, DNSPort: 53, RegistryPort: 5000}
		c.KubeletFolder, c.VolumeFolder = absent(kubeletFolder), absent(volumeFolder)
		if c.Pods, err = host.FreePrefix(candidates("10.%d.0.0/24", 244)); err != nil {
			return c, fmt.Errorf("cannot choose addresses for pods: %w", err)
		}
		if c.Services, err = host.FreePrefix(candidates("10.%d.0.0/16", 96)); err != nil {
			return c, fmt.Errorf("cannot choose addresses for services: %w", err)
		}
	} else if err != nil {
		return c, err
	}
	c.BootID = boot
	for _, port := range []struct {
		name      string
		number    *int
		addresses []string
	}{
		{"the API server", &c.APIPort, []string{"0.0.0.0"}},
		{"the kubelet", &c.KubeletPort, []string{"0.0.0.0"}},
		{"DNS", &c.DNSPort, []string{"0.0.0.0"}},
		{"the registry", &c.RegistryPort, host.Loopbacks()},
	} {
		if *port.number, err = host.FreePort(*port.number, port.addresses...); err != nil {
			return c, fmt.Errorf("cannot choose a port for %s: %w", port.name, err)
		}
	}
	return c, nil
}

func absent(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

func candidates(pattern string, first int) []netip.Prefix {
	var prefixes []netip.Prefix
	for i := first; i < first+10; i++ {
		prefixes = append(prefixes, netip.MustParsePrefix(fmt.Sprintf(pattern, i)))
	}
	return prefixes
}

func writeJSON(path string, mode os.FileMode, value any) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return writeFile(path, mode, append(content, '\n'))
}

// writeFile replaces the file at once, so that no reader meets half of it.
func writeFile(path string, mode os.FileMode, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("cannot make the folder of %s: %w", path, err)
	}
	if err := os.WriteFile(path+".new", content, mode); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	return nil
}
