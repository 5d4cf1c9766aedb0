// Package rules holds what the compiler does not: which room may know which, and what must stay out of the binary because
// its start-up is heavy.
package rules

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/davit-dev/davit/"

// rooms lists, for each room, the rooms that it may import besides itself and those below it. A room that is not here is
// an error: say where a new one stands.
var rooms = map[string][]string{
	"cmd/davit": {"internal/cli"},
	"internal/cli": {
		"internal/build", "internal/cache", "internal/command", "internal/config", "internal/deploy", "internal/event", "internal/engine", "internal/hook", "internal/image", "internal/imagetest",
		"internal/inputs", "internal/kube", "internal/manifest", "internal/pipeline", "internal/plan", "internal/render", "internal/report", "internal/tag",
	},
	"internal/pipeline": {
		"internal/build", "internal/cache", "internal/command", "internal/config", "internal/deploy", "internal/event", "internal/engine", "internal/hook", "internal/imagetest", "internal/image",
		"internal/inputs", "internal/kube", "internal/manifest", "internal/plan", "internal/render", "internal/tag",
	},
	"internal/deploy":   {"internal/command", "internal/engine", "internal/event", "internal/kube", "internal/manifest", "internal/render"},
	"internal/plan":     {"internal/build", "internal/config", "internal/deploy", "internal/hook", "internal/image", "internal/imagetest", "internal/inputs", "internal/manifest", "internal/render/kpt"},
	"internal/render":   {"internal/command", "internal/config", "internal/engine", "internal/event", "internal/manifest"},
	"internal/manifest": {"internal/config/diag", "internal/image"},
	"internal/cache":    {"internal/config/model", "internal/event", "internal/image", "internal/inputs"},
	"internal/inputs":   {"internal/event"},
	"internal/build":    {"internal/command", "internal/engine", "internal/event", "internal/image", "internal/kube"},
	"internal/kube":     {"internal/event"},
	"internal/imagetest": {
		"internal/build", "internal/command", "internal/engine", "internal/event", "internal/inputs",
	},
	"internal/hook":    {"internal/command", "internal/event", "internal/kube"},
	"internal/report":  {"internal/event"},
	"internal/config":  {},
	"internal/command": {},
	"internal/engine":  {},
	"internal/image":   {"internal/engine", "internal/event"},
	"internal/tag":     {},
	"internal/event":   {},
	"bench":            {},
}

// heavy may not be linked into davit: the init of each costs milliseconds at every start, or it belongs to another program.
var heavy = []string{
	"github.com/GoogleContainerTools/",
	"github.com/santhosh-tekuri/jsonschema",
	"k8s.io/client-go/applyconfigurations",
	"k8s.io/client-go/discovery",
	"k8s.io/client-go/kubernetes",
	"k8s.io/kubectl/",
	"k8s.io/kubernetes/",
}

type pkg struct {
	ImportPath string
	Imports    []string
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports"}, args...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func TestArrowsGoOneWay(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range list(t, "./cmd/...", "./internal/...", "./bench/...") {
		room := roomOf(strings.TrimPrefix(p.ImportPath, module))
		if room == "" {
			t.Errorf("%s is in no room of this test", p.ImportPath)
			continue
		}
		seen[room] = true
		for _, imported := range p.Imports {
			path, own := strings.CutPrefix(imported, module)
			if own && !below(path, room) && !slices.ContainsFunc(rooms[room], func(r string) bool { return below(path, r) }) {
				t.Errorf("%s may not import %s", p.ImportPath, path)
			}
		}
	}
	for room := range rooms {
		if !seen[room] {
			t.Errorf("room %s has no package", room)
		}
	}
}

func roomOf(path string) string {
	for room := range rooms {
		if below(path, room) {
			return room
		}
	}
	return ""
}

func below(path, room string) bool { return path == room || strings.HasPrefix(path, room+"/") }

func TestStartUpStaysLight(t *testing.T) {
	deps := list(t, "-deps", "./cmd/davit")
	if len(deps) < 100 {
		t.Fatalf("only %d packages are linked: the list is not whole", len(deps))
	}
	for _, p := range deps {
		for _, h := range heavy {
			if p.ImportPath == h || strings.HasSuffix(h, "/") && strings.HasPrefix(p.ImportPath, h) || below(p.ImportPath, h) {
				t.Errorf("%s is linked into davit: start-up must stay light", p.ImportPath)
			}
		}
	}
}
