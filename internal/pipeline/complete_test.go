package pipeline

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/hook"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/plan"
)

// TestComplete looks at what a hook after rendering is given: it sees everything, as `davit render` prints it.
func TestComplete(t *testing.T) {
	seen := filepath.Join(t.TempDir(), "seen")
	for _, tt := range []struct {
		keep bool
		want string
		warn []string
	}{
		{want: "namespace: shop", warn: []string{`more.yaml:1: namespace is "elsewhere" and stays so, not "shop"`}},
		{keep: true},
	} {
		var warnings []string
		p := &Pipeline{Environ: os.Environ(), Rendering: Rendering{Namespace: "shop", KeepNamespaces: tt.keep}, Sink: event.SinkFunc(func(e event.Event) {
			if w, ok := e.(event.Warning); ok {
				warnings = append(warnings, w.Message)
			}
		})}
		web, err := manifest.Parse("web.yaml", []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{image: web}]}\n"))
		if err != nil {
			t.Fatal(err)
		}
		more, err := manifest.Parse("more.yaml", []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: more, namespace: elsewhere}\n"))
		if err != nil {
			t.Fatal(err)
		}
		d := plan.Deployment{Labels: map[string]string{"team": "blue"}}
		d.Steps.After = []plan.AfterRendering{{Host: hook.Host{Command: []string{"sh", "-c", "cat > " + seen}, Dir: t.TempDir()}}}
		if _, err := p.Complete(t.Context(), []Rendered{{Deployment: d, Objects: append(web, more...)}}, nil, []Image{{Name: "web", Ref: "reg/web:v1"}}); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(seen)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{tt.want, "team: blue", "reg/web:v1", "namespace: elsewhere"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("the hook was not given %q, but\n%s", want, text)
			}
		}
		if strings.Contains(string(text), "namespace: shop") == tt.keep || !slices.Equal(warnings, tt.warn) {
			t.Errorf("the hook was given\n%s\nwarnings %q", text, warnings)
		}
	}
}
