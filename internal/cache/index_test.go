package cache

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestDigestsOfAnIndexAreItsImages(t *testing.T) {
	w := newWorld(t)
	c := w.cache(t.TempDir())
	index, err := random.Index(64, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	ref := w.host + "/web:v1"
	if err := remote.WriteIndex(w.tag(ref), index); err != nil {
		t.Fatal(err)
	}
	own, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Digests(t.Context(), ref)
	if err != nil || len(got) != 3 || got[0] != own.String() || got[1] != manifest.Manifests[0].Digest.String() {
		t.Errorf("got %v, %v", got, err)
	}
	single := w.push(w.host + "/web:v2")
	if got, err = c.Digests(t.Context(), w.host+"/web:v2"); err != nil || len(got) != 1 || got[0] != single {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err = c.Digests(t.Context(), w.host+"/web:v3"); err == nil {
		t.Error("no error for an image that is not there")
	}
}
