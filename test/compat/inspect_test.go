package compat

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/davit-dev/davit/internal/cli"
)

// TestInspect compares what `inspect` answers for every skaffold.yaml below a folder: to the letter, but for the words of errors.
func TestInspect(t *testing.T) {
	skaffold, files := os.Getenv("DAVIT_COMPAT_SKAFFOLD"), os.Getenv("DAVIT_COMPAT_FILES")
	if skaffold == "" || files == "" {
		t.Skip("set DAVIT_COMPAT_SKAFFOLD to a skaffold v2.24 binary and DAVIT_COMPAT_FILES to a checkout of its source")
	}
	home := t.TempDir()
	environ := append(os.Environ(), "HOME="+home, "KUBECONFIG="+filepath.Join(home, "none"), "SKAFFOLD_UPDATE_CHECK=false")
	var group errgroup.Group
	group.SetLimit(2)
	var compared atomic.Int64
	for _, file := range configurations(t, files) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(file) != "skaffold.yaml" || bytes.Contains(text, []byte("repo: https://")) { // that one depends on the network
			continue
		}
		for _, question := range []string{"modules list --all", "profiles list", "profiles list --build-env local", "build-env list", "tests list", "executionModes list", "jobManifestPaths list"} {
			group.Go(func() error {
				args := append([]string{"inspect"}, strings.Fields(question)...)
				cmd := exec.CommandContext(t.Context(), skaffold, args...)
				cmd.Dir, cmd.Env = filepath.Dir(file), environ
				theirs, err := cmd.Output()
				var out, errs bytes.Buffer
				code := cli.Main(cli.World{Stdout: &out, Stderr: &errs, Environ: environ, Dir: cmd.Dir, Home: home, Now: time.Now}, args)
				compared.Add(1)
				if (err == nil) != (code == 0) || withoutWords(theirs) != withoutWords(out.Bytes()) {
					t.Errorf("%s: inspect %s:\nskaffold: %s(%v)\ndavit:    %s(%d) %s", file, question, theirs, err, out.String(), code, errs.String())
				}
				return nil
			})
		}
	}
	_ = group.Wait()
	t.Logf("%d answers compared", compared.Load())
}

// withoutWords is an answer, or the code of an error.
func withoutWords(answer []byte) string {
	var failure struct{ ErrorCode string }
	if json.Unmarshal(answer, &failure) == nil && failure.ErrorCode != "" {
		return failure.ErrorCode
	}
	return string(answer)
}
