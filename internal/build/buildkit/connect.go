package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/connhelper"
	"github.com/moby/buildkit/client/connhelper/dockercontainer"
	"github.com/moby/buildkit/client/connhelper/kubepod"
	"github.com/moby/buildkit/client/connhelper/ssh"
	"github.com/moby/buildkit/util/grpcerrors"
	docker "github.com/moby/moby/client"
	"google.golang.org/grpc/codes"

	"github.com/davit-dev/davit/internal/build/carried"
	"github.com/davit-dev/davit/internal/engine"
)

// daemonAnswers bounds how long a buildkitd may take to answer; it may be behind ssh or kubectl.
const daemonAnswers = 20 * time.Second

// connection is a BuildKit to build with, open for one build.
type connection struct {
	*client.Client
	engine *docker.Client // nil unless the BuildKit is the Engine's
	close  []func() error
}

// Close lets go of everything that the build held.
func (c *connection) Close() error {
	errs := []error{c.Client.Close()}
	for _, f := range c.close {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// bearsNamedContexts says whether the BuildKit is new enough for them. An older one would ignore them and pull images of their names.
func (c *connection) bearsNamedContexts(ctx context.Context) (bool, error) {
	_, err := c.Info(ctx) // there since BuildKit 0.11, contexts since 0.10
	if grpcerrors.Code(err) == codes.Unimplemented {
		return false, nil
	}
	return err == nil, err
}

// connect reaches the BuildKit of w, starting the carried one when need be. A carried BuildKit reaches the registries
// named insecure without verified TLS while this connection's session is open.
func (b *Builder) connect(ctx context.Context, insecure []string) (*connection, error) {
	switch b.where.Kind {
	case Daemon:
		return connectDaemon(ctx, b.where.Address, b.where.TLSDir)
	case Replica:
		return connectReplica(ctx, b.where)
	case Engine:
		return connectEngine(ctx, b.where.Docker)
	default:
		return connectCarried(ctx, b.options.Carried, insecure)
	}
}

func connectCarried(ctx context.Context, o carried.Options, insecure []string) (*connection, error) {
	daemon, err := carried.Use(ctx, o)
	if err != nil {
		return nil, err
	}
	var c *client.Client
	c, err = client.New(ctx, "unix:///carried",
		client.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return daemon.Dial(ctx) }),
		client.WithSessionDialer(func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			meta[carried.InsecureHeader] = insecure
			return c.Dialer()(ctx, proto, meta)
		}))
	if err != nil {
		return nil, errors.Join(err, daemon.Release())
	}
	return &connection{Client: c, close: []func() error{daemon.Release}}, nil
}

func connectEngine(ctx context.Context, e Endpoint) (*connection, error) {
	docker, err := engine.Open(e)
	if err != nil {
		return nil, err
	}
	c, err := client.New(ctx, "",
		client.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return docker.DialHijack(ctx, "/grpc", "h2c", nil)
		}),
		client.WithSessionDialer(func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			return docker.DialHijack(ctx, "/session", proto, meta)
		}))
	if err != nil {
		return nil, errors.Join(err, docker.Close())
	}
	return &connection{Client: c, engine: docker, close: []func() error{docker.Close}}, nil
}

func connectDaemon(ctx context.Context, address, tlsDir string) (*connection, error) {
	opts, err := daemonOptions(address, tlsDir)
	if err != nil {
		return nil, err
	}
	c, err := client.New(ctx, address, opts...)
	if err != nil {
		return nil, fmt.Errorf("the BuildKit address %s: %w", address, err)
	}
	if err := awaitAnswer(ctx, c); err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("the buildkitd at %s does not answer: %w; start it, or unset BUILDKIT_HOST", address, err)
		}
		return nil, errors.Join(err, c.Close())
	}
	return &connection{Client: c}, nil
}

func connectReplica(ctx context.Context, where Where) (*connection, error) {
	c, err := client.New(ctx, "", client.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return where.Dial(ctx) }))
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", where, err)
	}
	if err := awaitAnswer(ctx, c); err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("the %s does not answer: %w", where, err)
		}
		return nil, errors.Join(err, c.Close())
	}
	return &connection{Client: c}, nil
}

// awaitAnswer asks a buildkitd something that it can answer at once.
func awaitAnswer(ctx context.Context, c *client.Client) error {
	ask, cancel := context.WithTimeoutCause(ctx, daemonAnswers, fmt.Errorf("no answer within %s", daemonAnswers))
	defer cancel()
	_, err := c.ListWorkers(ask) // not Info, which BuildKit before 0.11 lacks
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// daemonOptions are how to reach an address: by a command for ssh, kube-pod and docker-container, which must be on PATH,
// and with TLS for tcp when there is material for it, named as buildctl's --tlsdir has it.
func daemonOptions(address, tlsDir string) ([]client.ClientOpt, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("the BuildKit address %s: %w", address, err)
	}
	helpers := map[string]func(*url.URL) (*connhelper.ConnectionHelper, error){
		"ssh": ssh.Helper, "kube-pod": kubepod.Helper, "docker-container": dockercontainer.Helper,
	}
	if find := helpers[u.Scheme]; find != nil {
		helper, err := find(u)
		if err != nil {
			return nil, fmt.Errorf("the BuildKit address %s: %w", address, err)
		}
		return []client.ClientOpt{client.WithContextDialer(helper.ContextDialer)}, nil
	}
	if u.Scheme != "tcp" || tlsDir == "" {
		return nil, nil
	}
	file := func(name string) string { return filepath.Join(tlsDir, name) }
	opts := []client.ClientOpt{client.WithServerConfig(u.Hostname(), file("ca.pem"))}
	switch _, err := os.Stat(file("cert.pem")); {
	case err == nil:
		opts = append(opts, client.WithCredentials(file("cert.pem"), file("key.pem")))
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("TLS for the BuildKit at %s: %w", address, err)
	}
	return opts, nil
}
