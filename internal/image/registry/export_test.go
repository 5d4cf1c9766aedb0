package registry

import (
	"net"
	"time"
)

// TransportWith gives up after another silence.
var TransportWith = transport

// Impatient is a connection that gives up after silence.
func Impatient(c net.Conn, silence time.Duration) net.Conn {
	return &impatient{Conn: c, silence: silence}
}
