// Package image makes small OCI images out of files, without a daemon.
package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"runtime"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// File is a file of an image: its absolute path without the leading slash, its
// permission bits and its content; or, if Link is set, a symbolic link to that.
type File struct {
	Path    string
	Mode    int64
	Content []byte
	Link    string
}

// Image is a single-platform image: its manifest, and the blobs it names.
type Image struct {
	Manifest v1.Descriptor
	Blobs    map[digest.Digest][]byte // the manifest's included
	Parts    []v1.Descriptor          // config and layer, as the manifest names them
}

// New returns the image with one layer that holds the files. The same files
// and config give the same digest.
func New(config v1.ImageConfig, files ...File) (*Image, error) {
	layer, err := layer(files)
	if err != nil {
		return nil, err
	}
	image := &Image{Blobs: map[digest.Digest][]byte{}}
	layerPart := image.add(v1.MediaTypeImageLayer, layer)
	configJSON, err := json.Marshal(v1.Image{
		Platform: v1.Platform{Architecture: runtime.GOARCH, OS: "linux"},
		Config:   config,
		RootFS:   v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{layerPart.Digest}},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot write the image's config: %w", err)
	}
	configPart := image.add(v1.MediaTypeImageConfig, configJSON)
	manifest, err := json.Marshal(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageManifest,
		Config:    configPart,
		Layers:    []v1.Descriptor{layerPart},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot write the image's manifest: %w", err)
	}
	image.Parts = []v1.Descriptor{configPart, layerPart}
	image.Manifest = image.add(v1.MediaTypeImageManifest, manifest)
	return image, nil
}

func (i *Image) add(mediaType string, blob []byte) v1.Descriptor {
	d := digest.FromBytes(blob)
	i.Blobs[d] = blob
	return v1.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(blob))}
}

func layer(files []File) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if err := writeFile(w, f); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("cannot write the layer: %w", err)
	}
	return b.Bytes(), nil
}

// WriteArchive writes the image as a tar of an OCI image layout, to be imported under the name ref.
func (i *Image) WriteArchive(to io.Writer, ref string) error {
	named := i.Manifest
	named.Annotations = map[string]string{"io.containerd.image.name": ref}
	index, err := json.Marshal(v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageIndex,
		Manifests: []v1.Descriptor{named},
	})
	if err != nil {
		return fmt.Errorf("cannot write the image's index: %w", err)
	}
	files := []File{
		{Path: v1.ImageLayoutFile, Mode: 0o644, Content: []byte(`{"imageLayoutVersion":"` + v1.ImageLayoutVersion + `"}`)},
		{Path: v1.ImageIndexFile, Mode: 0o644, Content: index},
	}
	for d, blob := range i.Blobs {
		files = append(files, File{Path: "blobs/" + d.Algorithm().String() + "/" + d.Encoded(), Mode: 0o644, Content: blob})
	}
	w := tar.NewWriter(to)
	for _, f := range files {
		if err := writeFile(w, f); err != nil {
			return err
		}
	}
	return w.Close()
}

func writeFile(w *tar.Writer, f File) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: f.Path, Mode: f.Mode, Size: int64(len(f.Content))}
	if f.Link != "" {
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, f.Link, 0o777
	}
	if err := w.WriteHeader(header); err != nil {
		return fmt.Errorf("cannot write %s into the image: %w", f.Path, err)
	}
	if _, err := w.Write(f.Content); err != nil {
		return fmt.Errorf("cannot write %s into the image: %w", f.Path, err)
	}
	return nil
}
