package cache

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/davit-dev/davit/internal/event"
)

// TestRegistryThatIsAskedTooOften puts a tag on an image although the registry refuses, fails and hangs up first.
func TestRegistryThatIsAskedTooOften(t *testing.T) {
	real := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	var puts atomic.Int32
	puts.Store(-1) // until the image is there
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && puts.Load() >= 0 {
			switch puts.Add(1) {
			case 1:
				w.WriteHeader(http.StatusTooManyRequests)
				return
			case 2:
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
		}
		real.ServeHTTP(w, r)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	image, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(host + "/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, image); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	puts.Store(0)
	c := New(Options{Folder: t.TempDir(), Now: time.Now, Sink: event.SinkFunc(func(event.Event) {}), Timeout: patient})
	if err := c.Retag(t.Context(), []Tag{{Digest: digest.String(), Ref: host + "/app:v2"}}); err != nil {
		t.Fatal(err)
	}
	if found, err := remote.Head(tag.Context().Tag("v2")); err != nil || found.Digest != digest {
		t.Errorf("tagged %v, error %v", found, err)
	}
}
