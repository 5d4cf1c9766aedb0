package inputs

import (
	"path/filepath"
	"strings"
	"testing"
)

// FuzzDockerfile looks for Dockerfiles that crash the reader, lead it out of the build context, or do not give the same answer twice.
func FuzzDockerfile(f *testing.F) {
	for _, seed := range []string{
		"FROM scratch\nCOPY . /\n", "ARG A=x\nFROM $A AS b\nFROM b\nCOPY --from=b ../../etc/passwd /\n", "FROM scratch\nCOPY <<E /x\nE\n",
		"FROM scratch\nRUN --mount=type=bind,source=../..,target=/x true\n", "FROM scratch AS a\nONBUILD COPY loop /\nFROM a\nCOPY --from=1 / /\n",
		"FROM scratch\nCOPY out/secret loop/loop ab*/../c /\n", "# escape=`\nFROM scratch\nCOPY --parents **/*.go /\nADD --exclude=[ . /\n",
	} {
		f.Add(seed, "x\n!x/y\n**\n")
	}
	outside := files(f, f.TempDir(), map[string]string{"secret": "s"})
	root := files(f, f.TempDir(), map[string]string{"c": "1", "abc/d.go": "2", "loop": "-> loop", "out": "-> " + outside, "up": "-> ../../.."})
	f.Fuzz(func(t *testing.T, dockerfile, ignore string) {
		folder := files(t, t.TempDir(), map[string]string{"Dockerfile": dockerfile, "Dockerfile.dockerignore": ignore})
		d := Docker{Context: root, Dockerfile: filepath.Join(folder, "Dockerfile")}
		one, err := newReader(t, nil).Docker(t.Context(), d)
		two, again := newReader(t, nil).Docker(t.Context(), d)
		if (err == nil) != (again == nil) || err == nil && one.Key() != two.Key() {
			t.Fatalf("two answers: %v %v\n%v %v", one, err, two, again)
		}
		for _, file := range one.Files {
			if strings.Contains(file.Path, "secret") || !filepath.IsLocal(file.Path) && file.Path != "../Dockerfile" {
				t.Errorf("read %s", file.Path)
			}
		}
	})
}
