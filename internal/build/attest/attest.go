// Package attest attaches what is asked for about an image, where it comes from and what is in it, to what a builder pushed.
//
// It stands around any builder. A BuildKit of its own makes its provenance itself; whatever is then still missing in the registry is made
// here. The shape is BuildKit's, so that the same tools read it: next to each platform's image the index names an attestation manifest, whose
// layers are in-toto statements (https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md).
package attest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/image/registry"
)

// The kinds of build.Attestation.
const (
	Provenance = "provenance"
	SBOM       = "sbom"
)

// Scanner says what is in an image.
type Scanner interface {
	// Scan returns an SPDX 2.3 document of the one image in layout, a folder as the OCI image layout has it.
	Scan(ctx context.Context, layout string) (json.RawMessage, error)
}

// Options is what is needed to attach something.
type Options struct {
	Keychain  authn.Keychain
	Transport http.RoundTripper // nil: one that gives up on a registry that is silent
	Now       func() time.Time
	Scanner   Scanner
	Version   string // of davit, for the provenance
}

// Builder attaches to what another builder pushed.
type Builder struct {
	next    build.Builder
	options Options
}

var _ build.Builder = (*Builder)(nil)

// Around returns a builder that builds by next and attaches what next did not. Without Request.Attest it does nothing of its own.
func Around(next build.Builder, o Options) *Builder {
	if o.Transport == nil {
		o.Transport = registry.Transport()
	}
	return &Builder{next: next, options: o}
}

// Build implements build.Builder. The Digest of its result is that of the index with the attestations.
func (b *Builder) Build(ctx context.Context, r build.Request, sink event.Sink) (build.Result, error) {
	if err := b.check(r); err != nil {
		return build.Result{}, fmt.Errorf("building %s: %w", r.Image, err)
	}
	began := b.options.Now()
	result, err := b.next.Build(ctx, r, sink)
	if err != nil || len(r.Attest) == 0 || !r.Push {
		return result, err
	}
	p, err := b.find(ctx, r, result.Digest)
	if err != nil {
		return build.Result{}, fmt.Errorf("attaching attestations to %s, which is pushed as %s: %w", r.Image, result.Digest, err)
	}
	added := false
	for _, a := range r.Attest {
		more, err := b.add(ctx, r, a, p, span{began, b.options.Now()}, sink)
		if err != nil {
			return build.Result{}, fmt.Errorf("making the %s of %s, which is pushed as %s: %w", a.Kind, r.Image, result.Digest, err)
		}
		added = added || more
	}
	if !added {
		return result, nil
	}
	if result.Digest, err = p.push(ctx); err != nil {
		return build.Result{}, fmt.Errorf("attaching attestations to %s: %w", r.Image, build.Refusal("pushing", r.Ref, err))
	}
	return result, nil
}

// check refuses, before anything is built, what no builder attests, and contents that nothing here can list.
func (b *Builder) check(r build.Request) error {
	for _, a := range r.Attest {
		if a.Kind != Provenance && a.Kind != SBOM {
			return fmt.Errorf("there is no attestation %q, but provenance and sbom", a.Kind)
		}
		if mode := a.Attrs["mode"]; a.Kind == Provenance && mode != "" && mode != "min" && mode != "max" {
			return fmt.Errorf("provenance has the modes min and max, not %q", mode)
		}
		if none, ok := b.options.Scanner.(noScanner); ok && r.Push && a.Kind == SBOM && a.Attrs["generator"] == "" {
			return none.missing()
		}
	}
	return nil
}

type span struct{ began, ended time.Time }

// add makes a statement about each image that has none of its kind.
func (b *Builder) add(ctx context.Context, r build.Request, a build.Attestation, p *pushed, s span, sink event.Sink) (bool, error) {
	added := false
	for i := range p.images {
		im := &p.images[i]
		if im.has(a.Kind) {
			continue
		}
		var (
			kind      = predicateSLSA
			predicate json.RawMessage
			err       error
		)
		if a.Kind == Provenance {
			predicate, err = provenance(r, a.Attrs, im.Platform, s, b.options.Version)
		} else {
			sink.Emit(event.ArtifactLog{Image: r.Image, Line: "listing what is in " + im.Digest.String() + platformSuffix(im.Platform)})
			kind = predicateSPDX
			predicate, err = b.scan(ctx, a, im)
		}
		if err != nil {
			return false, err
		}
		statement, err := json.Marshal(statement{Type: statementV1, PredicateType: kind, Subject: im.subjects(r.Ref), Predicate: predicate})
		if err != nil {
			return false, err
		}
		im.add(kind, statement)
		added = true
	}
	return added, nil
}

func platformSuffix(p *v1.Platform) string {
	if p == nil {
		return ""
	}
	return " (" + p.String() + ")"
}
