package attest_test

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/attest"
	"github.com/davit-dev/davit/internal/event"
)

// pusher is a builder that only pushes: an image, or an index of several.
type pusher struct{ platforms []string }

func (p pusher) Build(_ context.Context, r build.Request, _ event.Sink) (build.Result, error) {
	ref, err := name.ParseReference(r.Ref)
	if err != nil {
		return build.Result{}, err
	}
	var images []mutate.IndexAddendum
	for _, text := range p.platforms {
		image, err := random.Image(100, 1)
		if err != nil {
			return build.Result{}, err
		}
		platform, err := v1.ParsePlatform(text)
		if err != nil {
			return build.Result{}, err
		}
		config, err := image.ConfigFile()
		if err != nil {
			return build.Result{}, err
		}
		config.OS, config.Architecture = platform.OS, platform.Architecture
		if image, err = mutate.ConfigFile(image, config); err != nil {
			return build.Result{}, err
		}
		if len(p.platforms) == 1 {
			digest, err := image.Digest()
			if err != nil {
				return build.Result{}, err
			}
			return build.Result{Digest: digest.String()}, remote.Write(ref, image)
		}
		images = append(images, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	index := mutate.AppendManifests(empty.Index, images...)
	digest, err := index.Digest()
	if err != nil {
		return build.Result{}, err
	}
	return build.Result{Digest: digest.String()}, remote.WriteIndex(ref, index)
}

// options have a scanner that looks whether it gets an image.
func options(t *testing.T) attest.Options {
	dir := t.TempDir()
	script := "#!/bin/sh\ngrep -q manifests \"$1/index.json\" && echo '{\"spdxVersion\": \"SPDX-2.3\", \"name\": \"found\"}'\n"
	if err := os.WriteFile(filepath.Join(dir, "davit-sbom"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return attest.Options{
		Keychain: authn.DefaultKeychain, Now: time.Now, Version: "test",
		Scanner: attest.FindScanner(dir, os.Environ(), func(string) (string, error) { return "", os.ErrNotExist }),
	}
}

func serve(t *testing.T, wrap func(http.Handler) http.Handler) string {
	server := httptest.NewServer(wrap(registry.New(registry.Logger(log.New(io.Discard, "", 0)))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// quiet hears nothing.
var quiet = event.SinkFunc(func(event.Event) {})

func plain(h http.Handler) http.Handler { return h }

var both = []build.Attestation{{Kind: "provenance"}, {Kind: "sbom"}}

// attested reads the statements about each image of an index with an independent client: predicate types by the digest of what they are about.
func attested(t *testing.T, host, digest string) (images []v1.Descriptor, statements map[string]map[string]json.RawMessage) {
	t.Helper()
	ref, err := name.NewDigest(host + "/app@" + digest)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	statements = map[string]map[string]json.RawMessage{}
	for _, m := range manifest.Manifests {
		if m.Annotations["vnd.docker.reference.type"] != "attestation-manifest" {
			images = append(images, m)
			continue
		}
		if m.Platform.String() != "unknown/unknown" {
			t.Errorf("an attestation manifest for %s", m.Platform)
		}
		image, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		layers, err := image.Layers()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range layers {
			content, err := l.Compressed()
			if err != nil {
				t.Fatal(err)
			}
			var statement struct {
				Type          string `json:"_type"`
				PredicateType string
				Subject       []struct {
					Name   string
					Digest map[string]string
				}
				Predicate json.RawMessage
			}
			if err := json.NewDecoder(content).Decode(&statement); err != nil {
				t.Fatal(err)
			}
			about := m.Annotations["vnd.docker.reference.digest"]
			if statement.Type != "https://in-toto.io/Statement/v1" || "sha256:"+statement.Subject[0].Digest["sha256"] != about ||
				!strings.HasPrefix(statement.Subject[0].Name, "pkg:docker/127.0.0.1%3A") {
				t.Errorf("statement %+v about %s", statement, about)
			}
			if statements[about] == nil {
				statements[about] = map[string]json.RawMessage{}
			}
			statements[about][statement.PredicateType] = statement.Predicate
		}
	}
	return images, statements
}

func TestWhatIsAttached(t *testing.T) {
	for _, platforms := range [][]string{{"linux/amd64"}, {"linux/amd64", "linux/arm64"}} {
		host := serve(t, plain)
		spec := build.Docker{Context: "/src", Dockerfile: "/src/docker/Dockerfile", Target: "web", BuildArgs: map[string]string{"TOKEN": "value"}}
		r := build.Request{Image: "app", Ref: host + "/app:v1", Push: true, Attest: both, Spec: spec}
		result, err := attest.Around(pusher{platforms}, options(t)).Build(t.Context(), r, quiet)
		if err != nil {
			t.Fatal(err)
		}
		tag, err := name.ParseReference(r.Ref)
		if err != nil {
			t.Fatal(err)
		}
		if tagged, err := remote.Head(tag); err != nil || tagged.Digest.String() != result.Digest {
			t.Errorf("the tag names %v (%v), want %s", tagged, err, result.Digest)
		}
		images, statements := attested(t, host, result.Digest)
		if len(images) != len(platforms) {
			t.Errorf("%d images for %v", len(images), platforms)
		}
		for _, m := range images {
			about := statements[m.Digest.String()]
			provenance, sbom := string(about["https://slsa.dev/provenance/v1"]), string(about["https://spdx.dev/Document"])
			if !strings.Contains(sbom, `"found"`) || !strings.Contains(provenance, `"docker/Dockerfile"`) || !strings.Contains(provenance, `"TOKEN"`) {
				t.Errorf("%s: sbom %s, provenance %s", m.Platform, sbom, provenance)
			}
			if strings.Contains(provenance, `"value"`) {
				t.Errorf("the value of a build argument is told without mode=max: %s", provenance)
			}
		}
	}
}

// What is attached already stays, and is not attached twice.
func TestOnlyWhatIsMissingIsAttached(t *testing.T) {
	host := serve(t, plain)
	r := build.Request{Image: "app", Ref: host + "/app:v1", Push: true, Attest: both[:1], Spec: build.Custom{Command: "make"}}
	inner := attest.Around(pusher{[]string{"linux/amd64"}}, options(t))
	first, err := inner.Build(t.Context(), r, quiet)
	if err != nil {
		t.Fatal(err)
	}
	_, before := attested(t, host, first.Digest)
	r.Attest = both
	again, err := attest.Around(fixed{first}, options(t)).Build(t.Context(), r, quiet)
	if err != nil {
		t.Fatal(err)
	}
	images, after := attested(t, host, again.Digest)
	about := images[0].Digest.String()
	const slsa = "https://slsa.dev/provenance/v1"
	if len(after[about]) != 2 || string(after[about][slsa]) != string(before[about][slsa]) {
		t.Errorf("before %s\nafter %s", before, after)
	}
}

type fixed struct{ result build.Result }

func (f fixed) Build(context.Context, build.Request, event.Sink) (build.Result, error) {
	return f.result, nil
}

func TestAttestingFails(t *testing.T) {
	host := serve(t, plain)
	base := build.Request{Image: "app", Ref: host + "/app:v1", Push: true, Spec: build.Custom{Command: "make"}}
	for name, c := range map[string]struct {
		attest build.Attestation
		change func(*attest.Options)
		want   string
	}{
		"unknown kind": {build.Attestation{Kind: "poem"}, nil, `no attestation "poem"`},
		"unknown mode": {build.Attestation{Kind: "provenance", Attrs: map[string]string{"mode": "all"}}, nil, `not "all"`},
		"generator":    {build.Attestation{Kind: "sbom", Attrs: map[string]string{"generator": "some/image"}}, nil, "some/image"},
		"no scanner": {build.Attestation{Kind: "sbom"}, func(o *attest.Options) {
			o.Scanner = attest.FindScanner("/none", nil, func(string) (string, error) { return "", os.ErrNotExist })
		}, "install syft"},
		"scanner fails": {build.Attestation{Kind: "sbom"}, func(o *attest.Options) {
			o.Scanner = attest.Command{Args: []string{"/bin/sh", "-c", "echo why >&2; exit 3"}}
		}, "why"},
		"scanner says nothing": {build.Attestation{Kind: "sbom"}, func(o *attest.Options) { o.Scanner = attest.Command{Args: []string{"/bin/true"}} }, "no SPDX document"},
	} {
		o, r := options(t), base
		r.Attest = []build.Attestation{c.attest}
		if c.change != nil {
			c.change(&o)
		}
		_, err := attest.Around(pusher{[]string{"linux/amd64"}}, o).Build(t.Context(), r, quiet)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

func TestRegistryInTrouble(t *testing.T) {
	var n atomic.Int32
	host := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/v1") && n.Add(1) > 1 && n.Load() < 4 {
				http.Error(w, "slow down", []int{http.StatusTooManyRequests, http.StatusInternalServerError}[n.Load()%2])
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	r := build.Request{Image: "app", Ref: host + "/app:v1", Push: true, Attest: both[:1], Spec: build.Custom{}}
	if _, err := attest.Around(pusher{[]string{"linux/amd64"}}, options(t)).Build(t.Context(), r, quiet); err != nil {
		t.Fatal(err)
	}
}
