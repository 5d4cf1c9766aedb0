package pipeline

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/manifest"
	"github.com/davit-dev/davit/internal/plan"
)

func TestPodsArePlacedOnNodesThatTheirImagesAreFor(t *testing.T) {
	w := newWorld(t)
	config, err := empty.Image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "arm64"
	img, err := mutate.ConfigFile(empty.Image, config)
	if err != nil {
		t.Fatal(err)
	}
	other := w.registry + "/other:1"
	tag, err := name.NewTag(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, img); err != nil {
		t.Fatal(err)
	}
	pod := func(image string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{image: '" + image + "'}]}\n---\n"
	}
	objects, err := manifest.Parse("k8s.yaml", []byte(pod("r/web:1@sha256:aa")+pod(other)+pod(w.registry+"/gone:1")))
	if err != nil {
		t.Fatal(err)
	}
	artifacts := []plan.Artifact{{Draft: plan.Draft{Image: "web", Platforms: []string{"linux/amd64"}}}}
	images := []Image{{Name: "web", Ref: "r/web:1@sha256:aa"}}
	p := w.pipeline()
	p.Nodes = NodeOptions{Affinity: true, Tolerate: true}
	if err := p.placeOnNodes(t.Context(), []Rendered{{Objects: objects}}, artifacts, images); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := manifest.Write(&out, objects); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"values: [amd64]", "values: [arm64]", ""} {
		text := strings.Split(out.String(), "---\n")[i+1]
		if !strings.Contains(text, want) || strings.Contains(text, "affinity") != (want != "") || strings.Contains(text, "tolerations") != (want == "values: [arm64]") {
			t.Errorf("pod %d:\n%s", i, text)
		}
	}
	if len(w.events) != 1 || !strings.Contains(w.events[0].(event.Warning).Message, "/gone:1 may come to nodes that cannot run it") {
		t.Errorf("events %v", w.events)
	}
}
