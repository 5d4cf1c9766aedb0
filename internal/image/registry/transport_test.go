package registry_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
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

// slow takes what it is sent in small pieces, for longer than anybody is silent.
func slow(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for piece := make([]byte, 1<<20); ; time.Sleep(20 * time.Millisecond) {
			if _, err := io.ReadFull(r.Body, piece); err != nil {
				break
			}
		}
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestSilenceEndsAndSlownessDoesNot(t *testing.T) {
	const silence = 500 * time.Millisecond
	big := bytes.Repeat([]byte("x"), 64<<20)
	for _, c := range []struct {
		name, url, method string
		body              []byte
		want              string
	}{
		{"no answer", mute(t), http.MethodGet, nil, "nothing was heard for 500ms"},
		{"half of an upload", mute(t), http.MethodPut, big, "nothing was heard for 500ms"},
		{"slow upload", slow(t), http.MethodPut, big, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			transport := registry.TransportWith(silence)
			defer transport.CloseIdleConnections()
			r, err := http.NewRequestWithContext(t.Context(), c.method, c.url, bytes.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := transport.RoundTrip(r)
			if err == nil {
				err = answer.Body.Close()
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
