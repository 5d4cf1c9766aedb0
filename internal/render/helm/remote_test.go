package helm_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/render/helm"
)

// pack makes a packaged chart with one ConfigMap that says its version.
func pack(t *testing.T, chart, version string) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	archive := tar.NewWriter(zip)
	for file, text := range map[string]string{
		"Chart.yaml":        "{apiVersion: v2, name: " + chart + ", version: " + version + "}",
		"templates/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-{{ .Chart.Name }}}\ndata: {version: {{ .Chart.Version }}}\n",
	} {
		if err := archive.WriteHeader(&tar.Header{Name: chart + "/" + file, Mode: 0o644, Size: int64(len(text))}); err != nil {
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

// repository serves web in three versions, for user ann alone. It counts the requests.
func repository(t *testing.T, asked *int) *httptest.Server {
	t.Helper()
	charts := map[string][]byte{}
	var index strings.Builder
	index.WriteString("apiVersion: v1\nentries:\n  web:\n")
	for _, version := range []string{"1.0.0", "1.2.0", "2.0.0-rc.1"} {
		file := "web-" + version + ".tgz"
		charts["/charts/"+file] = pack(t, "web", version)
		fmt.Fprintf(&index, "  - {version: %s, urls: [charts/%s], digest: %x}\n", version, file, sha256.Sum256(charts["/charts/"+file]))
	}
	index.WriteString("  broken:\n  - {version: 1.0.0, urls: [charts/web-1.0.0.tgz], digest: abc}\n")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked++
		user, password, _ := r.BasicAuth()
		data := charts[r.URL.Path]
		if r.URL.Path == "/index.yaml" {
			data = []byte(index.String())
		}
		switch {
		case user != "ann" || password != "secret":
			w.WriteHeader(http.StatusUnauthorized)
		case data == nil:
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = w.Write(data)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func TestRepositories(t *testing.T) {
	asked := 0
	server := repository(t, &asked)
	dir := t.TempDir()
	known := filepath.Join(dir, "repositories.yaml")
	write(t, known, []byte("repositories: [{name: shop, url: "+server.URL+", username: ann, password: secret}]"))
	login := []string{"--username", "ann", "--password", "secret"}
	for _, c := range []struct {
		release helm.Release
		want    string
	}{
		{helm.Release{Chart: "web", Repo: server.URL, Flags: login}, "version: 1.2.0"},
		{helm.Release{Chart: "web", Repo: server.URL + "/", Version: "~1.0", Flags: login}, "version: 1.0.0"},
		{helm.Release{Chart: "web", Repo: server.URL, Flags: append([]string{"--devel"}, login...)}, "version: 2.0.0-rc.1"},
		{helm.Release{Chart: "shop/web", Version: "1.0.0"}, "version: 1.0.0"},
		{helm.Release{Chart: server.URL + "/charts/web-1.0.0.tgz", Flags: login}, "version: 1.0.0"},
		{helm.Release{Chart: "other/web"}, "error: release r: getting chart other/web: helm knows no repository other: run `helm repo add other URL`, or set repo"},
		{helm.Release{Chart: "web"}, `"web" is neither a URL nor repository/chart: set repo, or write oci://`},
		{helm.Release{Chart: "web", Repo: server.URL, Version: "3.x", Flags: login}, "no version is 3.x; there are 1.0.0, 1.2.0, 2.0.0-rc.1"},
		{helm.Release{Chart: "nope", Repo: server.URL, Flags: login}, "has no chart nope"},
		{helm.Release{Chart: "broken", Repo: server.URL, Flags: login}, "is not what the repository's index says: its digest differs"},
		{helm.Release{Chart: "web", Repo: server.URL}, "index.yaml answers 401 Unauthorized"},
	} {
		c.release.Name, c.release.Namespace, c.release.Remote = "r", "default", true
		if got := show(renderWith(t, c.release, helm.Options{Dir: dir, Repositories: known})); !strings.Contains(got, c.want) {
			t.Errorf("%+v: got %s, want %s", c.release, got, c.want)
		}
	}

	cached := helm.Options{Dir: dir, Repositories: known, CacheDir: filepath.Join(dir, "cache")}
	r := helm.Release{Name: "r", Chart: "shop/web", Remote: true, Version: "1.2.0"}
	if got := show(renderWith(t, r, cached)); !strings.Contains(got, "version: 1.2.0") {
		t.Error(got)
	}
	before := asked
	if got := show(renderWith(t, r, cached)); !strings.Contains(got, "version: 1.2.0") || asked != before {
		t.Errorf("%d requests for a chart that is there already: %s", asked-before, got)
	}
}

func renderWith(t *testing.T, r helm.Release, o helm.Options) (out result) {
	t.Helper()
	rendered, err := helm.Render(t.Context(), r, o, event.SinkFunc(func(event.Event) {}))
	if err != nil {
		return result{err: err}
	}
	out.objects, out.err = rendered.Template()
	return out
}

func TestRegistries(t *testing.T) {
	server := httptest.NewServer(registry.New())
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	for _, version := range []string{"1.0.0", "1.1.0+build"} {
		img, err := mutate.AppendLayers(empty.Image, static.NewLayer(pack(t, "web", version), types.MediaType("application/vnd.cncf.helm.chart.content.v1.tar+gzip")))
		if err != nil {
			t.Fatal(err)
		}
		ref, err := name.ParseReference(host + "/charts/web:" + strings.ReplaceAll(version, "+", "_"))
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, img); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ chart, repo, version, want string }{
		{"oci://" + host + "/charts/web", "", "1.0.0", "version: 1.0.0"},
		{"oci://" + host + "/charts/web", "", "", "version: 1.1.0+build"},
		{"oci://" + host + "/charts/web", "", "1.1.0+build", "version: 1.1.0+build"},
		{"oci://" + host + "/charts/web:1.0.0", "", "", "version: 1.0.0"},
		{"web", "oci://" + host + "/charts", "~1.0", "version: 1.0.0"},
		{"oci://" + host + "/charts/web", "", "2.0.0", "getting chart oci://" + host + "/charts/web"},
	} {
		r := helm.Release{Name: "r", Namespace: "default", Chart: c.chart, Repo: c.repo, Version: c.version, Remote: true}
		if got := show(renderWith(t, r, helm.Options{Dir: t.TempDir(), CacheDir: t.TempDir()})); !strings.Contains(got, c.want) {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}

// TestDependencies brings what the charts folder lacks, and leaves the chart's folder as it was.
func TestDependencies(t *testing.T) {
	asked := 0
	server := repository(t, &asked)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "app/Chart.yaml"), []byte("{apiVersion: v2, name: app, version: 1.0.0, dependencies: [{name: web, version: 1.x, repository: '"+server.URL+"'}, {name: common, version: 1.x, repository: 'file://../common'}]}"))
	write(t, filepath.Join(dir, "app/Chart.lock"), []byte("dependencies: [{name: web, version: 1.0.0, repository: '"+server.URL+"'}]"))
	write(t, filepath.Join(dir, "common/Chart.yaml"), []byte("{apiVersion: v2, name: common, version: 1.5.0}"))
	write(t, filepath.Join(dir, "common/templates/a.yaml"), []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: common}}"))
	r := helm.Release{Name: "r", Namespace: "default", Chart: filepath.Join(dir, "app"), Flags: []string{"--username", "ann", "--password", "secret"}}
	got := show(renderWith(t, r, helm.Options{Dir: dir}))
	if !strings.Contains(got, "version: 1.0.0") || !strings.Contains(got, "{name: common}") {
		t.Errorf("got %s", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "app/charts")); err == nil {
		t.Error("the chart's folder was written to")
	}
	r.SkipDependencies = true
	if got := show(renderWith(t, r, helm.Options{Dir: dir})); !strings.Contains(got, "has no web, common in its charts folder: run `helm dependency build app`") {
		t.Errorf("got %s", got)
	}
}

// TestTheCommand hands what davit cannot do itself to the helm command.
func TestTheCommand(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "b/Chart.yaml"), []byte("{apiVersion: v2, name: b, version: 1.0.0}"))
	write(t, filepath.Join(dir, "helm"), []byte("#!/bin/sh\n[ $1 = dependency ] || printf -- \"---\\n# Source: b/templates/a.yaml\\n{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {args: \\\"$*\\\"}}\\n\"\n"))
	if err := os.Chmod(filepath.Join(dir, "helm"), 0o755); err != nil {
		t.Fatal(err)
	}
	o := helm.Options{Dir: dir, LookPath: func(name string) (string, error) { return filepath.Join(dir, name), nil }}
	r := helm.Release{
		Name: "r", Namespace: "ns", Chart: filepath.Join(dir, "b"), Secrets: true, ValuesFiles: []string{"secrets.yaml"}, Global: []string{"--debug"},
		Set: []helm.Set{{Key: "a", Value: "b c"}},
	}
	got := show(renderWith(t, r, o))
	if want := "args: \"secrets template r " + dir + "/b --set a=b c -f secrets.yaml --namespace ns --debug\""; !strings.Contains(got, want) || !strings.Contains(got, "# release r: b/templates/a.yaml\n") {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := helm.Command(r), "helm secrets template r "+dir+"/b --set 'a=b c' -f secrets.yaml --namespace ns --debug"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	o.LookPath = nil
	if got := show(renderWith(t, r, o)); !strings.Contains(got, "useHelmSecrets needs the helm command with its plugin helm-secrets") {
		t.Errorf("got %s", got)
	}

	r = helm.Release{Name: "r", Namespace: "ns", Chart: filepath.Join(dir, "b"), Flags: []string{"--post-renderer", "sed", "--post-renderer-args", "s/red/blue/"}}
	write(t, filepath.Join(dir, "b/templates/a.yaml"), []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {color: red}}"))
	if got := show(renderWith(t, r, helm.Options{Dir: dir, Environ: os.Environ()})); !strings.Contains(got, "color: blue") {
		t.Errorf("got %s", got)
	}
}

// TestSecretsOneAtATime has releases side by side share a file of secrets, which the plugin decrypts in its place and takes away.
func TestSecretsOneAtATime(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "b/Chart.yaml"), []byte("{apiVersion: v2, name: b, version: 1.0.0}"))
	write(t, filepath.Join(dir, "helm"), []byte("#!/bin/sh\nmkdir "+dir+"/secrets.yaml.dec || exit 1\nsleep 0.2\nrmdir "+dir+"/secrets.yaml.dec\n"))
	if err := os.Chmod(filepath.Join(dir, "helm"), 0o755); err != nil {
		t.Fatal(err)
	}
	o := helm.Options{Dir: dir, LookPath: func(name string) (string, error) { return filepath.Join(dir, name), nil }, Secrets: new(sync.Mutex)}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			r := helm.Release{Name: "r", Chart: filepath.Join(dir, "b"), Secrets: true, SkipDependencies: true}
			if got := renderWith(t, r, o); got.err != nil {
				t.Error(got.err)
			}
		})
	}
	group.Wait()
}

// TestRealSecrets renders with helm-secrets, whose plugins are in the folder DAVIT_COMPAT_HELM_SECRETS, the helm command DAVIT_COMPAT_HELM, and sops and
// age of PATH. Releases share the encrypted file; what is in it is in no event.
func TestRealSecrets(t *testing.T) {
	command, plugins := os.Getenv("DAVIT_COMPAT_HELM"), os.Getenv("DAVIT_COMPAT_HELM_SECRETS")
	if command == "" || plugins == "" {
		t.Skip("set DAVIT_COMPAT_HELM to a helm binary and DAVIT_COMPAT_HELM_SECRETS to a folder with its plugins of helm-secrets, and have sops and age-keygen")
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "b/Chart.yaml"), []byte("{apiVersion: v2, name: b, version: 1.0.0}"))
	write(t, filepath.Join(dir, "b/templates/a.yaml"), []byte("{apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {password: {{ .Values.password }}}}"))
	write(t, filepath.Join(dir, "secrets.yaml"), []byte("password: hidden-42\n"))
	t.Setenv("SOPS_AGE_KEY_FILE", filepath.Join(dir, "key"))
	script := "age-keygen -o key 2>/dev/null && sops --encrypt --in-place --age $(age-keygen -y key) secrets.yaml && ! grep hidden secrets.yaml"
	encrypt := exec.CommandContext(t.Context(), "sh", "-c", script)
	encrypt.Dir = dir
	if out, err := encrypt.CombinedOutput(); err != nil {
		t.Fatalf("encrypting: %v: %s", err, out)
	}
	o := helm.Options{
		Dir: dir, LookPath: func(string) (string, error) { return command, nil }, Secrets: new(sync.Mutex),
		Environ: append(os.Environ(), "HELM_PLUGINS="+plugins, "PATH="+filepath.Dir(command)+string(filepath.ListSeparator)+os.Getenv("PATH")),
	}
	var said sync.Map
	var group sync.WaitGroup
	for i := range 3 {
		group.Go(func() {
			r := helm.Release{Name: fmt.Sprint("r", i), Chart: filepath.Join(dir, "b"), Secrets: true, SkipDependencies: true, ValuesFiles: []string{filepath.Join(dir, "secrets.yaml")}}
			rendered, err := helm.Render(t.Context(), r, o, event.SinkFunc(func(e event.Event) { said.Store(fmt.Sprintf("%+v", e), true) }))
			if err != nil {
				t.Error(err)
				return
			}
			objects, err := rendered.Template()
			if got := show(result{objects: objects, err: err}); !strings.Contains(got, "password: hidden-42") {
				t.Errorf("got %s", got)
			}
		})
	}
	group.Wait()
	said.Range(func(text, _ any) bool {
		if strings.Contains(text.(string), "hidden") {
			t.Errorf("an event says %s", text)
		}
		return true
	})
}
