package kustomize

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/manifest"
)

// files is the disk as one build sees it. It ends the build when the context ends, has every kustomization keep the origins of its
// objects, and holds what the charts of kustomizations are rendered to.
type files struct {
	filesys.FileSystem
	ctx     context.Context
	options Options
	helm    helmSettings
	sink    event.Sink
	made    map[string][]byte // by path
	// ownSchema says that a kustomization changes the OpenAPI schema of the process, which shared says that it must not.
	ownSchema, shared bool
	// origins says that the first kustomization itself asks for annotations of origin, so that they stay; namespace is its namespace.
	origins, rooted bool
	namespace       string
	// broken is what is wrong with a kustomization, with its file: the library does not say which it was.
	broken error
}

func (o Options) files(ctx context.Context, s settings, sink event.Sink) *files {
	return &files{FileSystem: filesys.MakeFsOnDisk(), ctx: ctx, options: o, helm: s.helm, sink: sink, made: map[string][]byte{}}
}

// ReadFile reads a file; kustomizations come as davit wants them built.
func (f *files) ReadFile(path string) ([]byte, error) {
	if f.ctx.Err() != nil {
		return nil, context.Cause(f.ctx)
	}
	if text, made := f.made[path]; made {
		return text, nil
	}
	data, err := f.FileSystem.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(konfig.RecognizedKustomizationFileNames(), filepath.Base(path)) {
		return f.withValues(path, data)
	}
	out, err := f.kustomization(filepath.Dir(path), data)
	if err != nil {
		f.broken = fmt.Errorf("%s: %w", path, err)
	}
	return out, err
}

// withValues sets the parameters of a file with manifests. Any other file stays as it is.
func (f *files) withValues(path string, data []byte) ([]byte, error) {
	if len(f.options.Values) == 0 || !bytes.Contains(data, []byte("# from-param:")) {
		return data, nil
	}
	objects, err := manifest.Parse(path, data)
	if err != nil {
		return data, nil //nolint:nilerr // it may be a text for a ConfigMap; what is wrong with a manifest is said when it is used
	}
	if err := manifest.SetValues(objects, f.options.Values); err != nil {
		f.broken = err
		return nil, err
	}
	var out bytes.Buffer
	err = manifest.Stream(&out, objects)
	return out.Bytes(), err
}

// kustomization notes what a kustomization changes outside of itself, has the first one, which the others follow, mark the origin of each
// object, and puts resources in the place of charts.
func (f *files) kustomization(dir string, data []byte) ([]byte, error) {
	var k types.Kustomization
	if err := k.Unmarshal(data); err != nil {
		return nil, err
	}
	k.FixKustomization()
	if f.ownSchema = f.ownSchema || len(k.OpenAPI) > 0; f.ownSchema && f.shared {
		return nil, errors.New("it brings an OpenAPI schema")
	}
	metadata := k.BuildMetadata
	if !f.rooted {
		f.rooted, f.namespace = true, k.Namespace
		if f.origins = slices.Contains(metadata, types.OriginAnnotations); !f.origins {
			metadata = append(metadata, types.OriginAnnotations)
		}
	}
	charts := len(k.HelmCharts) > 0 && f.helm.enabled && f.helm.command == ""
	if !charts && len(metadata) == len(k.BuildMetadata) {
		return data, nil
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil || doc.Kind == 0 {
		return data, err
	}
	set(doc.Content[0], "buildMetadata", metadata)
	if charts {
		resources, err := f.inflate(dir, &k)
		if err != nil {
			return nil, err
		}
		set(doc.Content[0], "resources", append(k.Resources, resources...))
		for _, key := range []string{"bases", "helmCharts", "helmGlobals", "helmChartInflationGenerator"} {
			set(doc.Content[0], key, nil)
		}
	}
	return yaml.Marshal(&doc)
}

// set sets a key of a mapping to a list of texts, or takes it out when there are none.
func set(m *yaml.Node, key string, items []string) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content = slices.Delete(m.Content, i, i+2)
			break
		}
	}
	if len(items) == 0 {
		return
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, item := range items {
		list.Content = append(list.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: item})
	}
	m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, list)
}
