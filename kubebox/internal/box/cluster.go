package box

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	core "k8s.io/client-go/applyconfigurations/core/v1"
	discovery "k8s.io/client-go/applyconfigurations/discovery/v1"
	rbac "k8s.io/client-go/applyconfigurations/rbac/v1"
	storage "k8s.io/client-go/applyconfigurations/storage/v1"
	"k8s.io/client-go/kubernetes"
)

// prepare puts into the cluster what a box has beside Kubernetes itself. It may be called again.
func (b Box) prepare(ctx context.Context, client kubernetes.Interface, c Config) error {
	for _, step := range []func(context.Context, kubernetes.Interface, Config) error{
		applyDNS, applyRegistryNotice, applyStorageClass,
	} {
		if err := step(ctx, client, c); err != nil {
			return err
		}
	}
	return nil
}

var applied = metav1.ApplyOptions{FieldManager: "kubebox", Force: true}

// applyDNS gives CoreDNS, which runs on the node and not in a pod, its Service and its rights.
func applyDNS(ctx context.Context, client kubernetes.Interface, c Config) error {
	const name = "kube-dns"
	service := core.Service(name, metav1.NamespaceSystem).WithSpec(core.ServiceSpec().
		WithClusterIP(c.DNSService().String()).
		WithPorts(
			core.ServicePort().WithName("dns").WithProtocol(corev1.ProtocolUDP).WithPort(53).WithTargetPort(intstr.FromInt(c.DNSPort)),
			core.ServicePort().WithName("dns-tcp").WithProtocol(corev1.ProtocolTCP).WithPort(53).WithTargetPort(intstr.FromInt(c.DNSPort)),
		))
	if _, err := client.CoreV1().Services(metav1.NamespaceSystem).Apply(ctx, service, applied); err != nil {
		return fmt.Errorf("cannot make the DNS service: %w", err)
	}
	slice := discovery.EndpointSlice(name, metav1.NamespaceSystem).
		WithLabels(map[string]string{discoveryv1.LabelServiceName: name, discoveryv1.LabelManagedBy: "kubebox"}).
		WithAddressType(discoveryv1.AddressTypeIPv4).
		WithEndpoints(discovery.Endpoint().WithAddresses(c.Node().String())).
		WithPorts(
			discovery.EndpointPort().WithName("dns").WithProtocol(corev1.ProtocolUDP).WithPort(int32(c.DNSPort)),
			discovery.EndpointPort().WithName("dns-tcp").WithProtocol(corev1.ProtocolTCP).WithPort(int32(c.DNSPort)),
		)
	if _, err := client.DiscoveryV1().EndpointSlices(metav1.NamespaceSystem).Apply(ctx, slice, applied); err != nil {
		return fmt.Errorf("cannot make the endpoints of the DNS service: %w", err)
	}
	const role = "system:coredns"
	rights := rbac.ClusterRole(role).WithRules(
		rbac.PolicyRule().WithAPIGroups("").WithResources("namespaces", "services", "pods").WithVerbs("list", "watch"),
		rbac.PolicyRule().WithAPIGroups("discovery.k8s.io").WithResources("endpointslices").WithVerbs("list", "watch"),
	)
	if _, err := client.RbacV1().ClusterRoles().Apply(ctx, rights, applied); err != nil {
		return fmt.Errorf("cannot make the role of CoreDNS: %w", err)
	}
	binding := rbac.ClusterRoleBinding(role).
		WithRoleRef(rbac.RoleRef().WithAPIGroup("rbac.authorization.k8s.io").WithKind("ClusterRole").WithName(role)).
		WithSubjects(rbac.Subject().WithAPIGroup("rbac.authorization.k8s.io").WithKind("User").WithName(role))
	if _, err := client.RbacV1().ClusterRoleBindings().Apply(ctx, binding, applied); err != nil {
		return fmt.Errorf("cannot give CoreDNS its role: %w", err)
	}
	return nil
}

// applyRegistryNotice says where the local registry is, as KEP-1755 has it, to everybody who may talk to the cluster.
func applyRegistryNotice(ctx context.Context, client kubernetes.Interface, c Config) error {
	const name, reader = "local-registry-hosting", "kubebox:local-registry-hosting"
	notice := core.ConfigMap(name, metav1.NamespacePublic).WithData(map[string]string{
		"localRegistryHosting.v1": fmt.Sprintf("host: %q\nhelp: \"https://github.com/davit-dev/davit/tree/main/kubebox\"\n", c.RegistryHost()),
	})
	if _, err := client.CoreV1().ConfigMaps(metav1.NamespacePublic).Apply(ctx, notice, applied); err != nil {
		return fmt.Errorf("cannot advertise the registry: %w", err)
	}
	role := rbac.Role(reader, metav1.NamespacePublic).WithRules(rbac.PolicyRule().
		WithAPIGroups("").WithResources("configmaps").WithResourceNames(name).WithVerbs("get"))
	if _, err := client.RbacV1().Roles(metav1.NamespacePublic).Apply(ctx, role, applied); err != nil {
		return fmt.Errorf("cannot make the role of the registry's readers: %w", err)
	}
	binding := rbac.RoleBinding(reader, metav1.NamespacePublic).
		WithRoleRef(rbac.RoleRef().WithAPIGroup("rbac.authorization.k8s.io").WithKind("Role").WithName(reader)).
		WithSubjects(rbac.Subject().WithAPIGroup("rbac.authorization.k8s.io").WithKind("Group").WithName("system:authenticated"))
	if _, err := client.RbacV1().RoleBindings(metav1.NamespacePublic).Apply(ctx, binding, applied); err != nil {
		return fmt.Errorf("cannot let everybody read where the registry is: %w", err)
	}
	return nil
}

// applyStorageClass lets claims be filled with folders of the machine, by the controller manager's own provisioner.
func applyStorageClass(ctx context.Context, client kubernetes.Interface, _ Config) error {
	class := storage.StorageClass("standard").
		WithAnnotations(map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}).
		WithProvisioner("kubernetes.io/host-path").
		WithReclaimPolicy(corev1.PersistentVolumeReclaimDelete).
		WithVolumeBindingMode(storagev1.VolumeBindingImmediate)
	if _, err := client.StorageV1().StorageClasses().Apply(ctx, class, applied); err != nil {
		return fmt.Errorf("cannot make the storage class: %w", err)
	}
	return nil
}

// nodeReady returns nil when pods may be put on the node.
func nodeReady(ctx context.Context, client kubernetes.Interface) error {
	node, err := client.CoreV1().Nodes().Get(ctx, NodeName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("the node has not registered: %w", err)
	}
	for _, taint := range node.Spec.Taints {
		if taint.Key == corev1.TaintNodeNotReady || taint.Key == corev1.TaintNodeUnreachable {
			return fmt.Errorf("the node is marked %s", taint.Key)
		}
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			if condition.Status == corev1.ConditionTrue {
				return nil
			}
			return fmt.Errorf("the node is not ready: %s: %s", condition.Reason, condition.Message)
		}
	}
	return errors.New("the node has not reported its state")
}

func defaultAccount(ctx context.Context, client kubernetes.Interface) error {
	_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
	return err
}

// dnsAnswers asks for a name of the cluster at the address that pods use, and so tries kube-proxy too.
func dnsAnswers(ctx context.Context, c Config) error {
	const name = "kubernetes.default.svc.cluster.local."
	question := new(dns.Msg).SetQuestion(name, dns.TypeA)
	server := netip.AddrPortFrom(c.DNSService(), 53).String()
	answer, _, err := new(dns.Client).ExchangeContext(ctx, question, server)
	if err != nil {
		return fmt.Errorf("DNS does not answer at %s: %w", server, err)
	}
	for _, record := range answer.Answer {
		if a, ok := record.(*dns.A); ok && a.A.Equal(c.APIService().AsSlice()) {
			return nil
		}
	}
	return fmt.Errorf("DNS at %s does not know %s", server, name)
}
