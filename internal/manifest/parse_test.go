package manifest

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// sameAsYAML holds that documents read apart are the nodes that package yaml makes of the stream, to the last line and comment.
func sameAsYAML(t *testing.T, name string, data []byte, edits ...func([]*yaml.Node)) (apart bool) {
	t.Helper()
	got, ok := readApart(data)
	if !ok {
		return false
	}
	want, err := readStream(name, data)
	if err != nil {
		t.Errorf("%s: read apart, but %v", name, err)
		return true
	}
	for _, edit := range edits {
		edit(got)
		edit(want)
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d documents, want %d", name, len(got), len(want))
		return true
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("%s: document %d (line %d) differs: %s", name, i, want[i].Line, difference(got[i], want[i]))
			return true
		}
	}
	return true
}

func difference(got, want *yaml.Node) string {
	for i := range min(len(got.Content), len(want.Content)) {
		if d := difference(got.Content[i], want.Content[i]); d != "" {
			return d
		}
	}
	g, w := *got, *want
	g.Content, w.Content, g.Alias, w.Alias = nil, nil, nil, nil
	if reflect.DeepEqual(g, w) && len(got.Content) == len(want.Content) {
		return ""
	}
	return strings.TrimSpace(dump(g) + " is not " + dump(w))
}

func dump(n yaml.Node) string {
	text, err := yaml.Marshal(struct {
		Kind                                 yaml.Kind
		Style                                yaml.Style
		Tag, Value, Anchor, Head, Side, Foot string
		Line, Column                         int
	}{n.Kind, n.Style, n.Tag, n.Value, n.Anchor, n.HeadComment, n.LineComment, n.FootComment, n.Line, n.Column})
	if err != nil {
		return err.Error()
	}
	return string(text)
}

var pieces = []string{
	"a: b\n", "a:\n  b: c\n  d: 1\n", "a:\n- b\n- c: d\n  e: f\n-   g: h\n    i: j\n", "a:\n  - - b\n    - c\n", "a: |\n  x\n\n   y  \n  # z\n\nb: c\n",
	"a: |-\n    x\nb: |\n  y\n\n\n", "a: 'x'\nb: \"y\"\nc: \"it's\"\nd: 'say \"x\"'\n", "a: 'it''s'\n", "a: \"\\n\"\n", "a: []\nb: {}\n", "a: {b: c}\n", "a: [b]\n",
	"a: yes\nb: true\nc: null\nd: ~\ne: 1.5\nf: 0x1f\ng: 2001-01-01\nh: 1e3\ni: .5\nj: -1\nk: +1\nl: off\nm: 0o7\nn: .inf\n", "a:\nb: c\n", "a:   b   \n",
	"a: b # c\n", "# a\na: b\n", "a: b\n# c\n", "a: b\n  c\n", "a: b: c\n", "a: b:\n", "- a\n- b\n", "a\n", "a:\n  b\n", "a: &x b\nc: *x\n", "a: !!str 1\n",
	"a: >\n  b\n  c\n", "a: |+\n  b\n\n", "a: |2\n   b\n", "a: |\n\n  b\n", "? a\n: b\n", "a.b/c-d: e\n1: 2\ntrue: x\n", "a: -\n", "a: - b\n", "a: --x\n", "a: :x\n",
	"a: x#y\n", "a: @x\n", "a: http://x:80/y\n", "a:  \n  b: c\n", "  a: b\n  c: d\n", "a: b\n c: d\n", "a:\n  b: c\n d: e\n", "a:\n    b: c\n  d: e\n", "a: b\na: c\n",
	"a: b\n- c\n", "- a: b\n  - c\n", "a:\n-\n  b: c\n", "a:\n- |\n  x\n- y\n", "a:\n- |\n x\n", "a: |\nb: c\n", "a: ünï\n", "a:\tb\n", "a: b\r\n", "<<: {a: b}\n", "\"a\": b\n", "a b: c\n", "a: b\n\n\n  \nc: d\n",
	"a: [\n", "a: 'b\n  c'\n", "a: \"b\n  c\"\n", "a: b", "a: |\n  b", "a: 12:30\nb: 1_000\nc: 0b1\nd: =\n", "a: ---\n", "a: |\n  ---\nb: c\n", "{\"a\": 1}\n", "a:\n  - b:\n    - c\n    d: e\n",
	"a:\n- b:\n  c: d\n", "$a: b\n_b: c\n/c: d\n.d: e\n", "a: $x\nb: /y\nc: _z\n", "a: ''\nb: \"\"\n", "a:\n  b:\n  - c\n  e: f\n", "", "\n", "# only\n", "...\n", "%YAML 1.1\n", "null\n",
}

func TestReadApart(t *testing.T) {
	apart := 0
	for _, a := range pieces {
		for _, stream := range []string{a, "---\n" + a, "a: b\n---\n" + a, a + "---\n", a + "---\nx: y\n", "--- \n" + a, "\n\n---\n\n" + a + "---\n---\n# x\n---\n" + a} {
			if sameAsYAML(t, "pieces: "+stream, []byte(stream)) {
				apart++
			}
		}
		for _, b := range pieces {
			sameAsYAML(t, "pieces: "+a+"---\n"+b, []byte(a+"---\n"+b))
			sameAsYAML(t, "pieces: "+a+b, []byte(a+b))
			sameAsYAML(t, "pieces: "+a+b, []byte("k:\n  "+strings.ReplaceAll(a, "\n", "\n  ")+"\n"+b))
		}
	}
	if apart < len(pieces)*4 {
		t.Errorf("only %d streams were read apart", apart)
	}
}

// TestPlainBlocksAreFast holds that what big manifests are made of needs no help.
func TestPlainBlocksAreFast(t *testing.T) {
	for _, a := range pieces[:7] {
		if a[0] == '-' || readBlock(a, 0) == nil {
			t.Errorf("not read as a block:\n%s", a)
		}
	}
}

func TestKeysThatStandTwice(t *testing.T) {
	const object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	many := ""
	for i := range 40 {
		many += fmt.Sprintf("  k%d: x\n", i)
	}
	for text, want := range map[string]string{
		"data:\n  a: b\n  a: c\n":                   "f.yaml:8:1: manifest cannot be read: key \"a\" stands twice in one mapping",
		"kind: Pod\n":                               "f.yaml:6:1: manifest cannot be read: key \"kind\" stands twice",
		"data:\n" + many + "  k3: y\n":              "f.yaml:47:1: manifest cannot be read: key \"k3\" stands twice",
		"list:\n- {a: b, c: {d: e, d: f}}\n":        "f.yaml:7:1: manifest cannot be read: key \"d\" stands twice",
		"a: &x {b: c}\nd: {<<: *x, <<: *x, b: d}\n": "",
	} {
		_, err := Parse("f.yaml", []byte("---\n---\n"+object+text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v", text, err)
		}
	}
}

func TestDeep(t *testing.T) {
	deep := "a:\n" + strings.Repeat("- ", 1<<20) + "x\n"
	if readBlock(deep, 0) != nil {
		t.Error("read")
	}
	if _, err := Parse("deep.yaml", []byte(deep)); err == nil || !strings.Contains(err.Error(), "deep.yaml:2:1: manifest cannot be read: exceeded max depth") {
		t.Errorf("error %.200v", err)
	}
}

// eachYAML calls f for all YAML below DAVIT_COMPAT_FILES, or else for the objects of all kinds that Kubernetes' own module tests with.
func eachYAML(t *testing.T, f func(path string, data []byte)) {
	t.Helper()
	dir := os.Getenv("DAVIT_COMPAT_FILES")
	if dir == "" {
		out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/api").Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		dir = filepath.Join(strings.TrimSpace(string(out)), "testdata", "HEAD")
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") && !strings.HasSuffix(path, ".yml") && !strings.HasSuffix(path, ".json") {
			return nil //nolint:nilerr // what cannot be read is not compared
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr
		}
		files++
		f(path, data)
		return nil
	})
	if err != nil || files == 0 {
		t.Fatalf("%d files: %v", files, err)
	}
	t.Logf("%d files", files)
}

func TestReadApartOthers(t *testing.T) {
	apart := 0
	eachYAML(t, func(path string, data []byte) {
		if sameAsYAML(t, path, data) {
			apart++
		}
	})
	if t.Logf("%d read apart", apart); apart == 0 {
		t.Error("nothing was compared")
	}
}

// withoutComments forgets comments: package yaml loses some of those between documents, after a literal block.
func withoutComments(nodes []*yaml.Node) {
	for _, n := range nodes {
		n.HeadComment, n.LineComment, n.FootComment = "", "", ""
		withoutComments(n.Content)
	}
}

func FuzzReadApart(f *testing.F) {
	for _, a := range pieces {
		f.Add(a, a)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		sameAsYAML(t, "fuzz", []byte(a+"\n---\n"+b), withoutComments)
		sameAsYAML(t, "fuzz", []byte(a+b), withoutComments)
	})
}
