package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// chartRegistry is a registry with a chart for who knows the password; it gives its address.
func chartRegistry(t *testing.T) string {
	t.Helper()
	images := registry.New()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ann" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="charts"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	layer := static.NewLayer(packedChart(t), types.MediaType("application/vnd.cncf.helm.chart.content.v1.tar+gzip"))
	chart, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(host + "/charts/web:1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, chart, remote.WithAuth(&authn.Basic{Username: "ann", Password: "secret"})); err != nil {
		t.Fatal(err)
	}
	return host
}

func packedChart(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	archive := tar.NewWriter(zip)
	for file, text := range map[string]string{
		"web/Chart.yaml":        "{apiVersion: v2, name: web, version: 1.0.0}",
		"web/templates/cm.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: from-registry}}",
	} {
		if err := archive.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestChartsNeedALogin has a registry that wants a password, which the user gave to docker, or to helm, or to nobody.
func TestChartsNeedALogin(t *testing.T) {
	host := chartRegistry(t)
	login := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, base64.StdEncoding.EncodeToString([]byte("ann:secret")))
	wrong := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, base64.StdEncoding.EncodeToString([]byte("ann:wrong")))
	for _, c := range []struct {
		name   string
		files  map[string]string // below the home folder
		config string            // of the release
		want   string
	}{
		{"docker login", map[string]string{".docker/config.json": login}, "", "name: from-registry"},
		{"helm registry login", map[string]string{".config/helm/registry/config.json": login, ".docker/config.json": wrong}, "", "name: from-registry"},
		{"elsewhere", map[string]string{"logins.json": login}, "", "name: from-registry"},
		{"dependency", map[string]string{".docker/config.json": login}, "dependency", "name: from-registry"},
		{"wrong", map[string]string{".docker/config.json": wrong}, "", "401 Unauthorized"},
		{"none", nil, "", "401 Unauthorized"},
		{"broken", map[string]string{".config/helm/registry/config.json": "{"}, "", "helm/registry/config.json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, home := t.TempDir(), t.TempDir()
			release := "remoteChart: oci://" + host + "/charts/web, version: 1.0.0"
			if c.config == "dependency" {
				release = "chartPath: app"
				put(t, dir, "app/Chart.yaml", "{apiVersion: v2, name: app, version: 1.0.0, dependencies: [{name: web, version: 1.x, repository: 'oci://"+host+"/charts'}]}")
			}
			put(t, dir, "skaffold.yaml", "apiVersion: skaffold/v4beta14\nkind: Config\nmanifests: {helm: {releases: [{name: r, "+release+"}]}}\n")
			for file, text := range c.files {
				put(t, home, file, text)
			}
			var out, errs bytes.Buffer
			w := World{Stdout: &out, Stderr: &errs, Dir: dir, Home: home, Now: time.Now}
			if _, own := c.files["logins.json"]; own {
				w.Environ = []string{"HELM_REGISTRY_CONFIG=" + filepath.Join(home, "logins.json")}
			}
			code := Main(w, []string{"render", "--offline"})
			if text := out.String() + errs.String(); !strings.Contains(text, c.want) || (code == 0) != strings.Contains(c.want, "name:") {
				t.Errorf("exit code %d, %s", code, text)
			}
		})
	}
}

func put(t *testing.T, dir, file, text string) {
	t.Helper()
	path := filepath.Join(dir, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
