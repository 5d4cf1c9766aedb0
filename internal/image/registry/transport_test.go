package registry_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/davit-dev/davit/internal/image/registry"
)

// mute takes connections, reads a little of each and says nothing.
func mute(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 100))
			defer conn.Close() // when the test is over
		}
	}()
	return "http://" + listener.Addr().String()
}

// slow takes an upload in small pieces, for longer in all than anybody may be silent.
func slow(conn net.Conn, pause time.Duration) error {
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return err
	}
	for err == nil {
		time.Sleep(pause)
		_, err = io.CopyN(io.Discard, r.Body, 100<<10)
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	_, err = io.WriteString(conn, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
	return err
}

func TestSilenceEnds(t *testing.T) {
	const silence = 500 * time.Millisecond
	big := bytes.Repeat([]byte("x"), 64<<20)
	for _, c := range []struct {
		name, method string
		body         []byte
	}{
		{"no answer", http.MethodGet, nil},
		{"half of an upload", http.MethodPut, big},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			transport := registry.TransportWith(silence)
			defer transport.CloseIdleConnections()
			r, err := http.NewRequestWithContext(t.Context(), c.method, mute(t), bytes.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := transport.RoundTrip(r)
			if err == nil {
				t.Fatal(answer.Status, answer.Body.Close())
			}
			if !strings.Contains(err.Error(), "nothing was heard for 500ms") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestSlownessDoesNotEnd runs on a clock of its own: on the machine's, a pause would be as long as the machine is busy.
func TestSlownessDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		transport := registry.TransportWith(time.Minute)
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			return registry.Impatient(here, time.Minute), nil
		}
		defer transport.CloseIdleConnections()
		taken := make(chan error)
		go func() { taken <- slow(there, 50*time.Second) }()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://registry", bytes.NewReader(make([]byte, 1<<20)))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := transport.RoundTrip(r)
		if err == nil {
			err = answer.Body.Close()
		}
		if err := errors.Join(err, <-taken); err != nil {
			t.Error(err)
		}
	})
}
