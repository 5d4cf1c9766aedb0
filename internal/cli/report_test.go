package cli

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// onTerminal runs davit with a terminal as standard output and standard error, and gives what was written to it.
func onTerminal(t *testing.T, dir string, environ []string, args ...string) string {
	t.Helper()
	own, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	written := make(chan string)
	go func() {
		text, _ := io.ReadAll(own) // ends with an error when the terminal is closed
		written <- string(text)
	}()
	w := World{Stdout: tty, Stderr: tty, Dir: dir, Home: t.TempDir(), CacheDir: t.TempDir(), Environ: environ, Now: time.Now}
	Main(w, args)
	if err := tty.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(<-written, "\r\n", "\n")
}

func TestCustomsOfTerminals(t *testing.T) {
	dir := t.TempDir()
	config := "apiVersion: skaffold/v4beta14\nkind: Config\nbuild: {artifacts: [{image: example.com/web}]}\n"
	for name, text := range map[string]string{"skaffold.yaml": config, "Dockerfile": "FROM scratch\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dryRun := []string{"build", "--dry-run", "-t", "v7", "-d", "localhost:1"}
	for name, c := range map[string]struct {
		environ []string
		args    []string
		want    string
		not     string
	}{
		"colours":                  {environ: []string{"TERM=xterm"}, want: "\x1b[34mGenerating tags...\x1b[0m"},
		"another colour":           {environ: []string{"TERM=xterm"}, args: []string{"--color", "95"}, want: "\x1b[95mGenerating tags...\x1b[0m"},
		"no colour":                {environ: []string{"TERM=xterm", "NO_COLOR=1"}, want: "Generating tags...", not: "\x1b[3"},
		"a terminal without wits":  {environ: []string{"TERM=dumb"}, want: "Generating tags...\n", not: "\x1b"},
		"lines with their times":   {environ: []string{"TERM=xterm", "NO_COLOR=1"}, args: []string{"--timestamps"}, want: " Generating tags...\n", not: "\x1b"},
		"more to read":             {environ: []string{"TERM=xterm", "NO_COLOR=1"}, args: []string{"-v", "debug"}, want: "Generating tags...\n", not: "\x1b"},
		"an error in colour":       {environ: []string{"TERM=xterm"}, args: []string{"-f", "none.yaml"}, want: "\x1b[31merror:\x1b[0m "},
		"an error without colours": {environ: []string{"TERM=dumb"}, args: []string{"-f", "none.yaml"}, want: "error: ", not: "\x1b"},
	} {
		t.Run(name, func(t *testing.T) {
			got := onTerminal(t, dir, c.environ, append(dryRun, c.args...)...)
			if !strings.Contains(got, c.want) || c.not != "" && strings.Contains(got, c.not) {
				t.Errorf("got %q", got)
			}
		})
	}
}
