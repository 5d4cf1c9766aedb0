//go:build !windows

package hook_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/hook"
)

// logs collects what hooks print.
func logs(lines *[]string) event.Sink {
	return event.SinkFunc(func(e event.Event) {
		if log, ok := e.(event.ArtifactLog); ok {
			*lines = append(*lines, log.Image+": "+log.Line)
		}
	})
}

func sh(text string) hook.Host { return hook.Host{Command: []string{"sh", "-c", text}} }

func TestRun(t *testing.T) {
	var lines []string
	other := sh("echo elsewhere")
	other.OS = []string{"plan9"}
	reads := sh("cat")
	reads.Stdin = []byte("in\n")
	err := hook.Run(t.Context(), []hook.Host{other, sh("echo $SKAFFOLD_IMAGE >&2"), reads, sh("exit 3"), sh("echo never")}, "web", hook.Env{"IMAGE": "x"}, os.Environ(), logs(&lines))
	if want := []string{"web: x", "web: in"}; !slices.Equal(lines, want) {
		t.Errorf("logs %q, want %q", lines, want)
	}
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.HasSuffix(err.Error(), "run again; it printed nothing") {
		t.Errorf("error %v", err)
	}
	err = hook.Run(t.Context(), []hook.Host{sh("seq 12; exit 1")}, "web", nil, os.Environ(), logs(&lines))
	if err == nil || !strings.HasSuffix(err.Error(), "it printed\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12") {
		t.Errorf("error %v", err)
	}
}

func TestOutput(t *testing.T) {
	var lines []string
	h := sh("sed s/a/b/; echo done >&2")
	h.Stdin = []byte("a\n")
	out, ran, err := hook.Output(t.Context(), h, "render", nil, os.Environ(), logs(&lines))
	if string(out) != "b\n" || !ran || err != nil || !slices.Equal(lines, []string{"render: done"}) {
		t.Errorf("got %q, %v, %v, logs %q", out, ran, err, lines)
	}
	h.OS = []string{"plan9"}
	if out, ran, err := hook.Output(t.Context(), h, "render", nil, os.Environ(), logs(&lines)); out != nil || ran || err != nil {
		t.Errorf("on another system: %q, %v, %v", out, ran, err)
	}
	for _, c := range []struct {
		command []string
		want    string
	}{{nil, "a hook has no command"}, {[]string{"no-such-program"}, "install it or mend the hook"}} {
		if _, _, err := hook.Output(t.Context(), hook.Host{Command: c.command}, "render", nil, nil, logs(&lines)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v", c.command, err)
		}
	}
}
