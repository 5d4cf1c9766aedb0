//go:build e2e

package lifecycle

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// refuse runs the command, which must fail and say all the words.
func refuse(t *testing.T, cmd *exec.Cmd, words ...string) {
	t.Helper()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err == nil {
		t.Errorf("%v succeeded, want it to refuse", cmd.Args)
	}
	for _, word := range words {
		if !strings.Contains(said.String(), word) {
			t.Errorf("%v says\n%swant it to mention %q", cmd.Args, said.String(), word)
		}
	}
}

func TestRefusesWithoutRoot(t *testing.T) {
	// Others can reach neither the cache of root nor the folders of tests.
	dir, err := os.MkdirTemp("/tmp", "kubebox")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "kubebox")
	if err := copyFile(kubebox.Binary, binary); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"up", "down"} {
		cmd := exec.Command(binary, verb)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		refuse(t, cmd, "root", "sudo")
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}

func TestRefusesWithoutPackages(t *testing.T) {
	refuse(t, exec.Command("unshare", "--mount", "sh", "-c",
		`mount --bind /dev/null "$(command -v runc)" && exec "$0" up`, kubebox.Binary),
		"runc", "apt-get install", "deps.sh")
}

func TestRefusesWithoutSpace(t *testing.T) {
	refuse(t, exec.Command("unshare", "--mount", "sh", "-c",
		`mount -t tmpfs -o size=16m none /mnt && exec "$0" up --state-dir /mnt/kubebox`, kubebox.Binary),
		"16 MiB are free in /mnt", "make room")
}
