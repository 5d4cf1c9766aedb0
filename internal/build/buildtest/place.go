// Package buildtest is what davit asks of every BuildKit: one suite of Dockerfiles, run for real at each kind of place, whose images are read
// back from the registry by a client that has nothing to do with BuildKit.
package buildtest

import (
	"archive/tar"
	"cmp"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/event"
)

// Place is a BuildKit that the suite runs at.
type Place struct {
	// New makes a Builder there. Build secrets and SSH_AUTH_SOCK come from getenv.
	New func(t *testing.T, getenv func(string) string) build.Builder
	// Registry is a registry's host, with a path if need be, that the BuildKit pushes to.
	Registry string
	// Network is that of RUN steps, for a daemon without a bridge.
	Network string
	// Address is the IP address of this machine as the place reaches it; 127.0.0.1 when empty.
	Address string
	// Old is set for the BuildKit of the Docker Engine 20.10, which says clearly what it cannot do.
	Old bool
}

// Run builds everything of the suite.
func Run(t *testing.T, p Place) {
	p.Address = cmp.Or(p.Address, "127.0.0.1")
	s := &suite{Place: p}
	s.base = s.makeBase(t)
	for _, c := range slices.Concat(s.dockerfiles(t), s.sources(t), s.failures()) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s.check(t, c)
		})
	}
	t.Run("platforms", s.platforms)
	t.Run("cache", s.cache)
	t.Run("archive", s.archive)
	t.Run("attestations", s.attestations)
	t.Run("cancel", s.cancel)
}

type suite struct {
	Place
	base string // reference of an image with a shell, in the registry
}

// testCase is one build and what it must make.
type testCase struct {
	name       string
	dockerfile string            // FROM shell is an image with busybox
	files      map[string]string // the context
	change     func(*build.Request, *build.Docker)
	env        map[string]string
	want       map[string]string // files in the image
	config     func(*testing.T, *v1.ConfigFile)
	layers     int // 0: any number
	fails      []string
	old        string // what an Old place says instead; empty: it can, too
}

func (s *suite) check(t *testing.T, c testCase) {
	t.Helper()
	r := s.request(t, c.dockerfile, c.files)
	spec := r.Spec.(build.Docker)
	if c.change != nil {
		c.change(&r, &spec)
	}
	r.Spec = spec
	log := &Lines{}
	result, err := s.New(t, func(name string) string { return c.env[name] }).Build(t.Context(), r, log)
	if s.Old && c.old != "" {
		c.fails = []string{c.old}
	}
	if len(c.fails) > 0 {
		if err == nil {
			t.Fatalf("it built; want an error with %q\n%s", c.fails, log)
		}
		for _, want := range c.fails {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("want %q in:\n%v", want, err)
			}
		}
		return
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	image, files := s.pushed(t, r.Ref, result.Digest)
	for file, want := range c.want {
		if files[file] != want {
			t.Errorf("file %s holds %q, want %q", file, files[file], want)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c.config != nil {
		c.config(t, config)
	}
	if layers, err := image.Layers(); err != nil || c.layers > 0 && len(layers) != c.layers || len(layers) != len(config.RootFS.DiffIDs) {
		t.Errorf("%d layers and %d in the configuration (%v), want %d", len(layers), len(config.RootFS.DiffIDs), err, c.layers)
	}
	for _, secret := range c.env {
		if len(secret) > 5 && strings.Contains(log.String(), secret) {
			t.Errorf("the secret %s is in the log:\n%s", secret, log)
		}
	}
}

// request is a build of a Dockerfile and its context, pushed under the test's name.
func (s *suite) request(t *testing.T, dockerfile string, files map[string]string) build.Request {
	t.Helper()
	dir := t.TempDir()
	Write(t, dir, map[string]string{"Dockerfile": fromShell.ReplaceAllString(dockerfile, "${1}"+s.base)})
	Write(t, dir, files)
	return build.Request{
		Image: "app", Ref: s.Registry + "/" + repository(t) + ":v1", Push: true, Insecure: []string{host(s.Registry)},
		Spec: build.Docker{Context: dir, Dockerfile: filepath.Join(dir, "Dockerfile"), Network: s.Network},
	}
}

var fromShell = regexp.MustCompile(`(?m)^(FROM (?:--platform=\S+ )?)shell\b`)

func repository(t *testing.T) string {
	return strings.ReplaceAll(strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '/':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, t.Name()), "-"), "/-", "/")
}

func host(registry string) string {
	host, _, _ := strings.Cut(registry, "/")
	return host
}

// makeBase pushes an image with a shell, made from this machine's busybox.
func (s *suite) makeBase(t *testing.T) string {
	t.Helper()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("these tests need a static busybox (apt-get install busybox-static): %v", err)
	}
	r := s.request(t, "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"chmod\", \"755\", \"/bin/busybox\"]\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n",
		map[string]string{"busybox": string(busybox)})
	dir := r.Spec.(build.Docker).Context
	if err := os.Chmod(filepath.Join(dir, "busybox"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.Ref = s.Registry + "/" + repository(t) + "-base:v1"
	result, err := s.New(t, func(string) string { return "" }).Build(t.Context(), r, &Lines{})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(r.Ref, ":v1") + "@" + result.Digest
}

// get reads what the registry has under a reference; its digest must be the build's.
func (s *suite) get(t *testing.T, ref, digest string) *remote.Descriptor {
	t.Helper()
	parsed, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	found, err := remote.Get(parsed)
	if err != nil {
		t.Fatal(err)
	}
	if found.Digest.String() != digest {
		t.Errorf("the registry has %s, the build says %s", found.Digest, digest)
	}
	return found
}

// pushed reads an image of one platform and the files in it.
func (s *suite) pushed(t *testing.T, ref, digest string) (v1.Image, map[string]string) {
	t.Helper()
	found := s.get(t, ref, digest)
	if !found.MediaType.IsImage() {
		t.Errorf("the registry has a %s, want an image", found.MediaType)
	}
	image, err := found.Image()
	if err != nil {
		t.Fatal(err)
	}
	return image, Files(t, image)
}

// Files are the regular files of an image.
func Files(t *testing.T, image v1.Image) map[string]string {
	t.Helper()
	files := map[string]string{}
	content := mutate.Extract(image)
	defer content.Close()
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Size > 1<<16 {
			continue
		}
		b, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = string(b)
	}
}

// Lines collects what a build says.
type Lines struct {
	mu  sync.Mutex
	all []string
}

// Emit implements event.Sink.
func (l *Lines) Emit(e event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e := e.(type) {
	case event.ArtifactLog:
		l.all = append(l.all, e.Line)
	case event.Warning:
		l.all = append(l.all, "warning: "+e.Message)
	}
}

func (l *Lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

// Write writes files into a folder.
func Write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
