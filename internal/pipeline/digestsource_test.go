package pipeline

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/davit-dev/davit/internal/build"
	"github.com/davit-dev/davit/internal/cache"
	"github.com/davit-dev/davit/internal/config/model"
	"github.com/davit-dev/davit/internal/event"
	"github.com/davit-dev/davit/internal/image"
	"github.com/davit-dev/davit/internal/plan"
)

func TestUnbuilt(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	repo := strings.TrimPrefix(server.URL, "http://") + "/web"
	pushed, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(repo + ":v1")
	if err == nil {
		err = remote.Write(ref, pushed)
	}
	if err != nil {
		t.Fatal(err)
	}
	digest, err := pushed.Digest()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	dockerfile := filepath.Join(dir, "Dockerfile")
	if err := os.WriteFile(dockerfile, []byte("FROM scratch\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var warnings []string
	sink := event.SinkFunc(func(e event.Event) {
		if w, ok := e.(event.Warning); ok {
			warnings = append(warnings, w.Message)
		}
	})
	p := &Pipeline{Sink: sink, Now: time.Now, Cache: cache.New(cache.Options{Now: time.Now, Sink: sink, Timeout: patient})}
	drafts := func(tag string) []plan.Draft {
		return []plan.Draft{{Image: "web", Name: image.Reference{Name: repo}, Tag: tag, Policy: &model.Sha256{}, Context: dir, Spec: build.Docker{Context: dir, Dockerfile: dockerfile}}}
	}
	for _, tt := range []struct {
		source plan.DigestSource
		tag    string
		want   string
		err    string
	}{
		{source: plan.DigestTag, tag: "v9", want: repo + ":v9"},
		{source: plan.DigestRemote, tag: "v1", want: repo + ":v1@" + digest.String()},
		{source: plan.DigestRemote, tag: "v9", err: "there is no image " + repo + ":v9"},
		{source: plan.DigestNone},
	} {
		images, err := p.Unbuilt(t.Context(), drafts(tt.tag), tt.source)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%+v: got %v", tt, err)
			}
			continue
		}
		got := ""
		for _, i := range images {
			got += i.Ref
		}
		if err != nil || got != tt.want {
			t.Errorf("%+v: got %q, %v", tt, got, err)
		}
	}
	// A registry that says that it has no such image is believed; of one that does not answer, that is no reason not to deploy.
	images := []Image{{Name: "web", Ref: repo + ":v1"}, {Name: "gone", Ref: "127.0.0.1:1/gone:v1"}}
	if err := p.Resolve(t.Context(), images, true); err != nil || images[0].Ref != repo+":v1@"+digest.String() || images[1].Ref != "127.0.0.1:1/gone:v1" ||
		len(warnings) != 1 || !strings.Contains(warnings[0], "gone is deployed by its tag, and what runs is not proven") {
		t.Errorf("got %+v, %v, warnings %q", images, err, warnings)
	}
	if err := p.Resolve(t.Context(), []Image{{Name: "web", Ref: repo + ":v9"}}, true); err == nil || !strings.Contains(err.Error(), "there is no image "+repo+":v9") {
		t.Errorf("an image that is not there: %v", err)
	}
	for given, want := range map[string]plan.DigestSource{"": plan.DigestRemote, "local": plan.DigestLocal} {
		if got, err := plan.ParseDigestSource(given, false); got != want || err != nil {
			t.Errorf("%q: got %q, %v", given, got, err)
		}
	}
	if got, err := plan.ParseDigestSource("", true); got != plan.DigestTag || err != nil {
		t.Errorf("in a local cluster: got %q, %v", got, err)
	}
	if _, err := plan.ParseDigestSource("remot", false); err == nil {
		t.Error("a source that there is not was taken")
	}
}
