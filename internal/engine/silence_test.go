//go:build linux

package engine_test

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/davit-dev/davit/internal/engine"
	"github.com/davit-dev/davit/internal/engine/enginetest"
)

// TestRegistryThatDoesNotAnswer lets a real Engine push to and pull from a registry that takes connections and says nothing.
func TestRegistryThatDoesNotAnswer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	tag, err := name.NewTag(listener.Addr().String() + "/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := tarball.Write(tag, image, &archive); err != nil {
		t.Fatal(err)
	}
	client := enginetest.Open(t, enginetest.Start(t))
	if err := engine.Load(t.Context(), client, &archive); err != nil {
		t.Fatal(err)
	}
	for what, do := range map[string]func() error{
		"push": func() error {
			_, err := engine.PushPatiently(t.Context(), client, tag.String(), types.AuthConfig{}, func(string) {}, time.Second)
			return err
		},
		"pull": func() error {
			return engine.PullPatiently(t.Context(), client, tag.String(), types.AuthConfig{}, time.Second)
		},
	} {
		if err := do(); err == nil || !strings.Contains(err.Error(), "nothing was heard for 1s") {
			t.Errorf("%s: error %v", what, err)
		}
	}
}
