package diag_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/config/diag"
)

func TestErrorShowsTheLine(t *testing.T) {
	src := &diag.Source{File: "skaffold.yaml", Text: []byte("a: 1\n\tb: ä x\r\nc: \xff\n")}
	for _, test := range []struct {
		line, column int
		want         string
	}{
		{1, 4, "skaffold.yaml:1:4: bad\n  1 | a: 1\n    |    ^\n  mend it"},
		{2, 7, "skaffold.yaml:2:7: bad\n  2 | \tb: ä x\n    | \t     ^\n  mend it"},
		{3, 4, "skaffold.yaml:3:4: bad\n  3 | c: ?\n    |    ^\n  mend it"},
		{0, 0, "skaffold.yaml: bad\n  mend it"},
		{9, 1, "skaffold.yaml:9:1: bad\n  mend it"},
	} {
		if got := src.At(test.line, test.column, "", "bad", "mend it").Error(); got != test.want {
			t.Errorf("got:\n%s\nwant:\n%s", got, test.want)
		}
	}
}

func TestNearest(t *testing.T) {
	fields := []string{"artifacts", "tagPolicy", "local", "hooks", "platforms"}
	for word, want := range map[string]string{
		"artifcts": "artifacts", "artefacts": "artifacts", "tagpolicy": "tagPolicy", "lcoal": "local", "hook": "hooks",
		"platform": "platforms", "kubernetes": "", "x": "", "": "",
	} {
		if got := diag.Nearest(word, fields); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
}

func TestForMachines(t *testing.T) {
	one := &diag.Error{Position: diag.Position{File: "f", Line: 2, Column: 3}, Path: "build", Cause: "bad", Next: "mend it", Source: "x", Err: fs.ErrNotExist}
	err := fmt.Errorf("loading: %w", diag.List{one}.Err())
	got, e := json.Marshal(diag.All(err))
	want := `[{"file":"f","line":2,"column":3,"path":"build","cause":"bad","next":"mend it","source":"x"}]`
	if e != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, e, want)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("the error underneath is lost")
	}
	if diag.All(errors.New("other")) != nil || (diag.List{}).Err() != nil {
		t.Error("nothing should be something")
	}
}

func TestLongLinesAreCut(t *testing.T) {
	src := &diag.Source{Text: []byte(strings.Repeat("a", 300) + "X" + strings.Repeat("b", 300))}
	lines := strings.Split(src.At(1, 301, "", "wrong", "").Error(), "\n")
	if at := strings.IndexRune(lines[1], 'X'); len(lines[1]) > 200 || at < 0 || []rune(lines[2])[len([]rune(lines[1][:at]))] != '^' {
		t.Errorf("got\n%s\n%s", lines[1], lines[2])
	}
	if got := src.At(1, 2, "", "wrong", "").Error(); !strings.Contains(got, "a…\n") {
		t.Errorf("got %s", got)
	}
}
