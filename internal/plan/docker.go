package plan

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/davit-dev/davit/internal/config"
	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/deploy/docker"
)

// DockerOnly says whether all that a config deploys goes to a Docker Engine: its images need no registry, then.
func DockerOnly(c *config.Config) bool {
	return c.Model.Deploy.Docker != nil && c.Model.Deploy.CloudRun == nil && !InCluster(c)
}

// containers fills in what a config runs in a Docker Engine. Ports may be given by any of the configs.
func (d *Deployment) containers(c *config.Config, configs []*config.Config, project string, o Options) error {
	m := c.Model.Deploy.Docker
	if m == nil {
		return nil
	}
	if m.UseCompose {
		return c.Error("docker compose is not used, and Skaffold does not use it either", "remove useCompose: deploy.docker.images are run as containers", "deploy", "docker", "useCompose")
	}
	d.Docker = &docker.Set{Name: d.Set, Network: setName(project), Labels: o.Labels, Wait: d.Wait, Deadline: d.Deadline}
	for _, image := range m.Images {
		d.Docker.Containers = append(d.Docker.Containers, docker.Container{Image: image})
	}
	var errs []error
	for _, from := range configs {
		for i, p := range from.Model.PortForward {
			errs = append(errs, d.port(from, i, p, o))
		}
	}
	return errors.Join(errs...)
}

// port adds a port to the container that it is of, if it is of one of these.
func (d *Deployment) port(c *config.Config, i int, p *model.PortForward, o Options) error {
	if !strings.EqualFold(p.Type, "container") {
		return nil
	}
	name, err := o.Templates.Field(c, p.Name, nil, "portForward", i, "resourceName")
	if err != nil {
		return err
	}
	for n := range d.Docker.Containers {
		container := &d.Docker.Containers[n]
		if !strings.EqualFold(container.Image, name) {
			continue
		}
		port, err := strconv.ParseUint(p.Port.String(), 10, 16)
		if err != nil || port == 0 {
			return c.Error(fmt.Sprintf("%q is no port: containers have no names for theirs", p.Port.String()), "write its number", "portForward", i, "port")
		}
		address := p.Address
		if address == "localhost" {
			address = "127.0.0.1"
		}
		ip, err := netip.ParseAddr(address)
		if err != nil {
			return c.Error(fmt.Sprintf("%q is no address of this machine", p.Address), "write an IP address, such as 127.0.0.1", "portForward", i, "address")
		}
		if p.LocalPort < 0 || p.LocalPort > 65535 {
			return c.Error(fmt.Sprintf("%d is no port", p.LocalPort), "write a number up to 65535", "portForward", i, "localPort")
		}
		container.Ports = append(container.Ports, docker.Port{Container: uint16(port), Address: ip, Local: uint16(p.LocalPort)}) //nolint:gosec // looked at above
	}
	return nil
}
