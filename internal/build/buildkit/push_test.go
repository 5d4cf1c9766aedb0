//go:build linux

package buildkit_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/buildkit"
)

// serveRegistry serves a registry whose requests pass through wrap, and returns its host.
func serveRegistry(t *testing.T, wrap func(http.Handler) http.Handler) string {
	server := httptest.NewServer(wrap(registry.New(registry.Logger(quiet()))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// basicAuth lets in one user; the registry says so as RFC 7235 wants.
func basicAuth(user, password string, refused *atomic.Int32) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if u, p, ok := r.BasicAuth(); !ok || u != user || p != password {
				if ok {
					refused.Add(1)
				}
				w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
				http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// dockerConfig writes what `docker login` writes.
func dockerConfig(t *testing.T, host, password string) string {
	auth := base64.StdEncoding.EncodeToString([]byte("ann:" + password))
	return project(t, map[string]string{"config.json": fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, auth)})
}

// minimal is a project that builds at once.
func minimal(t *testing.T) string {
	return project(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
}

func TestPushWithCredentials(t *testing.T) {
	t.Parallel()
	var refused atomic.Int32
	host := serveRegistry(t, basicAuth("ann", "secret", &refused))
	r := request(t, minimal(t), func(r *build.Request, _ *build.Docker) { r.Ref = host + "/team/app:v1" })
	with := func(config string) *buildkit.Builder {
		return buildkit.New(buildkit.Where{Kind: buildkit.Carried},
			buildkit.Options{Getenv: os.Getenv, DockerConfig: config, Carried: shared.carried})
	}
	mustBuild(t, with(dockerConfig(t, host, "secret")), r)

	for name, config := range map[string]string{
		"none":          t.TempDir(),
		"wrong":         dockerConfig(t, host, "wrong"),
		"another's own": dockerConfig(t, "registry.example", "secret"),
	} {
		refused.Store(0)
		_, err := with(config).Build(t.Context(), r, &lines{})
		var refusal *build.RegistryError
		if !errors.As(err, &refusal) || refusal.Registry != host || refusal.Repository != "team/app" {
			t.Errorf("%s: error %v, want one that names registry and repository", name, err)
			continue
		}
		if !strings.Contains(err.Error(), "docker login "+host) || !strings.Contains(err.Error(), "401") {
			t.Errorf("%s: %v", name, err)
		}
		if name == "another's own" && refused.Load() > 0 {
			t.Error("credentials for one registry were shown to another")
		}
	}
}

func TestPushRefused(t *testing.T) {
	for answer, want := range map[int]string{
		http.StatusForbidden:          "access denied (403)",
		http.StatusNotFound:           "it has no repository team/app",
		http.StatusServiceUnavailable: "it failed",
	} {
		t.Run(http.StatusText(answer), func(t *testing.T) {
			t.Parallel()
			body := map[int]string{ // as registries say it
				http.StatusForbidden:          `{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}`,
				http.StatusNotFound:           `{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}`,
				http.StatusServiceUnavailable: `{"errors":[{"code":"UNAVAILABLE","message":"service unavailable"}]}`,
			}[answer]
			host := serveRegistry(t, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPost {
						w.Header().Set("Content-Type", "application/json")
						w.WriteHeader(answer)
						fmt.Fprint(w, body)
						return
					}
					next.ServeHTTP(w, r)
				})
			})
			r := request(t, minimal(t), func(r *build.Request, _ *build.Docker) { r.Ref = host + "/team/app:v1" })
			_, err := newCarried(shared.carried).Build(t.Context(), r, &lines{})
			if err == nil || !strings.Contains(err.Error(), "pushing "+host+"/team/app: "+want) {
				t.Errorf("error %v, want %s", err, want)
			}
		})
	}
}

// failing answers the first two uploads of a manifest wrongly.
func failing(how func(http.ResponseWriter)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		var n atomic.Int32
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") && n.Add(1) <= 2 {
				how(w)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func TestPushSurvivesARegistryInTrouble(t *testing.T) {
	for name, how := range map[string]func(http.ResponseWriter){
		"429": func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "slow down", http.StatusTooManyRequests)
		},
		"500":     func(w http.ResponseWriter) { http.Error(w, "oops", http.StatusInternalServerError) },
		"dropped": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := serveRegistry(t, failing(how))
			r := request(t, minimal(t), func(r *build.Request, _ *build.Docker) { r.Ref = host + "/app:v1" })
			result, _ := mustBuild(t, newCarried(shared.carried), r)
			pushed(t, r, result)
		})
	}
}

func TestPlainHTTPOnlyWhereAllowed(t *testing.T) {
	t.Parallel()
	// 0.0.0.0 reaches this machine without being a loopback address.
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(registry.New(registry.Logger(quiet())))
	server.Config.ErrorLog = quiet()
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	host := fmt.Sprintf("0.0.0.0:%d", listener.Addr().(*net.TCPAddr).Port)

	r := request(t, minimal(t), func(r *build.Request, _ *build.Docker) { r.Ref = host + "/app:v1" })
	_, err = newCarried(shared.carried).Build(t.Context(), r, &lines{})
	if err == nil || !strings.Contains(err.Error(), "--insecure-registry="+host) {
		t.Errorf("pushed in plain HTTP without being allowed to: %v", err)
	}
	allowed := r
	allowed.Insecure = []string{host}
	mustBuild(t, newCarried(shared.carried), allowed)

	// And as a base image, by a daemon that learned before that it is not insecure.
	from := request(t, project(t, map[string]string{"Dockerfile": "FROM " + host + "/app:v1\nCOPY Dockerfile /again\n"}))
	if _, err := newCarried(shared.carried).Build(t.Context(), from, &lines{}); err == nil {
		t.Error("pulled in plain HTTP without being allowed to")
	}
	from.Insecure = []string{host}
	mustBuild(t, newCarried(shared.carried), from)
}

func TestCredentialHelper(t *testing.T) {
	var refused atomic.Int32
	host := serveRegistry(t, basicAuth("ann", "secret", &refused))
	bin := project(t, map[string]string{"docker-credential-test": "#!/bin/sh\ncat > /dev/null\necho '{\"Username\": \"ann\", \"Secret\": \"secret\"}'\n"})
	if err := os.Chmod(filepath.Join(bin, "docker-credential-test"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	config := project(t, map[string]string{"config.json": fmt.Sprintf(`{"credHelpers": {%q: "test"}}`, host)})
	r := request(t, minimal(t), func(r *build.Request, _ *build.Docker) { r.Ref = host + "/app:v1" })
	mustBuild(t, buildkit.New(buildkit.Where{Kind: buildkit.Carried},
		buildkit.Options{Getenv: os.Getenv, DockerConfig: config, Carried: shared.carried}), r)
}

func TestCancelEndsAPushThatHangs(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 100)
	host := serveRegistry(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			asked <- struct{}{}
			<-r.Context().Done()
		})
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	r := request(t, minimal(t), func(r *build.Request, _ *build.Docker) { r.Ref = host + "/app:v1" })
	if _, err := newCarried(shared.carried).Build(ctx, r, &lines{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}
