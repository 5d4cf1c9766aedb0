package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// An image with a Debian package database and a Node package.
func TestSBOM(t *testing.T) {
	files := map[string]string{
		"etc/os-release":                     "ID=debian\nVERSION_ID=\"12\"\n",
		"var/lib/dpkg/status":                "Package: busybox-static\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:1.35.0-4\nMaintainer: x <x@example.org>\nDescription: x\n\n",
		"app/node_modules/left/package.json": `{"name": "left", "version": "1.2.3"}`,
	}
	var buf bytes.Buffer
	archive := tar.NewWriter(&buf)
	for name, content := range files {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	image, err = mutate.ConfigFile(image, func() *v1.ConfigFile { c, _ := image.ConfigFile(); c.OS, c.Architecture = "linux", "amd64"; return c }())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(image); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{dir}, &out); err != nil {
		t.Fatal(err)
	}
	var document struct {
		SPDXVersion string `json:"spdxVersion"`
		Packages    []struct{ Name, VersionInfo string }
	}
	if err := json.Unmarshal(out.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	if document.SPDXVersion != "SPDX-2.3" {
		t.Errorf("version %q", document.SPDXVersion)
	}
	var found []string
	for _, p := range document.Packages {
		found = append(found, p.Name+" "+p.VersionInfo)
	}
	for _, want := range []string{"busybox-static 1:1.35.0-4", "left 1.2.3"} {
		if !strings.Contains(strings.Join(found, "\n"), want) {
			t.Errorf("%s is not among %q", want, found)
		}
	}
}
