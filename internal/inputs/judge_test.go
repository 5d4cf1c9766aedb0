package inputs

import (
	"context"
	"encoding/json"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/opencontainers/go-digest"
	"github.com/tonistiigi/fsutil"
	"google.golang.org/protobuf/proto"
)

// judge asks BuildKit itself which files of the build context it would be sent, and holds a manifest against that. What COPY leaves out by --exclude and
// --parents is sent all the same, and so is more for wildcards in folders when there are symbolic links.
func judge(t *testing.T, root, dockerfile, ignore, target string, args map[string]string, on []string, m Manifest) {
	t.Helper()
	if len(on) == 0 {
		on = []string{"linux/amd64"}
	}
	sent := map[string]bool{}
	for _, platform := range on {
		for _, f := range sentTo(t, root, dockerfile, ignore, target, args, platform) {
			sent[f] = true
		}
	}
	for _, f := range m.Files {
		if f.Path != "Dockerfile" && !sent[f.Path] {
			t.Errorf("BuildKit is not sent %s", f.Path)
		}
		delete(sent, f.Path)
	}
	filtered := slices.ContainsFunc([]string{"--exclude", "--parents", "*/"}, func(s string) bool { return strings.Contains(dockerfile, s) })
	if len(sent) > 0 && !filtered {
		t.Errorf("BuildKit is sent these as well: %v", slices.Sorted(maps.Keys(sent)))
	}
}

// sentTo is the list of files that BuildKit's client sends for a Dockerfile.
func sentTo(t *testing.T, root, dockerfile, ignore, target string, args map[string]string, platform string) []string {
	t.Helper()
	p, err := platforms.Parse(platform)
	if err != nil {
		t.Fatal(err)
	}
	res, err := dockerfile2llb.Dockerfile2LLB(t.Context(), []byte(dockerfile), dockerfile2llb.ConvertOpt{
		Config: dockerui.Config{BuildArgs: maps.Clone(args), Target: target}, TargetPlatform: &p, MetaResolver: resolver{},
	})
	if err != nil {
		t.Fatal(err)
	}
	def, err := res.State.Marshal(t.Context(), llb.Platform(p))
	if err != nil {
		t.Fatal(err)
	}
	excludes, err := ignorefile.ReadAll(strings.NewReader(ignore))
	if err != nil {
		t.Fatal(err)
	}
	all, err := fsutil.NewFS(root)
	if err != nil {
		t.Fatal(err)
	}
	var sent []string
	for _, raw := range def.Def {
		var op pb.Op
		if err := proto.Unmarshal(raw, &op); err != nil {
			t.Fatal(err)
		}
		source := op.GetSource()
		if source == nil || !strings.HasPrefix(source.Identifier, "local://") {
			continue
		}
		var follow []string
		if only := source.Attrs[pb.AttrFollowPaths]; only != "" {
			if err := json.Unmarshal([]byte(only), &follow); err != nil {
				t.Fatal(err)
			}
		}
		some, err := fsutil.NewFilterFS(all, &fsutil.FilterOpt{FollowPaths: follow, ExcludePatterns: excludes})
		if err == nil {
			err = some.Walk(t.Context(), "/", func(path string, e fs.DirEntry, err error) error {
				if err == nil && !e.IsDir() {
					sent = append(sent, path)
				}
				return err
			})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return sent
}

// resolver knows the base images of the tests.
type resolver struct{}

func (resolver) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config := map[string]any{"Env": []string{"WHERE=b"}}
	if strings.Contains(ref, "onbuild:1") {
		config["OnBuild"] = []string{"COPY go.mod /"}
	}
	image, err := json.Marshal(map[string]any{"os": "linux", "architecture": "amd64", "config": config, "rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + strings.Repeat("0", 64)}}})
	return ref, "", image, err
}
