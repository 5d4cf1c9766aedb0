//go:build linux

package docker_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/davit-dev/davit/internal/deploy/docker"
	"github.com/davit-dev/davit/internal/engine/enginetest"
)

// TestTail follows the logs of a container that is started again and replaced, and of one that comes after its Engine was killed.
func TestTail(t *testing.T) {
	e := enginetest.StartMortal(t)
	h := &host{T: t, client: enginetest.Open(t, e.Endpoint)}
	set := docker.Set{Name: "davit-shop", Network: "davit-shop", Wait: true, Containers: []docker.Container{{Image: "web"}}}
	const unended = "no newline"
	image := func(ref string) docker.Image {
		return h.image(ref, "echo hello from "+ref+"; echo to stderr >&2; busybox head -c 40000 /dev/zero | busybox tr '\\0' x; echo; busybox printf '"+unended+"'; "+sleep, nil)
	}
	deploy := func(image docker.Image) *docker.Started {
		t.Helper()
		d := h.deployer()
		started, err := d.Start(t.Context(), set, map[string]docker.Image{"web": image})
		if err == nil {
			err = d.Settle(t.Context(), started)
		}
		if err != nil {
			t.Fatal(err)
		}
		return started
	}
	began := time.Now()
	started := deploy(image("web:1"))
	lines := make(chan docker.Line, 100)
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
	defer stop()
	ended := make(chan struct{})
	tailing := h.deployer()
	go func() {
		defer close(ended)
		tailing.Tail(ctx, []*docker.Started{started}, began, func(l docker.Line) { lines <- l })
	}()
	sees := func(texts ...string) {
		t.Helper()
		missing := map[string]bool{}
		for _, text := range texts {
			missing[text] = true
		}
		for len(missing) > 0 {
			select {
			case l := <-lines:
				if l.Text == unended && !missing[unended] {
					continue // whether the Engine still tells it when the container goes is luck
				}
				if !missing[l.Text] || l.Container != "web" || l.Image != "web" {
					t.Fatalf("got %.100q of container %s of image %s, want %.100q", l.Text, l.Container, l.Image, texts)
				}
				delete(missing, l.Text)
			case <-ctx.Done():
				t.Fatalf("%.100q never came", slices.Collect(maps.Keys(missing)))
			}
		}
	}
	long := strings.Repeat("x", 40000)
	sees("hello from web:1", "to stderr", long)
	must(h.client.ContainerRestart(t.Context(), "web", client.ContainerRestartOptions{}))
	sees(unended, "hello from web:1", "to stderr", long)
	deploy(image("web:2"))
	sees("hello from web:2", "to stderr", long)
	e.Kill(t)
	e.Start(t)
	deploy(image("web:3"))
	sees("hello from web:3", "to stderr", long)
	stop()
	<-ended
}
