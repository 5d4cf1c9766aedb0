package attest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/moby/buildkit/util/attestation"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/build/registry"
)

// What statements and the manifests that hold them are marked with.
const (
	statementV1    = "https://in-toto.io/Statement/v1"
	predicateSPDX  = "https://spdx.dev/Document"
	predicateSLSA  = "https://slsa.dev/provenance/v1"
	provenanceAny  = "https://slsa.dev/provenance/"
	predicateLabel = "in-toto.io/predicate-type"
	statementType  = types.MediaType("application/vnd.in-toto+json")
)

// statement is an in-toto statement (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md).
type statement struct {
	Type          string          `json:"_type"`
	PredicateType string          `json:"predicateType"`
	Subject       []subject       `json:"subject"`
	Predicate     json.RawMessage `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// pushed is what a builder pushed: the images of an index, or one image.
type pushed struct {
	client registry.Client
	tag    name.Reference
	opts   []remote.Option
	index  v1.IndexManifest // without attestation manifests
	images []image
}

// image is one platform's image and the statements about it.
type image struct {
	v1.Descriptor
	content    v1.Image
	statements []v1.Layer
	kinds      []string // the predicate type of each statement
}

// find reads what has the digest in r's repository.
func (b *Builder) find(ctx context.Context, r build.Request, digest string) (*pushed, error) {
	client := registry.Client{Keychain: b.options.Keychain, Transport: b.options.Transport, Insecure: r.Insecure}
	tag, err := client.Parse(r.Ref)
	if err != nil {
		return nil, err
	}
	p := &pushed{client: client, tag: tag, opts: client.Options(ctx)}
	found, err := remote.Get(tag.Context().Digest(digest), p.opts...)
	if err != nil {
		return nil, err
	}
	if !found.MediaType.IsIndex() {
		return p, p.single(found)
	}
	index, err := found.ImageIndex()
	if err != nil {
		return nil, err
	}
	return p, p.read(index)
}

// single makes an index for one image, whose platform is in its configuration.
func (p *pushed) single(found *remote.Descriptor) error {
	content, err := found.Image()
	if err != nil {
		return err
	}
	config, err := content.ConfigFile()
	if err != nil {
		return err
	}
	p.index = v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	d := found.Descriptor
	d.Platform, d.ArtifactType = config.Platform(), "" // the client's own guess
	p.images = []image{{Descriptor: d, content: content}}
	return nil
}

// read sorts the manifests of an index into images and what is attested about them.
func (p *pushed) read(index v1.ImageIndex) error {
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	p.index = *manifest
	p.index.Manifests = nil
	about := map[string][]v1.Layer{}
	kinds := map[string][]string{}
	for _, m := range manifest.Manifests {
		content, err := index.Image(m.Digest)
		if err != nil {
			return fmt.Errorf("reading %s: %w", m.Digest, err)
		}
		if m.Annotations[attestation.DockerAnnotationReferenceType] != attestation.DockerAnnotationReferenceTypeDefault {
			p.images = append(p.images, image{Descriptor: m, content: content})
			continue
		}
		subject := m.Annotations[attestation.DockerAnnotationReferenceDigest]
		held, err := content.Manifest()
		if err != nil {
			return fmt.Errorf("reading %s: %w", m.Digest, err)
		}
		for _, l := range held.Layers {
			text, err := readLayer(content, l.Digest)
			if err != nil {
				return fmt.Errorf("reading %s: %w", m.Digest, err)
			}
			about[subject] = append(about[subject], static.NewLayer(text, statementType))
			kinds[subject] = append(kinds[subject], l.Annotations[predicateLabel])
		}
	}
	for i := range p.images {
		d := p.images[i].Digest.String()
		p.images[i].statements, p.images[i].kinds = about[d], kinds[d]
	}
	return nil
}

func readLayer(image v1.Image, digest v1.Hash) ([]byte, error) {
	layer, err := image.LayerByDigest(digest)
	if err != nil {
		return nil, err
	}
	content, err := layer.Compressed() // as it is
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(content)
	return text, errors.Join(err, content.Close())
}

// has says whether there is a statement of an attestation's kind.
func (im *image) has(kind string) bool {
	return slices.ContainsFunc(im.kinds, func(k string) bool {
		return kind == SBOM && k == predicateSPDX || kind == Provenance && strings.HasPrefix(k, provenanceAny)
	})
}

func (im *image) add(kind string, statement []byte) {
	im.statements = append(im.statements, static.NewLayer(statement, statementType))
	im.kinds = append(im.kinds, kind)
}

// subjects name the image as BuildKit does, by a package URL.
func (im *image) subjects(ref string) []subject {
	return []subject{{Name: packageURL(ref, im.Platform), Digest: map[string]string{im.Digest.Algorithm: im.Digest.Hex}}}
}

// push writes the attestation manifests, then the index, whose digest it returns.
func (p *pushed) push(ctx context.Context) (string, error) {
	for _, im := range p.images {
		p.index.Manifests = append(p.index.Manifests, im.Descriptor)
	}
	for _, im := range p.images {
		if len(im.statements) == 0 {
			continue
		}
		manifest, err := attestationManifest(im)
		if err != nil {
			return "", err
		}
		digest, err := manifest.Digest()
		if err != nil {
			return "", err
		}
		size, err := manifest.Size()
		if err != nil {
			return "", err
		}
		if err := remote.Write(p.tag.Context().Digest(digest.String()), manifest, p.opts...); err != nil {
			return "", err
		}
		p.index.Manifests = append(p.index.Manifests, v1.Descriptor{
			MediaType: types.OCIManifestSchema1, Size: size, Digest: digest,
			Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"},
			Annotations: map[string]string{
				attestation.DockerAnnotationReferenceType:   attestation.DockerAnnotationReferenceTypeDefault,
				attestation.DockerAnnotationReferenceDigest: im.Digest.String(),
			},
		})
	}
	return p.client.PutIndex(ctx, p.tag.String(), p.index)
}

// attestationManifest is an image for no platform whose layers are the statements.
func attestationManifest(im image) (v1.Image, error) {
	out := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	out, err := mutate.ConfigFile(out, &v1.ConfigFile{OS: "unknown", Architecture: "unknown", RootFS: v1.RootFS{Type: "layers"}})
	if err != nil {
		return nil, err
	}
	for i, layer := range im.statements {
		out, err = mutate.Append(out, mutate.Addendum{Layer: layer, MediaType: statementType, Annotations: map[string]string{predicateLabel: im.kinds[i]}})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
