package docker

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/moby/moby/api/types/network"
)

// closeBy is how far from the port that is wanted a free one is looked for.
const closeBy = 10

// bind chooses the ports of this machine that lead to a container's.
func (d *Deployer) bind(t *task) (network.PortSet, network.PortMap, error) {
	exposed, bindings := network.PortSet{}, network.PortMap{}
	taken := map[netip.AddrPort]bool{}
	for _, p := range t.Ports {
		inside, ok := network.PortFrom(p.Container, network.TCP)
		if !ok {
			return nil, nil, fmt.Errorf("port %d of image %s is none", p.Container, t.Image)
		}
		local := p.free(taken)
		if local != p.Local && p.Local != 0 {
			d.warn("port %d of %s is taken: port %d of %s is at another one", p.Local, p.Address, p.Container, t.resource())
		}
		taken[netip.AddrPortFrom(p.Address, local)] = true
		exposed[inside] = struct{}{}
		binding := network.PortBinding{HostIP: p.Address, HostPort: strconv.Itoa(int(local))}
		if local == 0 {
			binding.HostPort = "" // the Engine chooses one
		}
		bindings[inside] = append(bindings[inside], binding)
	}
	return exposed, bindings, nil
}

// free gives the wanted port or one of the next; 0 when none of them is free.
func (p Port) free(taken map[netip.AddrPort]bool) uint16 {
	if p.Local == 0 {
		return 0
	}
	for port := int(p.Local); port <= int(p.Local)+closeBy && port <= 65535; port++ {
		at := netip.AddrPortFrom(p.Address, uint16(port)) //nolint:gosec // bounded above
		if taken[at] {
			continue
		}
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
		if err != nil {
			continue
		}
		_ = l.Close()
		return uint16(port) //nolint:gosec // bounded above
	}
	return 0
}
