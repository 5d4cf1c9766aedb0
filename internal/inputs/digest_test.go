package inputs

import (
	"path/filepath"
	"testing"
)

// The digests are those that skaffold v2.24.0 makes of this project (build --dry-run with the policy inputDigest).
func TestInputDigestIsSkaffolds(t *testing.T) {
	root := files(t, t.TempDir(), map[string]string{
		"Dockerfile": "FROM scratch\nCOPY . /\n", "main.go": "1\n",
		"app/Dockerfile": "ARG BASE\nFROM scratch\nCOPY . /\n", "app/a.go": "2\n",
		"base/Dockerfile": "FROM scratch\nCOPY . /\n", "base/b.go": "3\n",
		"skaffold.yaml": "apiVersion: skaffold/v4beta13\nkind: Config\nbuild:\n  artifacts:\n  - image: root\n    context: .\n  - image: app\n    context: app\n    requires: [{image: base, alias: BASE}]\n  - image: base\n    context: base\n  tagPolicy:\n    inputDigest: {}\n",
	})
	part := func(workspace string) DigestPart {
		t.Helper()
		context := workspace
		if !filepath.IsAbs(workspace) {
			context = filepath.Join(root, workspace)
		}
		m, err := newReader(t, nil).Docker(t.Context(), Docker{Context: context, Dockerfile: filepath.Join(context, "Dockerfile")})
		if err != nil {
			t.Fatal(err)
		}
		return DigestPart{Workspace: workspace, Manifest: m}
	}
	digest := func(d Digest) string {
		t.Helper()
		d.Folder, d.Workspace, d.Dockerfile = root, d.Parts[0].Workspace, "Dockerfile"
		sum, err := InputDigest(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	for _, tt := range []struct {
		want  string
		parts []DigestPart
	}{
		{"06a67e5fac96c4c088271a2f36c6e435cf2398d062d4a7b5825470e3303b6522", []DigestPart{part(".")}},
		{"2c7c5fc2aff975b2958032fbb9126370473367726f22850d86e9465ce7459392", []DigestPart{part("app"), part("base")}},
		{"4d7f1b70230a2e97eb1d0484d701fd896654ca8e3b34c5331896a7e466304012", []DigestPart{part("base")}},
		// required from lib.yaml beside skaffold.yaml
		{"c5460e042e7b1951630095e4721d03a5b20bc82d8d104f0d6cc8b4167755ce16", []DigestPart{part(filepath.Join(root, "base"))}},
	} {
		if got := digest(Digest{Parts: tt.parts}); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.parts[0].Workspace, got, tt.want)
		}
	}
	plain := digest(Digest{Parts: []DigestPart{part("base")}})
	if digest(Digest{Parts: []DigestPart{part("base")}, Target: "x"}) == plain {
		t.Error("another target gives the same digest")
	}
}
