//go:build linux

package buildkit_test

import (
	"net/http"
	"os"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/buildkit"
)

// mounts is a registry whose repository "second" has its layers for itself, as in real ones, and takes those of another without an upload.
type mounts struct {
	mu       sync.Mutex
	mounted  []string // the repositories that layers came from
	uploaded int
	there    map[string]bool
}

func (m *mounts) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		second := strings.HasPrefix(r.URL.Path, "/v2/second/blobs/")
		switch q := r.URL.Query(); {
		case second && r.Method == http.MethodHead && !m.there[path.Base(r.URL.Path)]:
			http.NotFound(w, r)
			return
		case second && q.Get("mount") != "":
			m.mounted = append(m.mounted, q.Get("from"))
			m.there[q.Get("mount")] = true
			w.Header().Set("Location", "/v2/second/blobs/"+q.Get("mount"))
			w.Header().Set("Docker-Content-Digest", q.Get("mount"))
			w.WriteHeader(http.StatusCreated)
			return
		case second && r.Method == http.MethodPost:
			m.uploaded++
		case second && r.Method == http.MethodPut:
			m.there[q.Get("digest")] = true
		}
		next.ServeHTTP(w, r)
	})
}

func TestLayersOfABaseAreMounted(t *testing.T) {
	for name, where := range map[string]buildkit.Where{
		"carried": {Kind: buildkit.Carried}, "Docker Engine": {Kind: buildkit.Engine, Docker: buildkit.Endpoint{Host: startEngine(t)}},
	} {
		t.Run(name, func(t *testing.T) {
			m := &mounts{there: map[string]bool{}}
			host := serveRegistry(t, m.wrap)
			b := at(where)(t, os.Getenv)
			base := project(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /base-of-" + path.Base(t.Name()) + "\n"}) // no other test's layer
			mustBuild(t, b, request(t, base, func(r *build.Request, _ *build.Docker) { r.Ref = host + "/first:v1" }))
			on := project(t, map[string]string{"Dockerfile": "FROM " + host + "/first:v1\nCOPY Dockerfile /again\n"})
			mustBuild(t, b, request(t, on, func(r *build.Request, _ *build.Docker) { r.Ref = host + "/second:v1" }))
			// The base's one layer is mounted; the image's own, and its configuration, are uploaded.
			if len(m.mounted) != 1 || m.mounted[0] != "first" || m.uploaded != 2 {
				t.Errorf("mounted from %v and uploaded %d, want one from first and 2", m.mounted, m.uploaded)
			}
		})
	}
}
