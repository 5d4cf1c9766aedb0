package registry_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/davit-dev/davit/internal/image/registry"
)

// serve is a registry where a failure comes before each answer to a request with the method, as often as said.
func serve(t *testing.T, method string, times int32, fail func(http.ResponseWriter)) (string, *atomic.Int32) {
	var asked atomic.Int32
	real := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method && strings.Contains(r.URL.Path, "/manifests/") && asked.Add(1) <= times {
			fail(w)
			return
		}
		real.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), &asked
}

func status(code int, header ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for _, h := range header {
			w.Header().Set("Retry-After", h)
		}
		w.WriteHeader(code)
	}
}

func drop(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		err = conn.Close()
	}
	if err != nil {
		panic(err)
	}
}

func push(t *testing.T, host string) error {
	image, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(host + "/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	// The library's own second tries are switched off.
	return remote.Write(ref, image, remote.WithTransport(registry.Patient(remote.DefaultTransport)), remote.WithContext(t.Context()),
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}), remote.WithRetryStatusCodes())
}

func TestPatient(t *testing.T) {
	for _, c := range []struct {
		name  string
		times int32
		fail  func(http.ResponseWriter)
		want  string // "" for success
		asked int32
	}{
		{"asked too often", 2, status(http.StatusTooManyRequests, "0"), "", 3},
		{"fails twice", 2, status(http.StatusInternalServerError), "", 3},
		{"drops the connection", 1, drop, "", 2},
		{"fails for good", 100, status(http.StatusBadGateway), "502", 4},
		{"refuses", 100, status(http.StatusForbidden), "403", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			host, asked := serve(t, http.MethodPut, c.times, c.fail)
			err := push(t, host)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v", err)
			}
			if asked.Load() != c.asked {
				t.Errorf("asked %d times, want %d", asked.Load(), c.asked)
			}
		})
	}
}

func TestPatienceEnds(t *testing.T) {
	host, _ := serve(t, http.MethodHead, 100, status(http.StatusTooManyRequests, "3600"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://"+host+"/v2/app/manifests/v1", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := registry.Patient(http.DefaultTransport).RoundTrip(r)
	if err == nil {
		t.Fatal(answer.Status, answer.Body.Close())
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}
