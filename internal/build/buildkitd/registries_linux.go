package buildkitd

import (
	"sync"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	controlapi "github.com/moby/buildkit/api/services/control"
	"github.com/moby/buildkit/util/resolver"
	"github.com/moby/buildkit/util/resolver/config"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/davit-dev/davit/internal/build/carried"
)

// registries decides how each registry is talked to: plain HTTP on loopback, HTTPS elsewhere, and for those that an open
// session named insecure HTTPS without verification, then plain HTTP.
type registries struct {
	strict docker.RegistryHosts

	mu       sync.Mutex
	insecure map[string]int // host → open sessions that named it
}

func newRegistries() *registries {
	strict := docker.ConfigureDefaultRegistries(docker.WithClient(newClient()), docker.WithPlainHTTP(docker.MatchLocalhost))
	return &registries{strict: strict, insecure: map[string]int{}}
}

// hosts is BuildKit's question where and how to find a registry.
func (r *registries) hosts(host string) ([]docker.RegistryHost, error) {
	r.mu.Lock()
	insecure := r.insecure[host] > 0
	r.mu.Unlock()
	find := r.strict
	if insecure {
		yes := true
		find = resolver.NewRegistryConfig(map[string]config.RegistryConfig{host: {Insecure: &yes, PlainHTTP: &yes}})
	}
	return find(host)
}

// sessionInterceptor learns from a session's call which registries it wants insecure.
func (r *registries) sessionInterceptor(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if info.FullMethod != controlapi.Control_Session_FullMethodName {
		return next(srv, stream)
	}
	names := metadata.ValueFromIncomingContext(stream.Context(), carried.InsecureHeader)
	r.add(names, 1)
	defer r.add(names, -1)
	return next(srv, stream)
}

func (r *registries) add(names []string, n int) {
	if len(names) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		if r.insecure[name] += n; r.insecure[name] == 0 {
			delete(r.insecure, name)
		}
	}
	// BuildKit remembers for a while how a registry was reached.
	resolver.DefaultPool.Clear()
}
