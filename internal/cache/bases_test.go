package cache

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestBaseImages(t *testing.T) {
	w := newWorld(t)
	ref := w.host + "/base:v1"
	push := func(onBuild string) string {
		t.Helper()
		image, err := random.Image(64, 1)
		if err == nil {
			image, err = mutate.ConfigFile(image, &v1.ConfigFile{
				OS: "linux", Architecture: "amd64", Config: v1.Config{Env: []string{"A=1"}, OnBuild: []string{onBuild}},
			})
		}
		if err == nil {
			err = remote.Write(w.tag(ref), image)
		}
		if err != nil {
			t.Fatal(err)
		}
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return digest.String()
	}
	now := time.Now()
	c := New(Options{Folder: t.TempDir(), Now: func() time.Time { return now }, Sink: w, Timeout: patient})
	expect := func(what string, pull bool, want string, asks bool) {
		t.Helper()
		w.requests = nil
		image, err := c.Bases(pull)(t.Context(), ref, "linux/amd64")
		if got := fmt.Sprint(image.Digest, image.Env, image.OnBuild); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", what, got, err, want)
		}
		if (len(w.requests) > 0) != asks {
			t.Errorf("%s: requests %q", what, w.requests)
		}
	}
	first := push("COPY one /")
	expect("at first", false, "[A=1] [COPY one /]", true)
	expect("again", false, "[A=1] [COPY one /]", false)
	expect("with --pull", true, first+"[A=1] [COPY one /]", true)
	second := push("COPY two /")
	now = now.Add(8 * 24 * time.Hour)
	expect("a week later", false, "[A=1] [COPY two /]", true)
	expect("with --pull", true, second+"[A=1] [COPY two /]", true)
}

func TestBaseImageThatNobodyKnows(t *testing.T) {
	w := newWorld(t)
	asked := 0
	broken := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		asked++
		rw.WriteHeader(http.StatusInternalServerError)
	}))
	defer broken.Close()
	now := time.Now()
	c := New(Options{Folder: t.TempDir(), Now: func() time.Time { return now }, Sink: w, Timeout: patient})
	for i, want := range []bool{true, false, true} {
		asked = 0
		image, err := c.Bases(false)(t.Context(), broken.Listener.Addr().String()+"/base", "linux/amd64")
		if err != nil || len(image.OnBuild) > 0 || (asked > 0) != want {
			t.Errorf("look %d: %+v, %v, asked %d times", i, image, err, asked)
		}
		now = now.Add(40 * time.Minute)
	}

	// Where nobody listens, one look is enough for all images.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var requests atomic.Int32
	counted := counting(func(r *http.Request) (*http.Response, error) {
		requests.Add(1)
		return remote.DefaultTransport.RoundTrip(r)
	})
	find := New(Options{Folder: t.TempDir(), Now: time.Now, Sink: w, Transport: counted, Timeout: 100 * time.Millisecond}).Bases(false)
	for i := range 20 {
		if _, err := find(t.Context(), fmt.Sprintf("%s/base%d", listener.Addr(), i), "linux/amd64"); err != nil {
			t.Error(err)
		}
	}
	if n := requests.Load(); n == 0 || n > 4 {
		t.Errorf("a registry that is silent was asked %d times", n)
	}
	if len(w.warnings) > 0 {
		t.Errorf("warnings: %q", w.warnings)
	}
}

type counting func(*http.Request) (*http.Response, error)

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) { return c(r) }
