package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/davit-dev/davit/internal/deploy/cloudrun"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/kube"
	"github.com/davit-dev/davit/internal/plan"
)

// gcloudPort is where the first port to a service of Cloud Run is tried, as by Skaffold.
const gcloudPort = 8080

// followCloudRun begins to show the logs of services of Cloud Run and to forward ports to them, by the gcloud command. follow gets what ends with ctx.
func (p *Pipeline) followCloudRun(ctx context.Context, f plan.Follow, follow func(until func() error)) error {
	if len(p.inCloud.services) == 0 {
		return nil
	}
	ports, err := p.gcloudPorts(f)
	if err != nil || !f.Tail && len(ports) == 0 {
		return err
	}
	path, err := p.Rendering.LookPath("gcloud")
	if err != nil {
		return fmt.Errorf("--tail and --port-forward for Cloud Run need the gcloud command: %w: install the Google Cloud CLI, or leave them out; what was deployed stays", err)
	}
	gcloud := cloudrun.Gcloud{Path: path, Environ: p.Environ, Line: func(s cloudrun.Service, text string) {
		p.Sink.Emit(event.PodLog{Namespace: s.Project, Container: s.Name, Image: s.String(), Prefix: f.Default.Prefix("", s.Name), Line: f.Default.Line(text)})
	}}
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range p.inCloud.services {
		if f.Tail {
			group.Go(func() error { return gcloud.Tail(ctx, s) })
		}
		if port, ok := ports[s]; ok {
			group.Go(func() error { return gcloud.Proxy(ctx, s, port) })
			group.Go(func() error {
				p.tellPort(ctx, s, port)
				return nil
			})
		}
	}
	follow(group.Wait)
	return nil
}

// gcloudPorts chooses the ports of this machine that lead to services of Cloud Run.
func (p *Pipeline) gcloudPorts(f plan.Follow) (map[cloudrun.Service]int, error) {
	ports := map[cloudrun.Service]int{}
	for _, s := range p.inCloud.services {
		local := 0
		if f.Forward.Services {
			local = gcloudPort
		}
		for _, port := range f.Ports {
			if f.Forward.User && (kube.Target{Kind: port.Kind}).Is("service") && port.Name == s.Name {
				local = cmp.Or(port.Local, gcloudPort)
			}
		}
		if local == 0 {
			continue
		}
		l, err := listen("", local)
		if err != nil {
			return nil, fmt.Errorf("forwarding a port to %s: %w", s, err)
		}
		defer func() { _ = l.Close() }() // once all are chosen, gcloud opens them
		ports[s] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// tellPort says that a port leads to a service as soon as it does.
func (p *Pipeline) tellPort(ctx context.Context, s cloudrun.Service, port int) {
	address := fmt.Sprintf("127.0.0.1:%d", port)
	for {
		if conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address); err == nil {
			_ = conn.Close()
			p.Sink.Emit(event.PortForwarded{Resource: s.String(), Namespace: s.Project, Port: "443", Address: address})
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}
