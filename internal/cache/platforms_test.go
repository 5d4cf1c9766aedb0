package cache

import (
	"slices"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestPlatformsOfImages(t *testing.T) {
	w := newWorld(t)
	c := w.cache(t.TempDir())
	var index v1.ImageIndex = empty.Index
	for _, p := range []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm", Variant: "v7"}, {OS: "unknown", Architecture: "unknown"}} {
		config, err := empty.Image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		config = config.DeepCopy()
		config.OS, config.Architecture, config.Variant = p.OS, p.Architecture, p.Variant
		image, err := mutate.ConfigFile(empty.Image, config)
		if err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &p}})
		if p.Variant != "" {
			if err := remote.Write(w.tag(w.host+"/web:arm"), image); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := remote.WriteIndex(w.tag(w.host+"/web:all"), index); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string][]string{"/web:all": {"linux/amd64", "linux/arm/v7"}, "/web:arm": {"linux/arm/v7"}} {
		if got, err := c.Platforms(t.Context(), w.host+ref); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", ref, got, err)
		}
	}
	if _, err := c.Platforms(t.Context(), w.host+"/web:none"); err == nil {
		t.Error("no error for an image that is not there")
	}
}
