package host

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// RaiseBridge makes the box's bridge, gives it the node's address (the first of
// pods) and routes the services' range to it, so that the machine itself
// reaches Services even where it has no default route. It may be called again.
func RaiseBridge(pods, services netip.Prefix) error {
	link, err := netlink.LinkByName(Bridge)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		link = &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: Bridge}}
		if err := netlink.LinkAdd(link); err != nil {
			return fmt.Errorf("cannot make the bridge %s: %w", Bridge, err)
		}
	} else if err != nil {
		return fmt.Errorf("cannot look for the bridge %s: %w", Bridge, err)
	}
	address := netip.PrefixFrom(pods.Addr().Next(), pods.Bits())
	if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: ipNet(address)}); err != nil {
		return fmt.Errorf("cannot give %s the address %s: %w", Bridge, address, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("cannot set %s up: %w", Bridge, err)
	}
	route := &netlink.Route{
		LinkIndex: link.Attrs().Index, Scope: netlink.SCOPE_LINK,
		Dst: ipNet(services), Src: address.Addr().AsSlice(),
	}
	if err := netlink.RouteReplace(route); err != nil {
		return fmt.Errorf("cannot route %s to %s: %w", services, Bridge, err)
	}
	return nil
}

// RemoveBridge removes the bridge and the pods' ends of it.
func RemoveBridge() error {
	bridge, err := netlink.LinkByName(Bridge)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot look for the bridge %s: %w", Bridge, err)
	}
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("cannot list the network devices: %w", err)
	}
	for _, link := range links {
		if link.Attrs().MasterIndex == bridge.Attrs().Index {
			// It may go by itself meanwhile, with its network namespace.
			_ = netlink.LinkDel(link)
		}
	}
	if err := netlink.LinkDel(bridge); err != nil {
		return fmt.Errorf("cannot remove the bridge %s: %w", Bridge, err)
	}
	return nil
}

// FreePrefix returns the first of the candidates that overlaps no address and no
// route of the machine but those of the box's own bridge.
func FreePrefix(candidates []netip.Prefix) (netip.Prefix, error) {
	taken, err := prefixes()
	if err != nil {
		return netip.Prefix{}, err
	}
	for _, candidate := range candidates {
		free := true
		for _, t := range taken {
			free = free && !t.Overlaps(candidate)
		}
		if free {
			return candidate, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("all of %v are in use on this machine: free one of them (see ip address and ip route)", candidates)
}

func prefixes() ([]netip.Prefix, error) {
	own := -1
	if bridge, err := netlink.LinkByName(Bridge); err == nil {
		own = bridge.Attrs().Index
	}
	var taken []netip.Prefix
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("cannot list the machine's addresses: %w", err)
	}
	for _, a := range addresses {
		if a.LinkIndex != own {
			taken = append(taken, prefix(a.IPNet))
		}
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("cannot list the machine's routes: %w", err)
	}
	for _, r := range routes {
		if r.LinkIndex != own && r.Dst != nil && prefix(r.Dst).Bits() > 0 {
			taken = append(taken, prefix(r.Dst))
		}
	}
	return taken, nil
}

func prefix(n *net.IPNet) netip.Prefix {
	address, _ := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(address.Unmap(), ones).Masked()
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// FreePort returns the wanted port if all the addresses can be listened on with it, or
// else the next one with which they can.
func FreePort(want int, addresses ...string) (int, error) {
	for port := want; port < want+1000; port++ {
		if portFree(port, addresses) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port from %d to %d", want, want+999)
}

func portFree(port int, addresses []string) bool {
	for _, address := range addresses {
		where := net.JoinHostPort(address, fmt.Sprint(port))
		listener, err := net.Listen("tcp", where)
		if errors.Is(err, unix.EADDRNOTAVAIL) {
			continue // nobody else can have it there either
		}
		if err != nil {
			return false
		}
		listener.Close()
	}
	return true
}

// Loopbacks returns the machine's loopback addresses: 127.0.0.1, and ::1 where there is IPv6.
func Loopbacks() []string {
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		return []string{"127.0.0.1"}
	}
	listener.Close()
	return []string{"127.0.0.1", "::1"}
}

// AwaitSocket returns when something accepts connections on the unix socket.
func AwaitSocket(path string) error {
	connection, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return err
	}
	return connection.Close()
}

// ForwardPackets lets the machine route between pods and to the world, and lets the
// firewall see packets between two pods of one bridge, without which a
// pod could not reach its neighbour through a Service.
func ForwardPackets() error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return fmt.Errorf("cannot turn on IP forwarding: %w", err)
	}
	const bridged = "/proc/sys/net/bridge/bridge-nf-call-iptables"
	if _, err := os.Stat(bridged); errors.Is(err, os.ErrNotExist) {
		_ = command("modprobe", "br_netfilter").Run() // what matters is whether the file is there then
	}
	if err := os.WriteFile(bridged, []byte("1"), 0); err != nil {
		return fmt.Errorf("cannot let the firewall see bridged packets: %w (load the kernel module br_netfilter)", err)
	}
	return nil
}
