package buildtest

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/attest"
)

func nothing(string) string { return "" }

// platforms builds for several processors without running their code, and says what is wrong when it must.
func (s *suite) platforms(t *testing.T) {
	t.Parallel()
	r := s.request(t, "FROM --platform=$BUILDPLATFORM shell AS build\nARG TARGETARCH\nRUN echo \"for $TARGETARCH\" > /made\nFROM scratch\nCOPY --from=build /made /made\n", nil)
	r.Platforms = []string{"linux/amd64", "linux/arm64"}
	result, err := s.New(t, nothing).Build(t.Context(), r, &Lines{})
	if err != nil {
		t.Fatal(err)
	}
	index, err := s.get(t, r.Ref, result.Digest).ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range manifest.Manifests {
		image, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, m.Platform.String()+" "+Files(t, image)["made"])
	}
	if want := []string{"linux/amd64 for amd64\n", "linux/arm64 for arm64\n"}; !slices.Equal(found, want) {
		t.Errorf("the index has %q, want %q", found, want)
	}

	if runtime.GOARCH != "amd64" {
		return
	}
	if registered, err := filepath.Glob("/proc/sys/fs/binfmt_misc/qemu-s390x"); err != nil || len(registered) > 0 {
		return // this machine runs foreign code
	}
	r = s.request(t, "FROM --platform=linux/amd64 shell AS base\nFROM scratch\nCOPY --from=base / /\nRUN [\"/bin/foreign\"]\n", nil)
	spec := r.Spec.(build.Docker)
	// An ELF header that says s390x.
	header := "\x7fELF\x02\x02\x01" + strings.Repeat("\x00", 9) + "\x00\x02\x00\x16" + strings.Repeat("\x00", 44)
	Write(t, spec.Context, map[string]string{"foreign": header, "Dockerfile": "FROM scratch\nCOPY foreign /bin/foreign\nRUN [\"/bin/foreign\"]\n"})
	if err := os.Chmod(filepath.Join(spec.Context, "foreign"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.Platforms = []string{"linux/s390x"}
	_, err = s.New(t, nothing).Build(t.Context(), r, &Lines{})
	for _, want := range []string{"linux/s390x", "RUN [\"/bin/foreign\"]", "binfmt", "BUILDPLATFORM"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in: %v", want, err)
		}
	}
}

// cache takes what another build left: in the registry, and in the image itself.
func (s *suite) cache(t *testing.T) {
	t.Parallel()
	dockerfile := "FROM shell\nCOPY input /\nRUN date +%s%N > /date\n"
	r := s.request(t, dockerfile, map[string]string{"input": t.Name()})
	spec := r.Spec.(build.Docker)
	spec.CacheTo, spec.CacheFrom = []string{"type=inline"}, []string{r.Ref}
	r.Spec = spec
	first, err := s.New(t, nothing).Build(t.Context(), r, &Lines{})
	if err != nil {
		t.Fatal(err)
	}
	_, before := s.pushed(t, r.Ref, first.Digest)
	again, err := s.New(t, nothing).Build(t.Context(), r, &Lines{})
	if err != nil {
		t.Fatal(err)
	}
	image, files := s.pushed(t, r.Ref, again.Digest)
	config, err := image.RawConfigFile()
	if err != nil || !bytes.Contains(config, []byte("moby.buildkit.cache")) {
		t.Errorf("the image holds no cache of its own (%v): %s", err, config)
	}
	if before["date"] != files["date"] {
		t.Errorf("the step ran again: %q, then %q", before["date"], files["date"])
	}
	spec.NoCache = true
	r.Spec = spec
	fresh, err := s.New(t, nothing).Build(t.Context(), r, &Lines{})
	if err != nil || fresh.Digest == first.Digest {
		t.Errorf("noCache gave %v (%v)", fresh, err)
	}
}

// collector takes an archive.
type collector struct {
	bytes.Buffer
	closed bool
}

func (c *collector) Close() error { c.closed = true; return nil }

// archive takes the image as docker load would.
func (s *suite) archive(t *testing.T) {
	t.Parallel()
	r := s.request(t, "FROM shell\nRUN echo archived > /file\n", nil)
	taken := &collector{}
	r.Push, r.Archive = false, func() (io.WriteCloser, error) { return taken, nil }
	result, err := s.New(t, nothing).Build(t.Context(), r, &Lines{})
	if err != nil {
		t.Fatal(err)
	}
	if !taken.closed {
		t.Error("the archive was not closed")
	}
	var tags []string
	for archive := tar.NewReader(bytes.NewReader(taken.Bytes())); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Name == "manifest.json" {
			var manifest []struct{ RepoTags []string }
			if err := json.NewDecoder(archive).Decode(&manifest); err != nil {
				t.Fatal(err)
			}
			tags = manifest[0].RepoTags
		}
	}
	if !slices.Equal(tags, []string{r.Ref}) {
		t.Errorf("the archive's image is called %v, want %s", tags, r.Ref)
	}
	image, err := tarball.Image(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(taken.Bytes())), nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := image.ConfigName(); err != nil || id.String() != result.ImageID || result.Digest != result.ImageID {
		t.Errorf("the archive's image is %s (%v), the build says %v", id, err, result)
	}
	if files := Files(t, image); files["file"] != "archived\n" {
		t.Errorf("file %q", files["file"])
	}
	full := errors.New("no space left on the cluster's disk")
	r.Archive = func() (io.WriteCloser, error) { return refusing{full}, nil }
	if _, err := s.New(t, nothing).Build(t.Context(), r, &Lines{}); !errors.Is(err, full) {
		t.Errorf("error %v, want the one of the side that takes the archive", err)
	}
}

type refusing struct{ err error }

func (r refusing) Write([]byte) (int, error) { return 0, r.err }
func (r refusing) Close() error              { return nil }

// attestations attaches provenance and an SBOM.
func (s *suite) attestations(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	scanner := "#!/bin/sh\ngrep -q manifests \"$1/index.json\" && echo '{\"spdxVersion\": \"SPDX-2.3\"}'\n"
	if err := os.WriteFile(filepath.Join(dir, "davit-sbom"), []byte(scanner), 0o755); err != nil {
		t.Fatal(err)
	}
	r := s.request(t, "FROM shell\nARG PLAIN\nRUN echo attested > /file\n", nil)
	spec := r.Spec.(build.Docker)
	spec.BuildArgs = map[string]string{"PLAIN": "value-of-an-argument"}
	r.Spec, r.Attest = spec, []build.Attestation{{Kind: "provenance"}, {Kind: "sbom"}}
	b := attest.Around(s.New(t, nothing), attest.Options{
		Keychain: authn.DefaultKeychain, Now: time.Now, Scanner: attest.FindScanner(dir, []string{"PATH=/usr/bin:/bin"}, func(string) (string, error) { return "", os.ErrNotExist }),
	})
	result, err := b.Build(t.Context(), r, &Lines{})
	if err != nil {
		t.Fatal(err)
	}
	index, err := s.get(t, r.Ref, result.Digest).ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 2 {
		t.Fatalf("%d manifests, want the image and what is attested about it", len(manifest.Manifests))
	}
	about, held := manifest.Manifests[0], manifest.Manifests[1]
	if held.Annotations["vnd.docker.reference.digest"] != about.Digest.String() || about.Platform.OS != "linux" || held.Platform.OS != "unknown" {
		t.Errorf("%+v is attested by %+v", about, held)
	}
	image, err := index.Image(held.Digest)
	if err != nil {
		t.Fatal(err)
	}
	statements, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, l := range statements.Layers {
		kinds = append(kinds, l.Annotations["in-toto.io/predicate-type"])
		if text := layer(t, image, l.Digest); strings.Contains(text, "value-of-an-argument") {
			t.Errorf("the value of a build argument is told: %s", text)
		}
	}
	slices.Sort(kinds)
	if want := []string{"https://slsa.dev/provenance/v1", "https://spdx.dev/Document"}; !slices.Equal(kinds, want) {
		t.Errorf("statements %v, want %v", kinds, want)
	}
}

func layer(t *testing.T, image v1.Image, digest v1.Hash) string {
	t.Helper()
	l, err := image.LayerByDigest(digest)
	if err != nil {
		t.Fatal(err)
	}
	content, err := l.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	b, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// cancel ends a build in mid-step.
func (s *suite) cancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	r := s.request(t, "FROM shell\nRUN echo the step runs; sleep 1000\n", nil)
	log := &Lines{}
	ended := make(chan error, 1)
	go func() {
		_, err := s.New(t, nothing).Build(ctx, r, log)
		ended <- err
	}()
	for !strings.Contains(log.String(), "the step runs") {
		select {
		case err := <-ended:
			t.Fatalf("it ended before it was cancelled: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}
