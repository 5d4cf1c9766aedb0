package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// silence is how long a registry may keep a connection without taking or giving anything.
const silence = 2 * time.Minute

// Transport is for registries, which may take a connection, or half of an upload, and not answer: it gives up after two minutes without a byte. What goes
// slowly goes on.
func Transport() *http.Transport { return transport(silence) }

func transport(silence time.Duration) *http.Transport {
	dialer := net.Dialer{Timeout: 30 * time.Second}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &impatient{Conn: conn, silence: silence}, nil
		},
		ForceAttemptHTTP2: true, MaxIdleConns: 100, MaxIdleConnsPerHost: 50,
		IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second, ExpectContinueTimeout: time.Second,
	}
}

// impatient is a connection that ends when nothing goes either way.
type impatient struct {
	net.Conn
	silence time.Duration
	mute    atomic.Bool // it was given up
}

func (c *impatient) Read(p []byte) (int, error) {
	if err := c.wait(); err != nil {
		return 0, c.why(err)
	}
	n, err := c.Conn.Read(p)
	return n, c.why(err)
}

func (c *impatient) Write(p []byte) (int, error) {
	if err := c.wait(); err != nil {
		return 0, c.why(err)
	}
	n, err := c.Conn.Write(p)
	if err == nil {
		err = c.wait() // for the answer, from now on
	}
	return n, c.why(err)
}

func (c *impatient) why(err error) error {
	// What waits meanwhile for the other direction finds the connection closed.
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) && c.mute.Load() {
		c.mute.Store(true)
		return fmt.Errorf("nothing was heard for %s", c.silence)
	}
	return err
}

// wait begins anew, also for a call that waits already.
func (c *impatient) wait() error { return c.SetDeadline(time.Now().Add(c.silence)) }
