package buildkitd

import (
	"net"
	"sync"
	"time"
)

// countingListener knows for how long nobody has been connected.
type countingListener struct {
	net.Listener

	mu    sync.Mutex
	open  int
	since time.Time // when the last connection closed
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.open++
	l.mu.Unlock()
	return &countedConn{Conn: conn, closed: sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.open--
		l.since = time.Now()
	})}, nil
}

// unused is for how long nobody has been connected: zero while somebody is.
func (l *countingListener) unused() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open > 0 {
		return 0
	}
	return time.Since(l.since)
}

// touch begins the idle time anew.
func (l *countingListener) touch() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since = time.Now()
}

type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	defer c.closed()
	return c.Conn.Close()
}
