package buildtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/crypto/ssh/agent"

	"github.com/davit-dev/davit/internal/build"
)

// dockerfiles are what a Dockerfile can be given and hold.
func (s *suite) dockerfiles(t *testing.T) []testCase {
	secrets, other := t.TempDir(), t.TempDir()
	Write(t, secrets, map[string]string{"token": "secret of a file"})
	Write(t, other, map[string]string{"from-other": "named context"})
	return []testCase{
		{
			name:       "what the configuration gives",
			dockerfile: "FROM shell AS wanted\nARG GREETING\nENV KEPT=yes\nWORKDIR /work\nRUN echo \"$GREETING\" > greeting && cp /etc/hosts /hosts\nCMD [\"run\"]\nFROM wanted\nRUN exit 1\n",
			change: func(_ *build.Request, d *build.Docker) {
				d.Target, d.BuildArgs, d.Labels = "wanted", map[string]string{"GREETING": "hello, $world"}, map[string]string{"who": "davit"}
				d.AddHosts = []string{"somewhere:10.1.2.3"}
			},
			want:   map[string]string{"work/greeting": "hello, $world\n"},
			layers: 5,
			config: func(t *testing.T, c *v1.ConfigFile) {
				if c.Config.Labels["who"] != "davit" || c.Config.WorkingDir != "/work" || strings.Join(c.Config.Cmd, " ") != "run" ||
					!strings.Contains(strings.Join(c.Config.Env, " "), "KEPT=yes") || c.OS != "linux" {
					t.Errorf("configuration %+v", c)
				}
			},
		},
		{
			name:       "flags of docker build",
			dockerfile: "FROM shell AS web\nARG A\nRUN echo \"$A\" > /a && ulimit -n > /limit && cat /proc/mounts > /mounts\nFROM shell\nRUN exit 1\n",
			change: func(r *build.Request, d *build.Docker) {
				d.BuildArgs = map[string]string{"A": "configured"}
				d.CLIFlags = []string{"--build-arg=A=flag", "--target", "web", "--label=by=flag", "--ulimit", "nofile=777:777", "--no-cache", "--progress=plain"}
			},
			want: map[string]string{"a": "flag\n"},
			config: func(t *testing.T, c *v1.ConfigFile) {
				if c.Config.Labels["by"] != "flag" {
					t.Errorf("labels %v", c.Config.Labels)
				}
			},
		},
		{
			name:       "X.dockerignore",
			dockerfile: "FROM shell\nCOPY . /context/\nRUN ls /context > /list\n",
			files:      map[string]string{"a": "1", "b": "2", ".dockerignore": "a\n", "Dockerfile.dockerignore": "b\n*ignore\n"},
			want:       map[string]string{"context/a": "1", "list": "Dockerfile\na\n"},
		},
		{
			name:       ".dockerignore",
			dockerfile: "FROM shell\nCOPY . /context/\nRUN find /context -type f | sort > /list\n",
			files:      map[string]string{"a": "1", "b/c": "2", "b/kept": "3", ".dockerignore": "a\nb/*\n!b/kept\nDockerfile\n.dockerignore\n"},
			want:       map[string]string{"list": "/context/b/kept\n"},
		},
		{
			name:       "here-documents",
			dockerfile: "# syntax=docker/dockerfile:1.4\nFROM shell\nCOPY <<one <<two /texts/\nfirst\none\nsecond\ntwo\nRUN <<END\necho several > /lines\necho lines >> /lines\nEND\n",
			want:       map[string]string{"texts/one": "first\n", "texts/two": "second\n", "lines": "several\nlines\n"},
			old:        "unknown instruction",
		},
		{
			name: "mounts",
			dockerfile: "FROM shell AS tools\nRUN echo tool > /tool\nFROM shell\n" +
				"RUN --mount=type=bind,target=/ctx --mount=type=bind,from=tools,source=/tool,target=/t cat /ctx/file /t > /bound\n" +
				"RUN --mount=type=cache,target=/cache,id=davit-test touch /cache/x && ls /cache > /cached\n" +
				"RUN --mount=type=tmpfs,target=/tmp/fs grep -o '/tmp/fs tmpfs' /proc/mounts > /tmpfs\n" +
				"RUN ls /cache 2>/dev/null; test ! -e /cache/x && test ! -e /ctx/file\n",
			files: map[string]string{"file": "in the context\n"},
			want:  map[string]string{"bound": "in the context\ntool\n", "cached": "x\n", "tmpfs": "/tmp/fs tmpfs\n"},
		},
		{
			name: "secrets",
			dockerfile: "FROM shell\nRUN --mount=type=secret,id=file --mount=type=secret,id=env,target=/env cat /run/secrets/file /env | wc -c > /length\n" +
				"RUN --mount=type=secret,id=NAMED cat /run/secrets/NAMED | wc -c > /named\n",
			env: map[string]string{"IN_ENV": "secret of the environment", "NAMED": "secret of this name"},
			change: func(_ *build.Request, d *build.Docker) {
				d.Secrets = []build.Secret{{ID: "file", Source: filepath.Join(secrets, "token")}, {ID: "env", Env: "IN_ENV"}, {ID: "NAMED"}}
			},
			want: map[string]string{"length": "41\n", "named": "19\n"},
		},
		{
			name:       "ssh agent",
			dockerfile: "FROM shell\nRUN --mount=type=ssh test -S \"$SSH_AUTH_SOCK\" && echo agent > /default\nRUN --mount=type=ssh,id=git test -S \"$SSH_AUTH_SOCK\" && echo agent > /git\n",
			env:        map[string]string{"SSH_AUTH_SOCK": serveAgent(t)},
			change: func(_ *build.Request, d *build.Docker) {
				d.SSH, d.CLIFlags = "default", []string{"--ssh", "git=" + serveAgent(t)}
			},
			want: map[string]string{"default": "agent\n", "git": "agent\n"},
		},
		{
			name:       "network none",
			dockerfile: "FROM shell\nRUN ls /sys/class/net > /nets\n",
			change:     func(_ *build.Request, d *build.Docker) { d.Network = "none" },
			want:       map[string]string{"nets": "lo\n"},
		},
		{
			name:       "named contexts",
			dockerfile: "FROM base\nCOPY --from=other from-other /other\nRUN true\n",
			change: func(_ *build.Request, d *build.Docker) {
				d.Contexts = map[string]string{"other": other, "base": "docker-image://" + s.base}
			},
			want: map[string]string{"other": "named context"},
			old:  "named build contexts",
		},
	}
}

// sources are images and files from elsewhere.
func (s *suite) sources(t *testing.T) []testCase {
	served := s.serveFiles(t)
	onbuild := s.request(t, "FROM shell\nONBUILD COPY file /copied\nONBUILD RUN cat /copied > /ran\n", nil)
	onbuild.Ref = s.Registry + "/" + repository(t) + "-onbuild:v1"
	if _, err := s.New(t, func(string) string { return "" }).Build(t.Context(), onbuild, &Lines{}); err != nil {
		t.Fatal(err)
	}
	return []testCase{
		{name: "ONBUILD", dockerfile: "FROM " + onbuild.Ref + "\n", files: map[string]string{"file": "trigger"}, want: map[string]string{"copied": "trigger", "ran": "trigger"}},
		{name: "ADD of an URL", dockerfile: "FROM shell\nADD " + served + "/file.txt /fetched\n", want: map[string]string{"fetched": "by HTTP"}},
		{
			name: "ADD of an URL with its digest", dockerfile: "FROM shell\nADD --checksum=sha256:" + strings.Repeat("0", 64) + " " + served + "/file.txt /fetched\n",
			fails: []string{"digest mismatch"}, old: "Unknown flag: checksum",
		},
		{name: "ADD of git", dockerfile: "FROM shell\nADD " + served + "/repo.git#main /src\n", want: map[string]string{"src/in-git": "committed"}, old: "404"},
		{name: "parent pulled anew", dockerfile: "FROM shell\nRUN echo x > /x\n", change: func(_ *build.Request, d *build.Docker) { d.Pull = true }, want: map[string]string{"x": "x\n"}},
	}
}

// failures are builds that must fail, and what the user is told.
func (s *suite) failures() []testCase {
	return []testCase{
		{name: "failed step", dockerfile: "FROM shell\nRUN true\nRUN echo why; \\\n  exit 3\nRUN true\n", fails: []string{"Dockerfile:3: ", "failed with exit code 3", "  why\n", ">>>   3 | RUN echo why", ">>>   4 |   exit 3", "  2 | RUN true"}},
		{name: "failed here-document", dockerfile: "FROM shell\nRUN <<END\necho why\nfalse\nexit 4\nEND\n", fails: []string{"exit code 4", "  why\n", ">>>   5 | exit 4"}, old: "unknown instruction"},
		{name: "file that is nowhere", dockerfile: "FROM shell\nCOPY none /\n", fails: []string{`"none" is not in the build context`, ">>>   2 | COPY none /"}},
		{name: "file that is hidden", dockerfile: "FROM shell\nCOPY dist /dist\n", files: map[string]string{"dist/x": "", ".dockerignore": "# x\nnode_modules\ndist\n"},
			fails: []string{`"dist" is in the build context`, ".dockerignore", "line 3", "dist", ">>>   2 | COPY dist /dist"}},
		{name: "secret that is not there", dockerfile: "FROM shell\n", change: func(_ *build.Request, d *build.Docker) { d.Secrets = []build.Secret{{ID: "s", Source: "/none"}} }, fails: []string{"build secret s", "/none"}},
		{name: "secret that is not given", dockerfile: "FROM shell\nRUN --mount=type=secret,id=s,required=true cat /run/secrets/s\n", fails: []string{"secret s", "not found"}},
		{name: "no ssh agent", dockerfile: "FROM shell\n", change: func(_ *build.Request, d *build.Docker) { d.SSH = "default" }, fails: []string{"SSH_AUTH_SOCK is not set"}},
		{name: "unknown platform", dockerfile: "FROM shell\n", change: func(r *build.Request, _ *build.Docker) { r.Platforms = []string{"linux/amd46"} }, fails: []string{`the platform "linux/amd46" is not known`, "linux/amd64"}},
		{name: "cache exporter that is unknown", dockerfile: "FROM shell\n", change: func(_ *build.Request, d *build.Docker) { d.CacheTo = []string{"type=tape,dest=x"} }, fails: []string{"cannot export its cache to a tape"}},
		{name: "squash", dockerfile: "FROM shell\n", change: func(_ *build.Request, d *build.Docker) { d.Squash = true }, fails: []string{"BuildKit cannot squash"}},
		{name: "flag of the docker command alone", dockerfile: "FROM shell\n", change: func(_ *build.Request, d *build.Docker) { d.CLIFlags = []string{"--isolation=x"} }, fails: []string{"--isolation"}},
		{name: "registry that refuses connections", dockerfile: "FROM shell\n", change: func(r *build.Request, _ *build.Docker) { r.Ref = "127.0.0.1:1/a/b:v1" }, fails: []string{"pushing 127.0.0.1:1/a/b", "cannot be reached"}},
		{name: "image that is nowhere", dockerfile: "FROM " + s.Registry + "/none:v1\n", fails: []string{"pulling " + s.Registry + "/none", "no such image"}},
		{name: "link that leaves the context", dockerfile: "FROM shell\nCOPY out /out\n", change: func(_ *build.Request, d *build.Docker) {
			if err := os.Symlink("/etc/passwd", filepath.Join(d.Context, "out")); err != nil {
				panic(err)
			}
		}, fails: []string{`"out"`, "/etc/passwd", "outside"}},
	}
}

// serveFiles offers a file and a git repository by HTTP, and returns the server's address.
func (s *suite) serveFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	Write(t, dir, map[string]string{"file.txt": "by HTTP", "work/in-git": "committed"})
	script := "cd work && git init -q -b main && git add . && git -c user.name=t -c user.email=t@example.org commit -q -m first && cd .. && git clone -q --bare work repo.git && git -C repo.git config uploadpack.allowAnySHA1InWant true"
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("making a git repository: %v\n%s", err, out)
	}
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	repository := &cgi.Handler{Path: git, Args: []string{"http-backend"}, Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1"}, Stderr: io.Discard}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/repo.git/") {
			repository.ServeHTTP(w, r)
			return
		}
		http.FileServer(http.Dir(dir)).ServeHTTP(w, r)
	}))
	listener, err := net.Listen("tcp", net.JoinHostPort(s.Address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// serveAgent runs an ssh agent with one key and returns its socket.
func serveAgent(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "davit-agent") // a short path
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "agent"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close(); _ = os.RemoveAll(dir) })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(keys, conn); _ = conn.Close() }()
		}
	}()
	return listener.Addr().String()
}
