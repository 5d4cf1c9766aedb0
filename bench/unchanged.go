package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// filesEach is how many files an artifact has, with its Dockerfile and .dockerignore.
const filesEach = 50

// unchanged compares builds in which nothing changed: with more and more artifacts, beside many ignored files, and of davit alone with a cache
// folder that is new. It needs no cluster but its registry.
func (b *bench) unchanged(ctx context.Context) error {
	stop, err := b.prepare(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if err := b.onlyTools("git", "docker", "sh"); err != nil {
		return err
	}
	for _, input := range []struct{ artifacts, ignored int }{{1, 0}, {20, 0}, {100, 0}, {300, 0}, {100, 2000}} {
		if err := b.unchangedAt(ctx, input.artifacts, input.ignored); err != nil {
			return err
		}
	}
	return nil
}

// onlyTools leaves nothing on PATH but what is named: credential helpers of some cloud, which the reference runs for every image where they are
// installed, would be most of what is measured.
func (b *bench) onlyTools(names ...string) error {
	dir := filepath.Join(b.tmp, "tools")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			return err
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	b.env = append(b.env, "PATH="+dir)
	return nil
}

// unchangedAt compares a number of artifacts, each with ignored files beside its own.
func (b *bench) unchangedAt(ctx context.Context, artifacts, ignored int) error {
	dir := filepath.Join(b.tmp, fmt.Sprintf("unchanged-%d-%d", artifacts, ignored))
	if err := writeArtifacts(dir, artifacts, ignored); err != nil {
		return err
	}
	commit := exec.CommandContext(ctx, "sh", "-c", "git init -q . && git add . && git -c user.name=b -c user.email=b@example.com commit -q -m bench")
	commit.Dir = dir
	if out, err := commit.CombinedOutput(); err != nil {
		return fmt.Errorf("preparing %s: %w\n%s", dir, err, out)
	}
	title := fmt.Sprintf("%d artifacts", artifacts)
	if ignored > 0 {
		title += fmt.Sprintf(", %d ignored", artifacts*ignored)
	}
	// Each program has a repository of its own: one must not find the other's images under its tags.
	repo := b.getenv("SKAFFOLD_DEFAULT_REPO")
	home := "HOME=" + filepath.Join(dir+"-home")
	ref := side{binary: b.reference, dir: dir, namespace: "reference", env: []string{home, "SKAFFOLD_DEFAULT_REPO=" + repo + "/bench-reference"}}
	own := side{binary: b.davit, dir: dir, namespace: "davit", env: []string{"SKAFFOLD_DEFAULT_REPO=" + repo + "/bench-davit", "KUBECONFIG=" + filepath.Join(b.tmp, "none")}}
	ref.env = append(ref.env, "KUBECONFIG="+filepath.Join(b.tmp, "none"))
	for _, s := range []side{ref, own} {
		for range 2 { // fills the caches, not counted
			if _, err := b.measure(ctx, s, "build"); err != nil {
				return err
			}
		}
	}
	if err := b.compare(ctx, "build, "+title, ref, own, nil, "build"); err != nil {
		return err
	}
	git := side{binary: "git", dir: dir, namespace: "git", args: []string{"status", "--porcelain"}}
	if err := b.compare(ctx, "  against git status", git, own, nil, "build"); err != nil {
		return err
	}
	// There is nothing to build with: davit has to find all images in the registry.
	fresh := own
	cache := filepath.Join(b.tmp, "fresh")
	fresh.namespace, fresh.env = "fresh", append(own.env, "XDG_CACHE_HOME="+cache, "BUILDKIT_HOST=unix:///nowhere")
	forget := func(side, int) error { return os.RemoveAll(cache) }
	return b.compare(ctx, "  new cache folder, davit twice", own, fresh, forget, "build")
}

// writeArtifacts writes a config and the folders of its artifacts.
func writeArtifacts(dir string, artifacts, ignored int) error {
	var config strings.Builder
	config.WriteString("apiVersion: skaffold/v4beta11\nkind: Config\nbuild:\n  local: {concurrency: 8}\n  artifacts:\n")
	files := map[string]string{".gitignore": "node_modules\n"}
	for i := range artifacts {
		fmt.Fprintf(&config, "  - {image: app-%[1]d, context: app-%[1]d}\n", i)
		app := fmt.Sprintf("app-%d/", i)
		files[app+"Dockerfile"] = "FROM scratch\nCOPY . /\n"
		files[app+".dockerignore"] = "node_modules\n"
		for j := range filesEach - 2 {
			files[fmt.Sprintf("%spkg-%d/file-%d.go", app, j%6, j)] = fmt.Sprintf("package p // %d of %d\n%s", j, i, strings.Repeat("// a line\n", 100))
		}
		for j := range ignored {
			files[fmt.Sprintf("%snode_modules/m-%d/file-%d.js", app, j%40, j)] = ""
		}
	}
	files["skaffold.yaml"] = config.String()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
