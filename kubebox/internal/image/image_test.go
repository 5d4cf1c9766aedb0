package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestSameFilesGiveTheSameImage(t *testing.T) {
	var digests []string
	for range 2 {
		image, err := New(v1.ImageConfig{Cmd: []string{"/a"}}, File{Path: "a", Mode: 0o755, Content: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, image.Manifest.Digest.String())
	}
	if digests[0] != digests[1] {
		t.Errorf("two images of the same files have the digests %v", digests)
	}
}

func TestPauseSleepsUntilKilled(t *testing.T) {
	pause, err := Pause(runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "pause")
	if err := os.WriteFile(program, unpack(t, pause.Blobs[pause.Parts[1].Digest])["pause"], 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	// A program that is no good would have ended by another signal: SIGSEGV or SIGILL.
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGTERM {
		t.Errorf("pause ended with %v, want it to sleep until it is told to end", cmd.ProcessState)
	}
}

func TestPauseForAnUnknownMachine(t *testing.T) {
	if _, err := Pause("m68k"); err == nil {
		t.Error("there is a pause image for m68k")
	}
}

func TestArchiveIsAnImageLayout(t *testing.T) {
	image, err := Pause("arm64")
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := image.WriteArchive(&archive, "example.com/pause:1"); err != nil {
		t.Fatal(err)
	}
	files := unpack(t, archive.Bytes())
	for _, want := range []string{"oci-layout", "index.json", "blobs/sha256/" + image.Manifest.Digest.Encoded()} {
		if _, ok := files[want]; !ok {
			t.Errorf("the archive lacks %s", want)
		}
	}
	if !bytes.Contains(files["index.json"], []byte("example.com/pause:1")) {
		t.Errorf("the index does not name the image: %s", files["index.json"])
	}
}

func unpack(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}
