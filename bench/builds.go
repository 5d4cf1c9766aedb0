package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// What is built: this many artifacts of this many files, this many on one base, and a context of this many files of a megabyte.
const (
	builtArtifacts  = 100
	filesOfArtifact = 50
	onOneBase       = 20
	megabytes       = 1024
)

// builds compares builds of Dockerfiles in one Docker Engine. It needs root and dockerd, but no cluster.
func (b *bench) builds(ctx context.Context) error {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	home, socket, bin := filepath.Join(b.tmp, "home"), filepath.Join(b.tmp, "docker.sock"), filepath.Join(b.tmp, "bin")
	// Nothing but docker on PATH: the reference asks a gcloud that it finds there for credentials before each build, which takes seconds.
	if err := os.Mkdir(bin, 0o700); err != nil {
		return err
	}
	docker, err := exec.LookPath("docker")
	if err != nil {
		return err
	}
	if err := os.Symlink(docker, filepath.Join(bin, "docker")); err != nil {
		return err
	}
	b.env = append(os.Environ(), "PATH="+bin, "HOME="+home, "XDG_CACHE_HOME="+filepath.Join(home, ".cache"), "KUBECONFIG="+filepath.Join(home, "none"),
		"DOCKER_HOST=unix://"+socket, "SKAFFOLD_UPDATE_CHECK=false", "SKAFFOLD_INTERACTIVE=false",
		"SKAFFOLD_DEFAULT_REPO="+strings.TrimPrefix(server.URL, "http://"))
	stop, err := b.startDocker(ctx, socket)
	if err != nil {
		return err
	}
	defer stop()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return fmt.Errorf("it needs a static busybox (apt-get install busybox-static): %w", err)
	}
	for _, c := range []struct {
		title string
		files func(add func(name, text string))
		edit  func(side, int) error
	}{
		{fmt.Sprintf("first build, %d artifacts", builtArtifacts), func(add func(name, text string)) { manyArtifacts(add) }, editAll},
		{fmt.Sprintf("base changed under %d", onOneBase), func(add func(name, text string)) { oneBase(add, string(busybox)) }, editFile("base/base.txt")},
		{"1 GB context, a file changed", bigContext, editFile("app/main.txt")},
	} {
		ref, own := side{binary: b.reference, dir: filepath.Join(b.tmp, "ref"), namespace: "bench-ref"}, side{binary: b.davit, dir: filepath.Join(b.tmp, "own"), namespace: "bench-own"}
		for _, s := range []side{ref, own} {
			if err := os.RemoveAll(s.dir); err != nil {
				return err
			}
			if err := writeAll(s.dir, c.files); err != nil {
				return err
			}
			if _, err := b.measure(ctx, s, "build", "--quiet"); err != nil { // fills the caches, not counted
				return err
			}
		}
		if err := b.compare(ctx, c.title, ref, own, c.edit, "build", "--quiet"); err != nil {
			return err
		}
	}
	return nil
}

// writeAll writes a project.
func writeAll(dir string, files func(add func(name, text string))) error {
	var failed error
	files(func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil && failed == nil {
			failed = err
		}
		mode := os.FileMode(0o644)
		if filepath.Base(name) == "busybox" {
			mode = 0o755
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil && failed == nil {
			failed = err
		}
	})
	return failed
}

const buildsHead = "apiVersion: skaffold/v4beta11\nkind: Config\nbuild:\n  tagPolicy: {sha256: {}}\n  local: {push: true}\n  artifacts:\n"

func manyArtifacts(add func(name, text string)) {
	var config strings.Builder
	config.WriteString(buildsHead)
	for i := range builtArtifacts {
		dir := fmt.Sprintf("service-%d", i)
		fmt.Fprintf(&config, "  - {image: %s, context: %s}\n", dir, dir)
		add(dir+"/Dockerfile", "FROM scratch\nCOPY . /app/\nCMD [\"/app/run\"]\n")
		for n := range filesOfArtifact {
			add(fmt.Sprintf("%s/src/file-%d", dir, n), fmt.Sprintf("file %d of %s\n", n, dir))
		}
	}
	add("skaffold.yaml", config.String())
}

// editAll makes every artifact a new one.
func editAll(s side, round int) error {
	for i := range builtArtifacts {
		if err := editFile(fmt.Sprintf("service-%d/src/file-0", i))(s, round); err != nil {
			return err
		}
	}
	return nil
}

func oneBase(add func(name, text string), busybox string) {
	var config strings.Builder
	config.WriteString(buildsHead + "  - {image: base, context: base}\n")
	add("base/Dockerfile", "FROM scratch\nCOPY busybox /bin/sh\nCOPY base.txt /\n")
	add("base/busybox", busybox)
	add("base/base.txt", "first\n")
	for i := range onOneBase {
		dir := fmt.Sprintf("service-%d", i)
		fmt.Fprintf(&config, "  - image: %[1]s\n    context: %[1]s\n    requires: [{image: base, alias: BASE}]\n    docker: {network: host}\n", dir)
		add(dir+"/Dockerfile", "ARG BASE\nFROM $BASE\nCOPY . /app/\nRUN echo made > /made\n")
		for n := range filesOfArtifact {
			add(fmt.Sprintf("%s/src/file-%d", dir, n), fmt.Sprintf("file %d of %s\n", n, dir))
		}
	}
	add("skaffold.yaml", config.String())
}

// bigContext is large, and only a small layer of it changes.
func bigContext(add func(name, text string)) {
	add("skaffold.yaml", strings.Replace(buildsHead, "push: true", "push: false", 1)+"  - {image: app, context: app}\n")
	add("app/Dockerfile", "FROM scratch\nCOPY assets /assets/\nCOPY main.txt /\n")
	add("app/main.txt", "first\n")
	block := strings.Repeat("0123456789abcde\n", 1<<16)
	for n := range megabytes {
		add(fmt.Sprintf("app/assets/%d/%d", n/64, n), fmt.Sprintf("%08d", n)+block[8:])
	}
}

func editFile(name string) func(side, int) error {
	return func(s side, round int) error {
		text := fmt.Sprintf("edited in round %d at %s\n", round, time.Now().Format(time.RFC3339Nano))
		return os.WriteFile(filepath.Join(s.dir, filepath.FromSlash(name)), []byte(text), 0o644)
	}
}
