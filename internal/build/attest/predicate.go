package attest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/google/go-containerregistry/pkg/v1/empty"

	"github.com/davit-dev/davit/internal/build"
)

// scan lists what is in an image.
func (b *Builder) scan(ctx context.Context, a build.Attestation, im *image) (predicate json.RawMessage, err error) {
	if generator := a.Attrs["generator"]; generator != "" {
		return nil, fmt.Errorf("the generator %s is an image that only a BuildKit of its own runs, not this builder; leave generator out", generator)
	}
	dir, err := os.MkdirTemp("", "davit-sbom")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return nil, err
	}
	if err := path.AppendImage(im.content); err != nil {
		return nil, fmt.Errorf("reading %s: %w", im.Digest, err)
	}
	return b.options.Scanner.Scan(ctx, dir)
}

// buildType says how to read the externalParameters below.
const buildType = "https://github.com/davit-dev/davit/blob/main/docs/attestations.md"

// slsa is a provenance predicate (https://slsa.dev/spec/v1.0/provenance).
type slsa struct {
	BuildDefinition struct {
		BuildType            string         `json:"buildType"`
		ExternalParameters   map[string]any `json:"externalParameters"`
		ResolvedDependencies []dependency   `json:"resolvedDependencies,omitempty"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID      string            `json:"id"`
			Version map[string]string `json:"version,omitempty"`
		} `json:"builder"`
		Metadata struct {
			InvocationID string    `json:"invocationId,omitempty"`
			StartedOn    time.Time `json:"startedOn"`
			FinishedOn   time.Time `json:"finishedOn"`
		} `json:"metadata"`
	} `json:"runDetails"`
}

type dependency struct {
	URI    string            `json:"uri"`
	Digest map[string]string `json:"digest"`
}

// provenance says what davit knows about a build by a builder that says nothing itself: what was asked for, and when. Values of build
// arguments are said in mode=max only, secrets never.
func provenance(r build.Request, attrs map[string]string, platform *v1.Platform, s span, version string) (json.RawMessage, error) {
	var p slsa
	p.BuildDefinition.BuildType = buildType
	p.BuildDefinition.ExternalParameters = parameters(r, attrs["mode"] == "max")
	if platform != nil {
		p.BuildDefinition.ExternalParameters["platform"] = platform.String()
	}
	if d, ok := r.Spec.(build.Docker); ok {
		p.BuildDefinition.ResolvedDependencies = pinned(d.Contexts)
	}
	p.RunDetails.Builder.ID = attrs["builder-id"]
	if version != "" {
		p.RunDetails.Builder.Version = map[string]string{"davit": version}
	}
	p.RunDetails.Metadata.InvocationID = r.Key
	p.RunDetails.Metadata.StartedOn, p.RunDetails.Metadata.FinishedOn = s.began.UTC(), s.ended.UTC()
	return json.Marshal(p)
}

func parameters(r build.Request, all bool) map[string]any {
	out := map[string]any{"image": r.Image}
	switch spec := r.Spec.(type) {
	case build.Docker:
		out["builder"] = "dockerfile"
		if relative, err := filepath.Rel(spec.Context, spec.Dockerfile); err == nil {
			out["dockerfile"] = filepath.ToSlash(relative)
		}
		if spec.Target != "" {
			out["target"] = spec.Target
		}
		if len(spec.BuildArgs) > 0 {
			out["buildArgs"] = slices.Sorted(maps.Keys(spec.BuildArgs))
			if all {
				out["buildArgs"] = spec.BuildArgs
			}
		}
	case build.Custom:
		out["builder"] = "custom"
		if all {
			out["command"] = spec.Command
		}
	}
	return out
}

// pinned are the named contexts that are images of a known digest, sorted.
func pinned(contexts map[string]string) []dependency {
	var out []dependency
	for _, name := range slices.Sorted(maps.Keys(contexts)) {
		ref, ok := strings.CutPrefix(contexts[name], "docker-image://")
		if !ok {
			continue
		}
		if ref, digest, ok := strings.Cut(ref, "@sha256:"); ok {
			out = append(out, dependency{URI: packageURL(ref+"@sha256:"+digest, nil), Digest: map[string]string{"sha256": digest}})
		}
	}
	return out
}

// packageURL names an image as https://github.com/package-url/purl-spec has it for docker.
func packageURL(ref string, platform *v1.Platform) string {
	ref, digest, pinned := strings.Cut(ref, "@")
	repository, version := ref, "latest"
	if i := strings.LastIndex(ref, ":"); i > strings.LastIndex(ref, "/") {
		repository, version = ref[:i], ref[i+1:]
	} else if pinned {
		version = ""
	}
	out := "pkg:docker/" + strings.ReplaceAll(repository, ":", "%3A")
	if version != "" {
		out += "@" + url.PathEscape(version)
	}
	query := url.Values{}
	if pinned {
		query.Set("digest", digest)
	}
	if platform != nil {
		query.Set("platform", platform.String())
	}
	if len(query) > 0 {
		out += "?" + query.Encode()
	}
	return out
}
