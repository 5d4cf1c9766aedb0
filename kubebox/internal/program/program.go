// Package program names the programs that the kubebox binary can be, by the name it is called under. It
// is apart from them so that who only names one does not link Kubernetes.
package program

const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kubelet           = "kubelet"
	Proxy             = "kube-proxy"
	DNS               = "coredns"
	Registry          = "registry"
	Kubectl           = "kubectl"
	Supervisor        = "kubebox-supervisor" // its arguments are the folders of the box, of state and of sockets
)
