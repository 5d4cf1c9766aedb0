package inputs

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestCustomInputs(t *testing.T) {
	root := files(t, t.TempDir(), map[string]string{
		"build.sh*": "", "main.go": "", "pkg/a.go": "", "pkg/deep/b.go": "", "pkg/deep/b_test.go": "", "vendor/x/y.go": "", "README.md": "",
		"Dockerfile": "FROM scratch\nARG F\nCOPY $F /\n",
	})
	list := func(out string, err error) Custom {
		return Custom{List: "ls-deps x", Run: func(_ context.Context, command, folder string) ([]byte, error) {
			if command != "ls-deps x" || folder != root {
				t.Errorf("ran %q in %s", command, folder)
			}
			return []byte(out), err
		}}
	}
	for _, tt := range []struct {
		name string
		c    Custom
		want string
		err  string
	}{
		{"everything", Custom{}, "Dockerfile README.md build.sh main.go pkg/a.go pkg/deep/b.go pkg/deep/b_test.go vendor/x/y.go", ""},
		{"patterns", Custom{Paths: []string{"**/*.go", "*.sh"}, Ignore: []string{"vendor/**", "**/*_test.go"}}, "build.sh main.go pkg/a.go pkg/deep/b.go", ""},
		{"a folder", Custom{Paths: []string{"pkg/deep", "main.go"}}, "main.go pkg/deep/b.go pkg/deep/b_test.go", ""},
		{"an ignored folder", Custom{Paths: []string{"."}, Ignore: []string{"pkg", "vendor/**"}}, "Dockerfile README.md build.sh main.go", ""},
		{"a pattern without a match", Custom{Paths: []string{"*.rs"}}, "", `dependency path "*.rs" matches nothing in ` + root},
		{"a bad pattern", Custom{Paths: []string{"[a"}}, "", "syntax error in pattern"},
		{"a Dockerfile", Custom{Dockerfile: filepath.Join(root, "Dockerfile"), BuildArgs: map[string]string{"F": "main.go"}}, "Dockerfile main.go", ""},
		{"a command", list(`["main.go", "`+root+`/pkg/a.go", "vendor", "gone.go"]`, nil), "main.go pkg/a.go vendor/x/y.go", ""},
		{"a command that prints something else", list("main.go", nil), "", "it must print a JSON array of file names"},
		{"a command that fails", list("", errors.New("exit status 2")), "", `listing the files of the artifact with "ls-deps x": exit status 2`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.c.Context, tt.c.BuildCommand = root, "./build.sh"
			m, err := newReader(t, nil).Custom(t.Context(), tt.c)
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Fatalf("got %v, want %q", err, tt.err)
			}
			if err == nil && paths(m) != tt.want {
				t.Errorf("got  %s\nwant %s", paths(m), tt.want)
			}
		})
	}
}

func TestCustomSettingsCount(t *testing.T) {
	root := files(t, t.TempDir(), map[string]string{"x": ""})
	read := func(c Custom) Manifest {
		t.Helper()
		c.Context = root
		m, err := newReader(t, nil).Custom(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	base := Custom{BuildCommand: "make", Platforms: []string{"linux/amd64"}, Env: []string{"A=1"}}
	for want, change := range map[string]func(*Custom){
		"[build command changed]":                         func(c *Custom) { c.BuildCommand = "make all" },
		"[variable A changed]":                            func(c *Custom) { c.Env = []string{"A=2"} },
		`[platforms from "linux/amd64" to "linux/arm64"]`: func(c *Custom) { c.Platforms = []string{"linux/arm64"} },
	} {
		changed := base
		change(&changed)
		if one, two := read(base), read(changed); one.Key() == two.Key() || fmt.Sprint(Why(one, two)) != want {
			t.Errorf("got %v, want %s", Why(one, two), want)
		}
	}
}
