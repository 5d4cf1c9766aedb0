package box

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/davit-dev/davit/kubebox/internal/host"
	"github.com/davit-dev/davit/kubebox/internal/program"
	"github.com/davit-dev/davit/kubebox/internal/supervise"
)

// self is the running program even if its file has been replaced or removed meanwhile.
const self = "/proc/self/exe"

// components returns what the supervisor keeps running.
func (b Box) components(c Config) ([]supervise.Component, error) {
	containerd, err := host.Find("containerd")
	if err != nil {
		return nil, err
	}
	list := []supervise.Component{
		b.etcdComponent(), b.registryComponent(c),
		{
			Name: "containerd", Path: containerd,
			Args:  []string{"containerd", "--config", b.state("containerd.toml"), "--log-level", "warn"},
			Ready: b.importPause,
		},
		b.apiServerComponent(c),
	}
	for _, dependent := range []supervise.Component{
		b.controllerManagerComponent(c), b.schedulerComponent(), b.kubeletComponent(c), b.proxyComponent(c), b.dnsComponent(),
	} {
		dependent.After = append(dependent.After, program.APIServer)
		list = append(list, dependent)
	}
	return list, nil
}

// ComponentNames are the names that have a log, the supervisor's included.
func ComponentNames() []string {
	return []string{
		program.Etcd, program.Registry, "containerd", program.APIServer, program.ControllerManager,
		program.Scheduler, program.Kubelet, program.Proxy, program.DNS, supervisorName,
	}
}

func own(name string, flags ...string) supervise.Component {
	return supervise.Component{Name: name, Path: self, Args: append([]string{name}, flags...)}
}

func (b Box) etcdComponent() supervise.Component {
	etcd := own(program.Etcd, "--data-dir="+b.state("etcd"), "--socket="+b.etcd())
	etcd.Ready = func(context.Context) error { return host.AwaitSocket(b.etcd()) }
	return etcd
}

func (b Box) registryComponent(c Config) supervise.Component {
	var listen []string
	for _, address := range host.Loopbacks() {
		if strings.Contains(address, ":") {
			address = "[" + address + "]"
		}
		listen = append(listen, fmt.Sprintf("%s:%d", address, c.RegistryPort))
	}
	return own(program.Registry, "--dir="+b.Registry(), "--listen="+strings.Join(listen, ","))
}

func (b Box) apiServerComponent(c Config) supervise.Component {
	server := own(program.APIServer,
		"--etcd-servers=unix://"+b.etcd(),
		"--bind-address=0.0.0.0",
		fmt.Sprintf("--secure-port=%d", c.APIPort),
		"--advertise-address="+c.Node().String(),
		"--service-cluster-ip-range="+c.Services.String(),
		"--tls-cert-file="+b.pki("apiserver.crt"),
		"--tls-private-key-file="+b.pki("apiserver.key"),
		"--client-ca-file="+b.pki("ca.crt"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file="+b.pki("service-accounts.key"),
		"--service-account-signing-key-file="+b.pki("service-accounts.key"),
		"--kubelet-client-certificate="+b.pki("apiserver-kubelet.crt"),
		"--kubelet-client-key="+b.pki("apiserver-kubelet.key"),
		"--kubelet-certificate-authority="+b.pki("ca.crt"),
		"--kubelet-preferred-address-types=InternalIP",
		"--requestheader-client-ca-file="+b.pki("front-ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file="+b.pki("front.crt"),
		"--proxy-client-key-file="+b.pki("front.key"),
		"--profiling=false",
	)
	server.After = []string{program.Etcd}
	server.Ready = b.apiReady
	return server
}

func (b Box) controllerManagerComponent(c Config) supervise.Component {
	return own(program.ControllerManager,
		"--kubeconfig="+b.kubeconfig("controller-manager"),
		"--leader-elect=false",
		"--secure-port=0",
		"--use-service-account-credentials",
		"--service-account-private-key-file="+b.pki("service-accounts.key"),
		"--root-ca-file="+b.pki("ca.crt"),
		"--cluster-signing-cert-file="+b.pki("ca.crt"),
		"--cluster-signing-key-file="+b.pki("ca.key"),
		"--service-cluster-ip-range="+c.Services.String(),
		"--allocate-node-cidrs",
		"--cluster-cidr="+c.Pods.String(),
		"--node-cidr-mask-size="+fmt.Sprint(c.Pods.Bits()),
		"--enable-hostpath-provisioner",
		"--kube-api-qps=100", "--kube-api-burst=200",
	)
}

func (b Box) schedulerComponent() supervise.Component {
	return own(program.Scheduler,
		"--kubeconfig="+b.kubeconfig("scheduler"),
		"--leader-elect=false",
		"--secure-port=0",
		"--kube-api-qps=100", "--kube-api-burst=200",
	)
}

func (b Box) kubeletComponent(c Config) supervise.Component {
	kubelet := own(program.Kubelet,
		"--config="+b.state("kubelet.json"),
		"--kubeconfig="+b.kubeconfig("kubelet"),
		"--root-dir="+b.state("kubelet"),
		"--hostname-override="+NodeName,
		"--node-ip="+c.Node().String(),
	)
	kubelet.After = []string{"containerd"}
	return kubelet
}

func (b Box) proxyComponent(c Config) supervise.Component {
	return own(program.Proxy,
		"--kubeconfig="+b.kubeconfig("proxy"),
		"--hostname-override="+NodeName,
		"--cluster-cidr="+c.Pods.String(),
		"--proxy-mode=iptables",
		"--conntrack-max-per-core=0", // the machine's own setting stays
		"--metrics-bind-address="+c.Node().String()+":10249",
		"--healthz-bind-address="+c.Node().String()+":10256",
	)
}

func (b Box) dnsComponent() supervise.Component {
	return own(program.DNS, "--conf="+b.state("Corefile"))
}

// importPause gives containerd the image that every pod begins with.
func (b Box) importPause(ctx context.Context) error {
	if err := host.AwaitSocket(b.containerd()); err != nil {
		return err
	}
	ctr, err := host.Find("ctr")
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, ctr, "--address", b.containerd(), "--namespace", "k8s.io",
		"images", "import", b.pauseArchive()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("cannot import the pause image: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// client returns a client with all rights.
func (b Box) client() (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", b.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("cannot read the kubeconfig: %w", err)
	}
	config.QPS, config.Burst = 100, 100
	return kubernetes.NewForConfig(config)
}

func (b Box) apiReady(ctx context.Context) error {
	client, err := b.client()
	if err != nil {
		return err
	}
	var status int
	client.RESTClient().Get().AbsPath("/readyz").Do(ctx).StatusCode(&status)
	if status != http.StatusOK {
		return errors.New("the API server is not ready")
	}
	return nil
}
