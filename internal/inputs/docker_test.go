package inputs

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/internal/event"
)

// files writes a tree: name to content. A content "-> x" is a symbolic link, a name that ends in "*" is executable.
func files(t testing.TB, root string, tree map[string]string) string {
	t.Helper()
	for name, content := range tree {
		name, executable := strings.CutSuffix(name, "*")
		at := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if executable {
			mode = 0o755
		}
		var err error
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(target, at)
		} else {
			err = os.WriteFile(at, []byte(content), mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func noWarnings(t testing.TB) event.Sink {
	return event.SinkFunc(func(e event.Event) {
		if w, ok := e.(event.Warning); ok {
			t.Errorf("unexpected warning: %s", w.Message)
		}
	})
}

func newReader(t testing.TB, base func(context.Context, string, string) (BaseImage, error)) *Reader {
	return NewReader(Options{Index: OpenIndex(t.TempDir(), "test", time.Now, noWarnings(t)), Base: base})
}

func paths(m Manifest) string {
	var out []string
	for _, f := range m.Files {
		out = append(out, f.Path)
	}
	return strings.Join(out, " ")
}

func fieldNames(m Manifest, prefix string) string {
	var out []string
	for _, f := range m.Fields {
		if strings.HasPrefix(f.Name, prefix) {
			out = append(out, strings.TrimSpace(f.Name+" "+f.Value))
		}
	}
	return strings.Join(out, "; ")
}

func TestDockerfileInputs(t *testing.T) {
	tree := map[string]string{
		"main.go": "package main", "go.mod": "module x", "go.sum": "", "README.md": "# x", "a/x.txt": "x", "a/y.md": "y", "a/deep/z.txt": "z",
		"b/x.txt": "bx", "b/package.json": "{}", "c/package.json": "{}", "bin/tool*": "#!", "link": "-> a", "dirlink/in": "-> ../b/x.txt", "we[i]rd": "w",
	}
	tests := []struct {
		name       string
		dockerfile string
		ignore     string
		ownIgnore  string
		args       map[string]string
		target     string
		platforms  []string
		contexts   map[string]string
		want       string // files besides Dockerfile
		bases      string
	}{
		{name: "a file", dockerfile: "FROM alpine\nCOPY main.go /", want: "main.go", bases: "base image alpine:latest"},
		{name: "several and a folder", dockerfile: "FROM scratch\nCOPY go.mod go.sum a /x/", want: "a/deep/z.txt a/x.txt a/y.md go.mod go.sum"},
		{name: "wildcards", dockerfile: "FROM scratch\nCOPY go.* */package.json /", want: "b/package.json c/package.json go.mod go.sum"},
		{name: "wildcard without a match", dockerfile: "FROM scratch\nCOPY main.go *.nothing /", want: "main.go"},
		{name: "an escaped wildcard", dockerfile: "FROM scratch\nCOPY we[[]i]rd /", want: "we[i]rd"},
		{name: "only the target's stages", dockerfile: "FROM alpine AS one\nCOPY a/x.txt /\nFROM debian:12 AS two\nCOPY b/x.txt /\nFROM two AS three\nCOPY main.go /\n", target: "two", want: "b/x.txt", bases: "base image debian:12"},
		{name: "last stage by default", dockerfile: "FROM alpine AS one\nCOPY a/x.txt /\nFROM scratch\nCOPY main.go /\n", want: "main.go"},
		{name: "copy from a stage", dockerfile: "FROM alpine AS one\nCOPY a/x.txt /\nFROM debian AS unused\nCOPY README.md /\nFROM scratch\nCOPY --from=one /a /\nCOPY main.go /\n", want: "a/x.txt main.go", bases: "base image alpine:latest"},
		{name: "copy from a number", dockerfile: "FROM alpine\nCOPY a/x.txt /\nFROM scratch\nCOPY --from=0 /a /\n", want: "a/x.txt", bases: "base image alpine:latest"},
		{name: "copy from an image", dockerfile: "FROM scratch\nCOPY --from=nginx:1.27@sha256:" + strings.Repeat("a", 64) + " /a /\n", bases: "base image nginx:1.27 sha256:" + strings.Repeat("a", 64)},
		{name: "arguments in sources", dockerfile: "ARG V=1\nFROM alpine:$V\nARG DIR=a\nENV F=x\nCOPY ${DIR}/${F}.txt /\n", args: map[string]string{"DIR": "b"}, want: "b/x.txt", bases: "base image alpine:1"},
		{name: "a global argument", dockerfile: "ARG DIR=b\nFROM alpine\nARG DIR\nCOPY $DIR/x.txt /\n", want: "b/x.txt", bases: "base image alpine:latest"},
		{name: "an environment of the base stage", dockerfile: "FROM alpine AS one\nENV DIR=b\nFROM one\nCOPY $DIR/x.txt /\n", want: "b/x.txt", bases: "base image alpine:latest"},
		{name: "the platform", dockerfile: "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /\n", platforms: []string{"linux/a", "linux/b"}, want: "a/deep/z.txt a/x.txt a/y.md b/package.json b/x.txt"},
		{name: "here-documents", dockerfile: "FROM scratch\nCOPY <<EOF /etc/x\nmain.go\nEOF\nCOPY go.mod <<A <<B /\na\nA\nb\nB\n", want: "go.mod"},
		{name: "add of a URL and git", dockerfile: "FROM scratch\nADD https://example.com/x.tar.gz /\nADD https://github.com/a/b.git#main /\nADD git@github.com:a/c.git /\nADD main.go /\n", want: "main.go"},
		{name: "mounts", dockerfile: "FROM alpine\nRUN --mount=type=bind,source=a,target=/a --mount=type=cache,target=/root/.cache --mount=type=secret,id=s make\n", want: "a/deep/z.txt a/x.txt a/y.md", bases: "base image alpine:latest"},
		{name: "a mount of everything", dockerfile: "FROM alpine\nRUN --mount=target=/x make\n", ignore: "*\n!main.go\n", want: "main.go", bases: "base image alpine:latest"},
		{name: "a mount from a stage", dockerfile: "FROM alpine AS one\nCOPY go.mod /\nFROM alpine\nRUN --mount=from=one,target=/x make\n", want: "go.mod", bases: "base image alpine:latest"},
		{name: "onbuild of a stage", dockerfile: "FROM scratch AS one\nONBUILD COPY go.sum /\nFROM one\nCOPY go.mod /\n", want: "go.mod go.sum"},
		{name: "onbuild is nothing of the stage itself", dockerfile: "FROM scratch AS one\nONBUILD COPY go.sum /\n", want: ""},
		{name: "onbuild of a base image", dockerfile: "FROM onbuild:1\n", want: "go.mod", bases: "base image onbuild:1 sha256:base"},
		{name: "a variable of a base image", dockerfile: "FROM onbuild:2\nCOPY $WHERE/x.txt /\n", want: "b/x.txt", bases: "base image onbuild:2 sha256:base"},
		{name: "ignored", dockerfile: "FROM scratch\nCOPY . /\n", ignore: "# comment\n**/*.md\na/deep\nb\n!b/x.txt\nbin\nlink\ndirlink\nwe*\n*ocker*\n.docker*\n", want: "a/x.txt b/x.txt c/package.json go.mod go.sum main.go"},
		{name: "the Dockerfile's own ignore file wins", dockerfile: "FROM scratch\nCOPY a /\n", ignore: "a/x.txt\n", ownIgnore: "a/deep\n", want: "a/x.txt a/y.md"},
		{name: "a file beats its ignored folder", dockerfile: "FROM scratch\nCOPY a/deep/z.txt /\n", ignore: "a\n!a/deep/z.txt\n", want: "a/deep/z.txt"},
		{name: "links are followed where they are named", dockerfile: "FROM scratch\nCOPY link/deep dirlink /\n", want: "a/deep/z.txt dirlink/in link"},
		{name: "a link to a file", dockerfile: "FROM scratch\nCOPY dirlink/in /\n", want: "b/x.txt dirlink/in"},
		{name: "exclude", dockerfile: "FROM scratch\nCOPY --exclude=*.md --exclude=deep a /\n", want: "a/x.txt"},
		{name: "parents", dockerfile: "FROM scratch\nCOPY --parents ./a/./**/*.txt /\n", want: "a/deep/z.txt a/x.txt"},
		{name: "parents without wildcards", dockerfile: "FROM scratch\nCOPY --parents a/deep b/x.txt /\n", want: "a/deep/z.txt b/x.txt"},
		{name: "a path that climbs out stays in", dockerfile: "FROM scratch\nCOPY ../../main.go /go.mod /\n", want: "go.mod main.go"},
		{name: "a named context", dockerfile: "FROM other\nCOPY --from=lib x.txt /\n", contexts: map[string]string{"other": "docker-image://x@sha256:1", "lib": "b"}, want: "lib:x.txt"},
		{name: "a named context for a stage", dockerfile: "FROM alpine AS lib\nCOPY main.go /\nFROM scratch\nCOPY --from=lib / /\n", contexts: map[string]string{"lib": "b"}, want: "lib:package.json lib:x.txt"},
		{name: "carriage returns", dockerfile: "FROM scratch\r\nCOPY main.go \\\r\n  go.mod /\r\n", want: "go.mod main.go"},
		{name: "another frontend", dockerfile: "# syntax=example.com/other\nWHATEVER\n", ignore: "*\n!main.go\n", want: "main.go"},
	}
	base := func(_ context.Context, ref, _ string) (BaseImage, error) {
		if strings.HasPrefix(ref, "onbuild:") {
			image := BaseImage{Digest: "sha256:base", Env: []string{"WHERE=b"}}
			if ref == "onbuild:1" {
				image.OnBuild = []string{"COPY go.mod /"}
			}
			return image, nil
		}
		return BaseImage{}, nil
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := files(t, t.TempDir(), tree)
			files(t, root, map[string]string{"Dockerfile": tt.dockerfile})
			if tt.ignore != "" {
				files(t, root, map[string]string{".dockerignore": tt.ignore})
			}
			if tt.ownIgnore != "" {
				files(t, root, map[string]string{"Dockerfile.dockerignore": tt.ownIgnore})
			}
			for name, at := range tt.contexts {
				if !strings.Contains(at, "://") {
					tt.contexts[name] = filepath.Join(root, at)
				}
			}
			m, err := newReader(t, base).Docker(t.Context(), Docker{
				Context: root, Dockerfile: filepath.Join(root, "Dockerfile"), BuildArgs: tt.args, Target: tt.target, Platforms: tt.platforms, Contexts: tt.contexts,
			})
			if err != nil {
				t.Fatal(err)
			}
			want := slices.DeleteFunc(append(strings.Fields(tt.want), "Dockerfile"), func(s string) bool { return s == "" })
			slices.Sort(want)
			if got := paths(m); got != strings.Join(want, " ") {
				t.Errorf("files:\n got %s\nwant %s", got, strings.Join(want, " "))
			}
			if got := fieldNames(m, "base image "); got != tt.bases {
				t.Errorf("base images:\n got %s\nwant %s", got, tt.bases)
			}
			if tt.contexts == nil && tt.name != "another frontend" {
				judge(t, root, tt.dockerfile, cmp.Or(tt.ownIgnore, tt.ignore), tt.target, tt.args, tt.platforms, m)
			}
		})
	}
}

func TestDockerfileErrors(t *testing.T) {
	for _, tt := range []struct{ name, dockerfile, ignore, target, want string }{
		{"missing source", "FROM scratch\n\nCOPY nothing.txt /\n", "", "", "Dockerfile:3: COPY nothing.txt: there is no nothing.txt in the build context ROOT"},
		{"ignored source", "FROM scratch\nADD main.go /\n", "*.go\n", "", "Dockerfile:2: ADD main.go: main.go is in the build context ROOT, but .dockerignore leaves it out"},
		{"unknown target", "FROM scratch AS one\n", "", "two", `there is no stage named "two"; its named stages are: one`},
		{"target, no names", "FROM scratch\n", "", "two", `there is no stage named "two"; its named stages are: none`},
		{"unknown instruction", "FROM scratch\nCOPPY a b\n", "", "", "unknown instruction: COPPY (did you mean COPY?)"},
		{"empty base", "ARG X\nFROM $X\n", "", "", "Dockerfile:2: the base image $X is empty: give its build argument a value"},
		{"empty file", "", "", "", "Dockerfile: file with no instructions"},
		{"stage out of range", "FROM scratch\nCOPY --from=3 / /\n", "", "", "Dockerfile:2: --from=3: there are 1 stages, counted from 0"},
		{"bad pattern", "FROM scratch\nCOPY . /\n", "[\n", "", "reading what to ignore from ROOT/.dockerignore"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := files(t, t.TempDir(), map[string]string{"Dockerfile": tt.dockerfile, "main.go": ""})
			if tt.ignore != "" {
				files(t, root, map[string]string{".dockerignore": tt.ignore})
			}
			_, err := newReader(t, nil).Docker(t.Context(), Docker{Context: root, Dockerfile: filepath.Join(root, "Dockerfile"), Target: tt.target})
			want := strings.ReplaceAll(tt.want, "ROOT", root)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
	_, err := newReader(t, nil).Docker(t.Context(), Docker{Context: t.TempDir(), Dockerfile: "/nowhere/Dockerfile"})
	if err == nil || !strings.Contains(err.Error(), "there is no Dockerfile /nowhere/Dockerfile") {
		t.Errorf("got %v", err)
	}
}
