package inputs

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// hooked is an artifact with a build hook, in the hands of a caller as the pipeline is one: it builds when the key is not known.
type hooked struct {
	t        *testing.T
	root     string
	hook     func(root string)
	recorded map[Key]bool
	products []Product
}

func newHooked(t *testing.T, tree map[string]string, hook func(root string)) *hooked {
	tree["Dockerfile"] = "FROM scratch\nCOPY app /\n"
	return &hooked{t: t, root: files(t, t.TempDir(), tree), hook: hook, recorded: map[Key]bool{}}
}

func (h *hooked) manifest() Manifest {
	p := project{}
	p.Hooks = []string{"make app"}
	return p.at(h.t, newReader(h.t, nil), h.root)
}

// run builds if it must, and says so.
func (h *hooked) run() (built bool) {
	before := h.manifest()
	if h.recorded[before.Without(h.products).Key()] {
		return false
	}
	h.hook(h.root)
	h.products = Produced(before, h.manifest(), h.products)
	h.recorded[Settle(before, h.products).Key()] = true
	return true
}

func (h *hooked) expect(what string, builds ...bool) {
	h.t.Helper()
	var got []bool
	for range builds {
		got = append(got, h.run())
	}
	if fmt.Sprint(got) != fmt.Sprint(builds) {
		h.t.Errorf("%s: builds %v, want %v", what, got, builds)
	}
}

// compile makes app of main.go, as a compiler would.
func compile(t *testing.T, mode os.FileMode) func(string) {
	return func(root string) {
		source, err := os.ReadFile(filepath.Join(root, "main.go"))
		if err == nil {
			err = os.WriteFile(filepath.Join(root, "app"), append([]byte("compiled "), source...), mode)
		}
		if err == nil {
			err = os.Chmod(filepath.Join(root, "app"), mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (h *hooked) write(name, content string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.root, name), []byte(content), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

func TestWhatAHookMakesIsNoInput(t *testing.T) {
	h := newHooked(t, map[string]string{"main.go": "1", ".git/HEAD": "x", ".dockerignore": "main.go\n"}, compile(t, 0o755))
	h.expect("a fresh checkout", true, false, false)
	h.write("main.go", "2")
	h.expect("an edit", true, false)
	h.write(".git/HEAD", "y")
	h.expect("a commit", false)
	h.write("main.go", "1")
	h.expect("back to the first", false)
	if err := os.Remove(filepath.Join(h.root, "app")); err != nil {
		t.Fatal(err)
	}
	h.expect("the product deleted", false)
	h.write("app", "edited by hand")
	h.expect("the product edited", true, false)
	h.write("main.go", "3")
	h.expect("and another edit", true, false)

	elsewhere := newHooked(t, map[string]string{"main.go": "3", ".dockerignore": "main.go\n"}, compile(t, 0o755))
	elsewhere.recorded = h.recorded
	elsewhere.expect("a fresh checkout on another machine", false)
}

func TestAProductThatWasThereBefore(t *testing.T) {
	h := newHooked(t, map[string]string{"main.go": "1", "app*": "from somewhere"}, compile(t, 0o755))
	h.expect("an executable", true, false)
	h.write("main.go", "2")
	h.expect("an edit", true, false)

	// What is not executable may be a source that was saved while the hook ran, so the first change of it is not believed: one more
	// build, and no loop.
	h = newHooked(t, map[string]string{"main.go": "1", "app": "from somewhere"}, compile(t, 0o644))
	h.expect("a plain file", true, true, false)
	h.write("main.go", "2")
	h.expect("an edit", true, false)
	h.write("main.go", "3")
	h.expect("another edit", true, false)
}

func TestASourceSavedWhileTheHookRuns(t *testing.T) {
	var h *hooked
	save := "2"
	h = newHooked(t, map[string]string{"main.go": "1"}, func(root string) {
		compile(t, 0o755)(root)
		if save != "" {
			h.write("main.go", save)
			save = ""
		}
	})
	h.expect("saved during the first build", true, true, false)
	h.write("main.go", "3")
	h.expect("and edited after it", true, false)
}

func TestAHookThatIsNeverTheSame(t *testing.T) {
	n := 0
	h := newHooked(t, map[string]string{"main.go": "1"}, func(root string) {
		n++
		files(t, root, map[string]string{fmt.Sprint("out/", n): "x"})
		if err := os.WriteFile(filepath.Join(root, "app"), fmt.Append(nil, n), 0o755); err != nil {
			t.Fatal(err)
		}
	})
	h.expect("random products", true, false, false)
	h.write("main.go", "2")
	h.expect("an edit", true, false, false)
}
