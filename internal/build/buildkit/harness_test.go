//go:build linux

package buildkit_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/docker/go-units"
	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/buildkit"
	"github.com/davit-dev/davit/internal/build/buildkitd"
	"github.com/davit-dev/davit/internal/build/carried"
	"github.com/davit-dev/davit/internal/event"
)

// serveCommand makes the test's own binary the carried daemon.
const serveCommand = "serve-carried-buildkit"

// shared is the state that most tests share, so that the daemon starts once.
var shared struct {
	carried  carried.Options
	registry string
	noLogin  string // a docker configuration without credentials
}

func TestMain(m *testing.M) {
	commands := map[string]func(args []string) error{
		serveCommand:     func(args []string) error { return buildkitd.Main(context.Background(), args) },
		asUserCommand:    asUser,
		userBuildCommand: userBuild,
		dialStdioCommand: dialStdio,
	}
	if len(os.Args) > 1 && commands[os.Args[1]] != nil {
		if err := commands[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "davit-buildkit")
	if err != nil {
		panic(err)
	}
	server := httptest.NewServer(registry.New(registry.Logger(quiet())))
	defer server.Close()
	shared.registry = strings.TrimPrefix(server.URL, "http://")
	shared.carried = carriedOptions(filepath.Join(dir, "carried"))
	shared.noLogin = filepath.Join(dir, "docker")
	code := m.Run()
	stopDaemon(shared.carried.Dir)
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

func carriedOptions(dir string) carried.Options {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return carried.Options{Dir: dir, Command: []string{exe, serveCommand}, Env: os.Environ(), Version: "test"}
}

// newCarried is a Builder by the carried daemon of o.
func newCarried(o carried.Options) *buildkit.Builder {
	return buildkit.New(buildkit.Where{Kind: buildkit.Carried},
		buildkit.Options{Getenv: os.Getenv, DockerConfig: shared.noLogin, Carried: o})
}

// lines collects what a build printed.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Emit(e event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e := e.(type) {
	case event.ArtifactLog:
		l.all = append(l.all, e.Line)
	case event.BuildStep:
		l.all = append(l.all, strings.ToUpper(string(e.State))+" "+e.Name)
	case event.StepTransfer:
		if e.Done {
			l.all = append(l.all, fmt.Sprintf("%s %s done", e.What, units.HumanSize(float64(e.Current))))
		}
	}
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

// project writes a build context: file names to contents.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// withShell writes a project whose Dockerfile goes on from an image with a shell, made from the machine's busybox.
func withShell(t *testing.T, dockerfile string, files map[string]string) string {
	t.Helper()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("these tests need a static busybox (apt-get install busybox-static): %v", err)
	}
	all := map[string]string{
		"busybox":    string(busybox),
		"Dockerfile": "FROM scratch AS shell\nCOPY --chmod=755 busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n" + dockerfile,
	}
	for k, v := range files {
		all[k] = v
	}
	return project(t, all)
}

// request is a build of dir's Dockerfile, pushed to the shared registry under the test's name.
func request(t *testing.T, dir string, change ...func(*build.Request, *build.Docker)) build.Request {
	spec := build.Docker{Context: dir, Dockerfile: filepath.Join(dir, "Dockerfile")}
	r := build.Request{Image: "app", Ref: shared.registry + "/" + strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")) + ":v1", Push: true}
	for _, f := range change {
		f(&r, &spec)
	}
	r.Spec = spec
	return r
}
