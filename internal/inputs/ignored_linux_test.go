package inputs

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// The kernel tells which folders are opened: that holds for root as well, whom no permission keeps out.
func TestIgnoredFoldersAreNotOpened(t *testing.T) {
	root := files(t, t.TempDir(), map[string]string{
		"Dockerfile":    "FROM scratch\nCOPY . /\n",
		".dockerignore": "node_modules\n**/target\nkept/*\n!kept/deep/x\n",
		"main.go":       "", "node_modules/a/b.js": "", "src/target/deep/x.o": "", "src/x.go": "", "kept/other/y": "", "kept/deep/x": "",
	})
	watches, err := unix.InotifyInit1(unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(watches)
	opened := func() bool {
		n, err := unix.Read(watches, make([]byte, 4096))
		return err == nil && n > 0
	}
	for _, tt := range []struct {
		dir  string
		want bool
	}{{"src", true}, {"kept/deep", true}, {"node_modules", false}, {"src/target", false}, {"kept/other", false}} {
		id, err := unix.InotifyAddWatch(watches, filepath.Join(root, tt.dir), unix.IN_OPEN|unix.IN_ONLYDIR)
		if err != nil {
			t.Fatal(err)
		}
		if got := paths((project{}).at(t, newReader(t, nil), root)); got != ".dockerignore Dockerfile kept/deep/x main.go src/x.go" {
			t.Fatal(got)
		}
		if got := opened(); got != tt.want {
			t.Errorf("%s opened: %v", tt.dir, got)
		}
		if _, err := unix.InotifyRmWatch(watches, uint32(id)); err != nil {
			t.Fatal(err)
		}
		for opened() { // what the removal says
		}
	}
}
