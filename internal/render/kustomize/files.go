package kustomize

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// files is the disk as one build sees it. It ends the build when the context ends, and has every kustomization keep the origins of its
// objects.
type files struct {
	filesys.FileSystem
	ctx context.Context
	// ownSchema says that a kustomization changed the OpenAPI schema of the process.
	ownSchema bool
	// origins says that a kustomization itself asks for annotations of origin, so that they stay.
	origins, rooted bool
	// broken is what is wrong with a kustomization, with its file: the library does not say which it was.
	broken error
}

func newFiles(ctx context.Context) *files {
	return &files{FileSystem: filesys.MakeFsOnDisk(), ctx: ctx}
}

// ReadFile reads a file; kustomizations come as davit wants them built.
func (f *files) ReadFile(path string) ([]byte, error) {
	if f.ctx.Err() != nil {
		return nil, context.Cause(f.ctx)
	}
	data, err := f.FileSystem.ReadFile(path)
	if err != nil || !slices.Contains(konfig.RecognizedKustomizationFileNames(), filepath.Base(path)) {
		return data, err
	}
	out, err := f.kustomization(data)
	if err != nil {
		f.broken = fmt.Errorf("%s: %w", path, err)
	}
	return out, err
}

// kustomization notes what a kustomization changes outside of itself, and has the first one, which the others follow, mark the origin
// of each object.
func (f *files) kustomization(data []byte) ([]byte, error) {
	var k types.Kustomization
	if err := k.Unmarshal(data); err != nil {
		return nil, err
	}
	f.ownSchema = f.ownSchema || len(k.OpenAPI) > 0
	if f.rooted {
		return data, nil
	}
	f.rooted = true
	if f.origins = slices.Contains(k.BuildMetadata, types.OriginAnnotations); f.origins {
		return data, nil
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil || doc.Kind == 0 {
		return data, err
	}
	setList(doc.Content[0], "buildMetadata", append(k.BuildMetadata, types.OriginAnnotations))
	return yaml.Marshal(&doc)
}

// setList sets a key of a mapping to a list of texts.
func setList(m *yaml.Node, key string, items []string) {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, item := range items {
		list.Content = append(list.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: item})
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content[i+1] = list
			return
		}
	}
	m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, list)
}
