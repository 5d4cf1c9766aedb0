package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// diagnosed is how many modules, or artifacts of one file, are diagnosed.
const diagnosed = 300

// diagnose compares how long the configuration alone takes. It needs no cluster, no registry and no Docker.
func (b *bench) diagnose(ctx context.Context) error {
	home := filepath.Join(b.tmp, "home")
	b.env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+filepath.Join(home, ".cache"), "KUBECONFIG="+filepath.Join(home, "none"),
		"SKAFFOLD_UPDATE_CHECK=false", "SKAFFOLD_INTERACTIVE=false")
	for _, input := range []struct {
		title string
		files map[string]string
	}{
		{fmt.Sprintf("diagnose, %d modules", diagnosed), modules()},
		{fmt.Sprintf("diagnose, %d artifacts", diagnosed), map[string]string{"skaffold.yaml": artifacts()}},
	} {
		dir := filepath.Join(b.tmp, strings.ReplaceAll(input.title, " ", "-"))
		for name, text := range input.files {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return err
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				return err
			}
		}
		ref, own := side{binary: b.reference, dir: dir, namespace: "bench-ref"}, side{binary: b.davit, dir: dir, namespace: "bench-own"}
		if err := b.compare(ctx, input.title, ref, own, nil, "diagnose", "--yaml-only", "--profile", "fast"); err != nil {
			return err
		}
	}
	return nil
}

// modules are files, each with an artifact, manifests and a profile, and one that requires them all.
func modules() map[string]string {
	var root strings.Builder
	root.WriteString("apiVersion: skaffold/v4beta11\nkind: Config\nmetadata: {name: all}\nprofiles: [{name: fast}]\nrequires:\n")
	files := map[string]string{}
	for i := range diagnosed {
		fmt.Fprintf(&root, "- path: service-%d\n", i)
		files[fmt.Sprintf("service-%d/skaffold.yaml", i)] = fmt.Sprintf(`apiVersion: skaffold/v4beta11
kind: Config
metadata:
  name: service-%[1]d
build:
  artifacts:
  - image: service-%[1]d
    docker:
      buildArgs: {VERSION: "%[1]d"}
manifests:
  rawYaml:
  - k8s/*.yaml
deploy:
  kubectl: {}
profiles:
- name: fast
  build:
    local: {push: false}
`, i)
	}
	files["skaffold.yaml"] = root.String()
	return files
}

// artifacts is one file with many of them.
func artifacts() string {
	var file strings.Builder
	file.WriteString("apiVersion: skaffold/v4beta11\nkind: Config\nprofiles:\n- name: fast\n  build:\n    local: {push: false}\nmanifests:\n  rawYaml: [k8s/*.yaml]\nbuild:\n  artifacts:\n")
	for i := range diagnosed {
		fmt.Fprintf(&file, "  - image: service-%[1]d\n    context: service-%[1]d\n    docker:\n      dockerfile: build/Dockerfile\n      buildArgs: {VERSION: \"%[1]d\"}\n", i)
	}
	return file.String()
}
