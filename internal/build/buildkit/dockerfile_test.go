//go:build linux

package buildkit_test

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/event"
)

// pushed reads an image from its registry with a client that has nothing to do with BuildKit.
func pushed(t *testing.T, r build.Request, result build.Result) (v1.Image, map[string]string) {
	t.Helper()
	ref, err := name.ParseReference(r.Ref)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := remote.Get(ref)
	if err != nil {
		t.Fatal(err)
	}
	if !manifest.MediaType.IsImage() || manifest.Digest.String() != result.Digest {
		t.Errorf("the registry has a %s %s, want the image %s", manifest.MediaType, manifest.Digest, result.Digest)
	}
	image, err := manifest.Image()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	content := mutate.Extract(image)
	defer content.Close()
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return image, files
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = string(b)
	}
}

func TestEverythingThatADockerfileIsGiven(t *testing.T) {
	other := project(t, map[string]string{"from-other": "named context"})
	elsewhere := project(t, map[string]string{"secret": "from a file"})
	t.Setenv("SECRET_IN_ENV", "from the environment")
	dir := withShell(t, "", map[string]string{
		"docker/Dockerfile.web": `# syntax=docker/dockerfile:1.4
FROM scratch AS shell
COPY --chmod=755 busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
FROM shell AS wanted
ARG GREETING
COPY --from=other from-other /other
COPY . /context/
COPY <<END /here
here-document
END
RUN echo "$GREETING" > /greeting
RUN --mount=type=secret,id=file --mount=type=secret,id=env cat /run/secrets/file > /secret && cat /run/secrets/env >> /secret
RUN cp /etc/hosts /hosts
RUN --network=none true
FROM wanted AS unwanted
RUN exit 1
`,
		"docker/Dockerfile.web.dockerignore": "ignored\nbusybox2\n",
		"ignored":                            "x",
		"kept":                               "y",
		".dockerignore":                      "kept\n",
	})
	r := request(t, dir, func(r *build.Request, d *build.Docker) {
		d.Dockerfile = filepath.Join(dir, "docker/Dockerfile.web")
		d.Target = "wanted"
		d.BuildArgs = map[string]string{"GREETING": "hello, world"}
		d.Labels = map[string]string{"who": "davit"}
		d.AddHosts = []string{"somewhere:10.1.2.3"}
		d.Network = "host"
		d.Contexts = map[string]string{"other": other}
		d.Secrets = []build.Secret{{ID: "file", Source: filepath.Join(elsewhere, "secret")}, {ID: "env", Env: "SECRET_IN_ENV"}}
	})
	result, _ := mustBuild(t, newCarried(shared.carried), r)
	image, files := pushed(t, r, result)
	for file, want := range map[string]string{
		"greeting":     "hello, world\n",
		"other":        "named context",
		"secret":       "from a filefrom the environment",
		"here":         "here-document\n",
		"context/kept": "y",
	} {
		if files[file] != want {
			t.Errorf("file %s holds %q, want %q", file, files[file], want)
		}
	}
	if _, there := files["context/ignored"]; there {
		t.Error("Dockerfile.web.dockerignore did not count")
	}
	if !strings.Contains(files["hosts"], "10.1.2.3\tsomewhere") {
		t.Errorf("hosts: %s", files["hosts"])
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.Labels["who"] != "davit" {
		t.Errorf("labels %v", config.Config.Labels)
	}
}

func TestAgainGivesTheSameDigest(t *testing.T) {
	t.Parallel()
	r := request(t, withShell(t, "FROM shell\nRUN date > /date\n", nil))
	first, _ := mustBuild(t, newCarried(shared.carried), r)
	again, log := mustBuild(t, newCarried(shared.carried), r)
	if first != again {
		t.Errorf("first %v, again %v\n%s", first, again, log)
	}
	r.Spec = func() build.Docker { d := r.Spec.(build.Docker); d.NoCache = true; return d }()
	if fresh, _ := mustBuild(t, newCarried(shared.carried), r); fresh == first {
		t.Error("noCache gave the same image")
	}
}

func TestSourceDateEpoch(t *testing.T) {
	t.Parallel()
	r := request(t, withShell(t, "FROM shell\nRUN echo same > /file\n", nil), func(_ *build.Request, d *build.Docker) {
		d.BuildArgs = map[string]string{"SOURCE_DATE_EPOCH": "1700000000"}
	})
	first, _ := mustBuild(t, newCarried(shared.carried), r)
	time.Sleep(time.Second) // times in layers are whole seconds
	if elsewhere, _ := mustBuild(t, newCarried(ownDaemon(t)), r); elsewhere != first {
		t.Errorf("another daemon makes %v of what was %v", elsewhere, first)
	}
}

func TestPlatforms(t *testing.T) {
	r := request(t, project(t, map[string]string{"Dockerfile": "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /\n", "amd64": "a", "arm64": "b"}))
	r.Platforms = []string{"linux/amd64", "linux/arm64"}
	result, _ := mustBuild(t, newCarried(shared.carried), r)
	ref, err := name.ParseReference(r.Ref)
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
	if digest, err := index.Digest(); err != nil || digest.String() != result.Digest {
		t.Errorf("digest %v (%v), want %s", digest, err, result.Digest)
	}
	if len(manifest.Manifests) != 2 {
		t.Errorf("the index holds %d images, want the two platforms and nothing else", len(manifest.Manifests))
	}
}

func TestOnlyWhatChangedIsSent(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789abcdef", 1<<16)
	dir := project(t, map[string]string{
		"Dockerfile": "FROM scratch\nCOPY . /\n", "a": big, "b": "b" + big, "c": "c" + big, "small": "before",
	})
	r := request(t, dir)
	if _, log := mustBuild(t, newCarried(shared.carried), r); !strings.Contains(log, "transferring context: 3.1") {
		t.Errorf("the first build sends 3.1 MB:\n%s", log)
	}
	if err := os.WriteFile(filepath.Join(dir, "small"), []byte("after"), 0o644); err != nil {
		t.Fatal(err)
	}
	result, log := mustBuild(t, newCarried(shared.carried), r)
	if !regexp.MustCompile(`transferring context: \d+B done`).MatchString(log) {
		t.Errorf("the second build sends a few bytes:\n%s", log)
	}
	if _, files := pushed(t, r, result); files["small"] != "after" {
		t.Errorf("the image has the file %q", files["small"])
	}
}

func TestCacheFromRegistry(t *testing.T) {
	t.Parallel()
	cache := shared.registry + "/cache:latest"
	r := request(t, withShell(t, "FROM shell\nRUN date > /date\n", nil), func(_ *build.Request, d *build.Docker) {
		d.CacheTo = []string{"type=registry,mode=max,ref=" + cache}
		d.CacheFrom = []string{cache}
	})
	first, _ := mustBuild(t, newCarried(shared.carried), r)
	again, log := mustBuild(t, newCarried(ownDaemon(t)), r)
	firstFiles, againFiles := func() (a, b string) {
		_, x := pushed(t, r, first)
		_, y := pushed(t, r, again)
		return x["date"], y["date"]
	}()
	if firstFiles != againFiles || !strings.Contains(log, "CACHED") {
		t.Errorf("another daemon did not use the cache:\n%s", log)
	}
}

func TestFailures(t *testing.T) {
	withFile := map[string]string{"there": "x", ".dockerignore": "there\n"}
	for name, c := range map[string]struct {
		dockerfile string
		change     func(*build.Request, *build.Docker)
		line, code int
		want       []string
	}{
		"step":     {"RUN echo out; echo err >&2; \\\n  exit 3\nRUN true\n", nil, 5, 3, []string{"RUN echo out", "  out\n", "  err\n", ">>>   6 |   exit 3"}},
		"parse":    {"RUNN true\n", nil, 5, 0, []string{"RUNN (did you mean RUN?)", ">>>   5 | RUNN true"}},
		"missing":  {"COPY not-there /\n", nil, 5, 0, []string{`"not-there" is not in the build context /`}},
		"hidden":   {"COPY there /\n", nil, 5, 0, []string{`"there" is in the build context`, `hidden by`, `.dockerignore`}},
		"pull":     {"FROM 127.0.0.1:1/base:v1\n", nil, 5, 0, []string{"pulling 127.0.0.1:1/base", "cannot be reached", "connection refused"}},
		"no image": {"FROM " + shared.registry + "/none:v1\n", nil, 5, 0, []string{"pulling " + shared.registry + "/none", "no such image"}},
		"target":   {"", func(_ *build.Request, d *build.Docker) { d.Target = "none" }, 0, 0, []string{`target stage "none" could not be found`}},
		"push":     {"", func(r *build.Request, _ *build.Docker) { r.Ref = "127.0.0.1:1/a/b:v1" }, 0, 0, []string{"pushing 127.0.0.1:1/a/b", "cannot be reached", "connection refused"}},
		"network":  {"", func(_ *build.Request, d *build.Docker) { d.Network = "container:x" }, 0, 0, []string{"container:x", "host, none and bridge"}},
		"secret": {"", func(_ *build.Request, d *build.Docker) { d.Secrets = []build.Secret{{ID: "s", Source: "/none"}} }, 0, 0,
			[]string{"build secret s", "/none"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			change := func(r *build.Request, d *build.Docker) {}
			if c.change != nil {
				change = c.change
			}
			_, err := newCarried(shared.carried).Build(t.Context(), request(t, withShell(t, "FROM shell\n"+c.dockerfile, withFile), change), &lines{})
			if err == nil {
				t.Fatal("it built")
			}
			var step *build.StepError
			if c.line > 0 && (!errors.As(err, &step) || step.Excerpt.Line != c.line || step.ExitCode != c.code) {
				t.Errorf("want line %d and exit code %d in %#v", c.line, c.code, step)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("want %q in:\n%v", want, err)
				}
			}
		})
	}
}

func TestSyntaxOfAnotherFrontendIsNotIgnored(t *testing.T) {
	r := request(t, project(t, map[string]string{"Dockerfile": "# syntax=" + shared.registry + "/frontend:1\nFROM scratch\nCOPY Dockerfile /\n"}))
	_, err := newCarried(shared.carried).Build(t.Context(), r, &lines{})
	if err == nil || !strings.Contains(err.Error(), "/frontend") {
		t.Errorf("error %v, want one that names the frontend", err)
	}
	r = request(t, project(t, map[string]string{"Dockerfile": "# syntax=docker/dockerfile:1.999\nFROM scratch\nCOPY Dockerfile /\n"}))
	var warning string
	if _, err := newCarried(shared.carried).Build(t.Context(), r, event.SinkFunc(func(e event.Event) {
		if w, ok := e.(event.Warning); ok {
			warning = w.Message
		}
	})); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(warning, "docker/dockerfile:1.999") {
		t.Errorf("warning %q, want one that names the frontend that could not be pulled", warning)
	}
}
