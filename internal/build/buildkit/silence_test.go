//go:build linux

package buildkit_test

import (
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/buildkit"
)

// mute is a registry that takes connections and says nothing.
func mute(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

// stuck is a registry that stops in the middle of each upload.
func stuck(t *testing.T) string {
	over := make(chan struct{})
	host := serveRegistry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/uploads/") && (r.Method == http.MethodPatch || r.Method == http.MethodPut) {
				_, _ = r.Body.Read(make([]byte, 10))
				<-over
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	})
	t.Cleanup(func() { close(over) })
	return host
}

func TestRegistryThatFallsSilent(t *testing.T) {
	engine := buildkit.Where{Kind: buildkit.Engine, Docker: buildkit.Endpoint{Host: startEngine(t)}}
	carried := buildkit.Where{Kind: buildkit.Carried}
	silent, halfway := mute(t), stuck(t)
	from := project(t, map[string]string{"Dockerfile": "FROM " + silent + "/base:v1\nCOPY Dockerfile /\n"})
	for _, c := range []struct {
		name  string
		where buildkit.Where
		dir   string
		ref   string
		want  string
	}{
		{"push", carried, minimal(t), silent + "/team/app:v1", "pushing " + silent + "/team/app: it does not answer"},
		{"push that stops halfway", carried, minimal(t), halfway + "/team/app:v1", "pushing " + halfway + "/team/app: it does not answer"},
		{"base image", carried, from, "", "pulling " + silent + "/base: it does not answer"},
		{"base image in the Engine", engine, from, "", "pulling " + silent + "/base: it does not answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := buildkit.New(c.where, buildkit.Options{Getenv: os.Getenv, DockerConfig: shared.noLogin, Carried: shared.carried, Patience: time.Second})
			r := request(t, c.dir, func(r *build.Request, _ *build.Docker) {
				if c.ref != "" {
					r.Ref = c.ref
				}
			})
			_, err := b.Build(t.Context(), r, &lines{})
			var refused *build.RegistryError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}
